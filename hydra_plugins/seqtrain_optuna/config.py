"""Options of ``hydra/sweeper=optuna``, with the keys of Hydra's published Optuna plugin, and a pruner beside them."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING


class Direction(Enum):
    """What is to become of the score."""

    minimize = "minimize"
    maximize = "maximize"


@dataclass
class OptunaSweeperConfig:
    """A study.

    Samplers and pruners are YAML files in conf/hydra/sweeper/: ``_target_`` names a class of ``optuna.samplers`` or
    ``optuna.pruners``, and the rest are its arguments.
    """

    defaults: list[Any] = field(default_factory=lambda: [{"sampler": "tpe"}, {"pruner": "none"}])
    _target_: str = "hydra_plugins.seqtrain_optuna.sweeper.OptunaSweeper"
    _recursive_: bool = False  # sampler and pruner are built once the space is known

    sampler: dict[str, Any] = MISSING
    """Chooses the parameters; another one is given as ``hydra/sweeper/sampler=<name>``."""
    pruner: dict[str, Any] = MISSING
    """Ends bad trials early; another one is given as ``hydra/sweeper/pruner=<name>``. Its steps are evaluations on
    validation, counted from 0."""
    direction: Direction | None = None
    """null takes what the task's monitored metric needs; the other one is refused."""
    storage: str | None = None
    """Address of the database, as SQLAlchemy writes it; null makes ``study.db`` in the sweep's directory."""
    study_name: str | None = None
    """Name of the study; null takes the only one in ``study.db``, or else the name of the sweep's directory."""
    n_trials: int = 20
    """Trials of the study, those counted that it has already."""
    n_jobs: int = 1
    """Trials given to the launcher at once."""
    max_failure_rate: float = 0.25
    """The sweep ends once more than this share of ``n_trials`` has failed."""
    params: dict[str, Any] = field(default_factory=dict)
    """The search space: key -> override."""
    custom_search_space: str | None = None
    """``module.function``, called with the configuration and each Optuna trial, which may suggest further keys."""


ConfigStore.instance().store(group="hydra/sweeper", name="optuna", node=OptunaSweeperConfig, provider="seqtrain")
