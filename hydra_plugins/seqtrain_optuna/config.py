"""Options of ``hydra/sweeper=optuna``: the keys of Hydra's published Optuna plugin, and a pruner."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING


class Direction(Enum):
    """Direction in which the score improves."""

    minimize = "minimize"
    maximize = "maximize"


@dataclass
class OptunaSweeperConfig:
    """Options of a study.

    Samplers and pruners are YAML files in conf/hydra/sweeper/: ``_target_`` names a class of ``optuna.samplers`` or
    ``optuna.pruners``, and the other keys are its arguments.
    """

    defaults: list[Any] = field(default_factory=lambda: [{"sampler": "tpe"}, {"pruner": "none"}])
    _target_: str = "hydra_plugins.seqtrain_optuna.sweeper.OptunaSweeper"
    _recursive_: bool = False  # sampler and pruner are built once the space is known

    sampler: dict[str, Any] = MISSING
    """Chooses the parameters; select another with ``hydra/sweeper/sampler=<name>``."""
    pruner: dict[str, Any] = MISSING
    """Ends bad trials early; select another with ``hydra/sweeper/pruner=<name>``. Its steps are evaluations on
    validation, counted from 0."""
    direction: Direction | None = None
    """null takes the direction of the task's monitored metric; the other direction is refused."""
    storage: str | None = None
    """URL of the database, in SQLAlchemy's format; null uses ``study.db`` in the sweep's directory."""
    study_name: str | None = None
    """Name of the study; null takes the only study in ``study.db``, else the name of the sweep's directory."""
    n_trials: int = 20
    """Total number of trials of the study, including earlier ones."""
    n_jobs: int = 1
    """Number of trials launched at once."""
    max_failure_rate: float = 0.25
    """The sweep ends when more than this share of ``n_trials`` has failed."""
    params: dict[str, Any] = field(default_factory=dict)
    """The search space: key -> override."""
    custom_search_space: str | None = None
    """``module.function``, called with the configuration and each Optuna trial; it may suggest further keys."""


ConfigStore.instance().store(group="hydra/sweeper", name="optuna", node=OptunaSweeperConfig, provider="seqtrain")
