"""An Optuna study: creating or continuing it, recovering lost trials, and its results."""

import logging
import math
import socket
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna
from omegaconf import OmegaConf
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback, fail_stale_trials
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from hydra_plugins.seqtrain_optuna._space import SearchSpace
from hydra_plugins.seqtrain_optuna.config import Direction, OptunaSweeperConfig
from seqtrain.atomic import replacing
from seqtrain.config.loading import from_yaml
from seqtrain.errors import ConfigError, UserError
from seqtrain.paths import expanded
from seqtrain.runs.locks import is_locked
from seqtrain.sweeps.ledger import JobState, read_job_state
from seqtrain.training.pruning import build, open_storage, without_password

log = logging.getLogger("seqtrain.study")

HEARTBEAT_SECONDS = 60
LOST_TRIAL_SECONDS = 300
"""Time without a heartbeat after which other machines regard a trial as lost."""


def open_study(
    options: OptunaSweeperConfig, space: SearchSpace, direction: Direction, directory: Path
) -> tuple[Study, RDBStorage]:
    """Open the study that the options name, or create it.

    Args:
        options: options of the sweeper.
        space: search space of the trials.
        direction: direction of the score.
        directory: directory of the sweep.

    Raises:
        ConfigError: if the database cannot be opened, or its study has the other direction.
    """
    warnings.filterwarnings("ignore", category=ExperimentalWarning)  # heartbeats
    warnings.filterwarnings("ignore", message="Heartbeat of storage is supposed")  # `sending_heartbeats` sends them
    storage = open_storage(
        absolute_url(options.storage, directory),
        "hydra.sweeper.storage",
        heartbeat_interval=HEARTBEAT_SECONDS,
        grace_period=LOST_TRIAL_SECONDS,
        heartbeat_stale_trial_callback=retry_lost_trial,
    )
    known = optuna.get_all_study_names(storage) if options.storage is None else []
    name = options.study_name or (known[0] if len(known) == 1 else directory.name)  # it may have been moved
    pruner = build(optuna.pruners, options.pruner, "hydra.sweeper.pruner")
    wanted = StudyDirection[direction.name.upper()]
    study = optuna.create_study(study_name=name, storage=storage, direction=wanted, pruner=pruner, load_if_exists=True)
    if study.direction is not wanted:
        raise ConfigError(
            f"hydra.sweeper.study_name={name}: this study must {study.direction.name.lower()} its score, but the "
            f"monitored score must be {direction.name}d; give another name"
        )
    chosen = dict(options.sampler)
    if chosen["_target_"] == "optuna.samplers.GridSampler":
        study.sampler = build(optuna.samplers, chosen, "hydra.sweeper.sampler", search_space=space.grid())
    else:
        if chosen.get("seed") is not None:  # so that a continued study does not repeat its draws
            chosen["seed"] += len(study.get_trials(deepcopy=False))
        study.sampler = build(optuna.samplers, chosen, "hydra.sweeper.sampler")
    return study, storage


def absolute_url(address: str | None, directory: Path) -> str:
    """URL of a study's database that is valid in any working directory.

    Args:
        address: as given; paths are relative to the working directory. None means the file ``study.db`` in
            ``directory``.
        directory: directory of the sweep.
    """
    if address is None:
        return URL.create("sqlite", database=str(directory / "study.db")).render_as_string()
    try:
        url = make_url(address)
    except (ArgumentError, ValueError) as error:
        raise ConfigError(
            f"hydra.sweeper.storage={address}: not a database URL; give sqlite:///<file>, or a URL such as "
            "postgresql://host/name"
        ) from error
    if url.get_backend_name() == "sqlite":
        if not url.database or url.database == ":memory:":
            raise ConfigError(f"hydra.sweeper.storage={address}: jobs cannot reach it; give sqlite:///<file>")
        url = url.set(database=str(expanded(url.database, "hydra.sweeper.storage").absolute()))
    if url.password is not None:
        log.warning(
            "hydra.sweeper.storage=%s: the password is written to config.yaml of each run; use the database's own "
            "password file to avoid that",
            without_password(address),
        )
    return url.render_as_string(hide_password=False)


def set_trial_attributes(trial: Trial, directory: Path, pruner: dict[str, Any]) -> None:
    """Record in a trial which sweep runs it, and which pruner judges its run."""
    trial.set_user_attr("sweeper", {"host": socket.gethostname(), "directory": str(directory)})
    trial.set_user_attr("pruner", pruner)


