"""Runs as trials of an Optuna study: they report their validation scores, and end when the study's pruner says so.

optuna is optional, and imported only where it is used.
"""

import logging
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from seqtrain.config.base import suggest
from seqtrain.config.sweep import SweepConfig
from seqtrain.errors import ConfigError, Pruned

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from optuna import Trial
    from optuna.storages import RDBStorage

log = logging.getLogger(__name__)

SQLITE_SECONDS = 60
"""How long to wait for another process that writes to the same database file."""
NAMES_A_FILE = bytes.fromhex("d9d505f920a163d7")
"""Last bytes of such a journal (https://www.sqlite.org/fileformat2.html, "The Rollback Journal")."""
ATTEMPTS = 5
"""How often to try to open a database that other processes are creating at the same time."""


class StudyReporter:
    """An observer that reports the monitored score of each evaluation to an Optuna study.

    Evaluations are counted from 0; they are the steps of the study's pruner.

    Args:
        options: name the study and the run's trial in it.
        monitor: tag of the score.
        total_steps: number of steps of the run; after the last one nothing is pruned.
        directory: the run's directory, stored in the trial.

    Raises:
        ConfigError: if the study cannot be reached.
    """

    def __init__(self, options: SweepConfig, monitor: str, total_steps: int, directory: Path):
        self.monitor, self.total_steps = monitor, total_steps
        self.evaluations = 0
        self.trial = join_study(options)
        self.trial.set_user_attr("run", str(directory.absolute()))

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Report the score, if it is among the values.

        Raises:
            Pruned: if the study's pruner ends the run here.
        """
        if self.monitor not in values:
            return
        from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError

        value, evaluation = values[self.monitor], self.evaluations
        self.evaluations += 1
        try:
            self.trial.report(value, evaluation)
            prune = step < self.total_steps and self.trial.should_prune()
        except UpdateFinishedTrialError as error:  # the study took this trial for lost, and repeats it
            raise Pruned(f"trial {self.trial.number} of the study {self.trial.study.study_name} is closed") from error
        except StorageInternalError as error:  # do not lose hours of training for a failed report
            log.warning("evaluation %d was not reported to the study: %s", evaluation, innermost(error))
            return
        if prune:
            raise Pruned(f"{self.monitor} {value:.4g} at evaluation {evaluation}, step {step}")

    def media(self, step: int, figures: dict[str, "Figure"], texts: dict[str, str]) -> None:
        pass

    def histograms(self, step: int, values: dict[str, Any]) -> None:
        pass

    def close(self) -> None:
        pass


def join_study(options: SweepConfig) -> "Trial":
    """The running trial that a run's options name, with the pruner that the sweeper stored in it.

    Raises:
        ConfigError: if there is no such trial.
    """
    where = f"sweep.storage={options.storage} sweep.study={options.study} sweep.trial={options.trial}"
    if options.storage is None or options.study is None:
        raise ConfigError(f"{where}: must be set together; hydra/sweeper=optuna sets them")
    storage = open_storage(options.storage, "sweep.storage")
    import optuna

    try:
        # The sampler is not used here.
        study = optuna.load_study(study_name=options.study, storage=storage, sampler=optuna.samplers.RandomSampler())
    except KeyError as error:
        raise ConfigError(f"{where}: there is no such study; hydra/sweeper=optuna creates it") from error
    running = {t.number: t for t in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))}
    if options.trial not in running:
        raise ConfigError(f"{where}: is not a running trial; leave these keys to hydra/sweeper=optuna")
    found = running[options.trial]
    if "pruner" in found.user_attrs:
        study.pruner = build(optuna.pruners, found.user_attrs["pruner"], "hydra.sweeper.pruner")
    return optuna.Trial(study, found._trial_id)


def require_optuna(key: str) -> None:
    """Raise ConfigError unless optuna is installed; limit its messages to warnings."""
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(
            f"{key}: needs the package {error.name}, which is not installed; pip install 'seqtrain[optuna]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def open_storage(address: str, key: str, **options: Any) -> "RDBStorage":
    """Open the database of a study, which several processes may use at once.

    Args:
        address: database address in SQLAlchemy's format.
        key: configuration key to name in errors.
        options: further arguments of ``RDBStorage``.

    Raises:
        ConfigError: if it cannot be opened.
    """
    require_optuna(key)
    from optuna.exceptions import OptunaError
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import SQLAlchemyError

    engine: dict[str, Any] = {"pool_pre_ping": True}  # servers close connections that stay idle during training
    if address.startswith("sqlite"):
        engine["connect_args"] = {"timeout": SQLITE_SECONDS}
        check_journal(Path(f"{address.partition('///')[2]}-journal"), key)
    attempt = 0
    while True:
        attempt += 1
        try:
            return RDBStorage(address, engine_kwargs=engine, **options)
        except (SQLAlchemyError, OptunaError, ImportError, ValueError, RuntimeError) as error:
            if attempt < ATTEMPTS and created_concurrently(error):
                time.sleep(1)
                continue
            raise ConfigError(
                f"{key}={without_password(address)}: {innermost(error)}; give sqlite:///<file>, or the address of a "
                "database that SQLAlchemy can reach"
            ) from error


def check_journal(path: Path, key: str) -> None:
    """Refuse a journal that SQLite would finish by deleting a file that the journal names, anywhere on this machine.

    A killed study leaves a journal too, but it never names a file: that is for transactions over several databases.

    Raises:
        ConfigError: if it names a file.
    """
    with suppress(FileNotFoundError), path.open("rb") as file:
        file.seek(-min(len(NAMES_A_FILE), path.stat().st_size), os.SEEK_END)
        if file.read() == NAMES_A_FILE:
            raise ConfigError(f"{key}: {path} is not of a study: it names a file that SQLite would delete; remove it")


def created_concurrently(error: BaseException | None) -> bool:
    """Whether an error says that another process created the tables of a new database at the same time."""
    from sqlalchemy.exc import IntegrityError

    while error is not None:
        if isinstance(error, IntegrityError) or "already exists" in str(error):
            return True
        error = error.__cause__
    return False


def without_password(address: str) -> str:
    """A database address without its password, for messages."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(address).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        return address


def innermost(error: BaseException) -> str:
    """First line of the error at the start of a chain of causes."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).partition("\n")[0]


def build(module: ModuleType, options: Mapping[str, Any], key: str, **more: Any) -> Any:
    """Build a sampler or pruner from its options.

    Args:
        module: ``optuna.samplers`` or ``optuna.pruners``.
        options: ``_target_`` names the class, the others are its arguments; None takes the default of an argument.
        key: configuration key to name in errors.
        more: further arguments.

    Raises:
        ConfigError: if there is no such class, or it refuses its arguments.
    """
    target = str(options["_target_"])
    name = target.removeprefix(f"{module.__name__}.")
    if name == target or name not in module.__all__:
        raise ConfigError(
            f"{key}._target_={target}: is not a class of {module.__name__}; {suggest(name, module.__all__)}"
        )
    arguments = {option: value for option, value in options.items() if option != "_target_" and value is not None}
    try:
        return getattr(module, name)(**arguments, **more)
    except (TypeError, ValueError, ImportError) as error:
        raise ConfigError(f"{key}: {name}: {str(error).partition(chr(10))[0]}") from error