def count_trials(study: Study) -> int:
    """Number of trials that count towards ``n_trials``: finished, pruned, failed with an error, or running now."""
    return sum(
        trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
        or (trial.state is TrialState.FAIL and "error" in trial.user_attrs)
        or (trial.state is TrialState.RUNNING and "sweeper" in trial.user_attrs)
        for trial in study.get_trials(deepcopy=False)
    )


def tell(study: Study, number: int, value: float | None = None, state: TrialState | None = None) -> None:
    """Finish a trial, unless it is already finished."""
    try:
        study.tell(number, value, state, skip_if_finished=True)
    except RuntimeError as error:
        if "Study.stop" not in str(error):  # at the grid's last point the sampler tries to stop `Study.optimize`
            raise


def retry_lost_trial(study: Study, trial: FrozenTrial) -> None:
    """Queue the parameters of a lost trial again, unless they were lost twice."""
    RetryHeartbeatStaleTrialCallback(max_retry=1)(study, trial)


def close_trials(study: Study, trials: Sequence[FrozenTrial]) -> None:
    """Close trials without a reported end: by the outcome of their run, else as failed, to be tried again."""
    for trial in trials:
        run = run_of_trial(trial)
        if run.state == "finished" and run.value is not None and math.isfinite(run.value):
            tell(study, trial.number, run.value)
        elif run.state == "pruned":
            tell(study, trial.number, state=TrialState.PRUNED)
        else:
            tell(study, trial.number, state=TrialState.FAIL)
            retry_lost_trial(study, trial)


def run_of_trial(trial: FrozenTrial) -> JobState:
    """State of a trial's run. Retried parameters still name the run of the previous trial; that run does not count."""
    path = Path(str(trial.user_attrs.get("run", "")))
    with suppress(UserError):
        if from_yaml(path / "config.yaml").sweep.trial == trial.number:
            return read_job_state(path)
    return JobState("waiting")


def close_lost_trials(study: Study, directory: Path | None = None) -> None:
    """Close the trials that nobody runs any more: without a heartbeat, or of an ended sweep on this machine.

    Args:
        study: the study.
        directory: directory of this sweep, which has no running trial yet; None checks heartbeats only.
    """
    if directory is not None:  # first, since trials that Optuna fails never get the outcome of their run
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        close_trials(study, [trial for trial in running if is_lost(trial, directory)])
    fail_stale_trials(study)


def is_lost(trial: FrozenTrial, directory: Path) -> bool:
    """Whether a running trial belongs to the sweep in this directory, or to an ended sweep on this machine."""
    owner = trial.user_attrs.get("sweeper")
    if not isinstance(owner, dict) or owner.get("host") != socket.gethostname():
        return False
    other = Path(str(owner.get("directory")))
    return other == directory or not is_locked(other)


@contextmanager
def sending_heartbeats(storage: RDBStorage, trials: Sequence[Trial]) -> Iterator[None]:
    """Send a heartbeat for these trials every minute while the context is open."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(HEARTBEAT_SECONDS):
            try:
                for trial in trials:
                    storage.record_heartbeat(trial._trial_id)
            except optuna.exceptions.StorageInternalError as error:
                log.debug("no heartbeat: %s", error)  # the next one may succeed

    for trial in trials:
        storage.record_heartbeat(trial._trial_id)
    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def summary(study: Study) -> str:
    """Number of trials in each state, and the best trial with its parameters."""
    trials = study.get_trials(deepcopy=False)
    states = {"finished": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
    counts = {name: sum(trial.state is state for trial in trials) for name, state in states.items()}
    lines = [f"study {study.study_name}: {', '.join(f'{count} {name}' for name, count in counts.items())}"]
    if counts["finished"]:
        best = study.best_trial
        lines.append(f"best: trial {best.number}, {best.value:.6g}; run directory: {best.user_attrs.get('run')}")
        lines += [f"  {key}={value}" for key, value in best.params.items()]
    return "\n".join(lines)


def save_results(study: Study, path: Path) -> None:
    """Write the best trial as YAML, in the format of Hydra's published Optuna plugin."""
    if study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        best = study.best_trial
        results = {"name": "optuna", "best_params": best.params, "best_value": best.value, "best_trial": best.number}
        with replacing(path) as temporary:
            OmegaConf.save(OmegaConf.create(results), temporary)
