"""The sweeper behind ``-m``: Hydra's grid of overrides, with a sweep directory that records its jobs."""

import logging
import re
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobStatus, configure_log
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from hydra_plugins.seqtrain_grid._overrides import literal
from seqtrain.config import loading
from seqtrain.config.base import require
from seqtrain.config.sweep import OnError
from seqtrain.console import results_are_files
from seqtrain.errors import Interrupted, RunError, UserError
from seqtrain.sweeps.identity import job_hash
from seqtrain.sweeps.ledger import DONE, Job, Sweep, read_status
from seqtrain.sweeps.sharing import num_cores, threads_of_children, threads_per_job
from seqtrain.sweeps.stopping import SweepInterruption
from seqtrain.sweeps.table import counts, show

log = logging.getLogger(__name__)

EXPECTED = (UserError, HydraException, OmegaConfBaseException, YAMLError, OSError)
"""Errors that a user can mend."""
LOCAL = ("joblib", "submitit_local")
"""Launchers that run jobs in their own processes on this machine."""
SUBMITIT_FOLDER = "${hydra.sweep.dir}/.submitit/%j"  # its default
STARTING_SECONDS = 30.0  # maximum time until a launched job shows up


@dataclass
class GridSweeperConfig:
    """Options of ``hydra.sweeper``, the same as those of Hydra's own sweeper."""

    _target_: str = "hydra_plugins.seqtrain_grid.sweeper.GridSweeper"
    max_batch_size: int | None = None
    """Maximum number of jobs launched at once; null launches all, or as many as fit on this machine."""
    params: dict[str, str] = field(default_factory=dict)
    """Overrides to sweep over, in addition to the command line: key -> values."""


class GridSweeper(Sweeper):
    """Runs the unfinished jobs of a grid, and prints the table of all its jobs.

    Every configuration is composed and checked first. A refused one counts as a failed job. If all are refused, or
    ``sweep.on_error`` is ``stop``, the sweep raises the error instead.

    Args:
        max_batch_size: see ``GridSweeperConfig``.
        params: see ``GridSweeperConfig``.
    """

    config: DictConfig
    launcher: Launcher
    one_line: ClassVar[Callable[[Exception], str]] = str
    """How an error is told in one line; the command line sets it."""

    def __init__(self, max_batch_size: int | None, params: Mapping[str, Any]):
        self.max_batch_size, self.params = max_batch_size, params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Create the launcher."""
        require(self.max_batch_size is None or self.max_batch_size >= 1, "hydra.sweeper.max_batch_size",
                self.max_batch_size, "at least 1, or null")  # fmt: skip
        self.config, self.loader = config, hydra_context.config_loader
        self.launcher = launcher_of(config, hydra_context, task_function)

    def sweep(self, arguments: list[str]) -> None:
        """Run the grid of these overrides.

        Raises:
            RunError: if a job failed or was interrupted.
        """
        results_are_files()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        sweep = Sweep(Path(str(self.config.hydra.sweep.dir)))
        jobs, refusals = self.plan(sweep, arguments)
        if refusals and (len(refusals) == len(jobs) or self.config.sweep.on_error is OnError.stop):
            raise refusals[0]
        with sweep.locked():
            sweep.write_plan(sys.argv[1:], jobs)
            left = [job for job in jobs if job.error is None and sweep.job_state(job).state not in DONE]
            log.info("%s: %d of %d jobs to run", sweep.path, len(left), len(jobs))
            try:
                self.run(sweep, left)
            except Interrupted as error:
                error.add("the same command continues the sweep")
                raise
            show(sweep, watch=False)
            report_remaining(sweep, jobs, ran=bool(left))

    def plan(self, sweep: Sweep, arguments: Sequence[str]) -> tuple[list[Job], list[Exception]]:
        """The jobs of the grid, and the errors of refused configurations. Jobs started before keep their directory."""
        parser = OverridesParser.create(config_loader=self.loader)
        parsed = parser.parse_overrides([*(f"{key}={value}" for key, value in self.params.items()), *arguments])
        points = [point for batch in BasicSweeper.split_arguments(parsed, None) for point in batch]
        jobs: list[Job] = []
        hashes: dict[str, int] = {}
        refusals: list[Exception] = []
        for number, point in enumerate(points):
            try:
                name, key = self.compose(number, point)
            except EXPECTED as error:
                jobs.append(Job(number, point, error=GridSweeper.one_line(error)))
                refusals.append(error)
                continue
            if key in hashes:
                log.info("job %d: ignored, since it is the same as job %d", number, hashes[key])
                continue
            hashes[key] = number
            jobs.append(Job(number, point, f"{name}-{key}"))
        known = sweep.started_jobs(list(hashes))
        return [replace(job, name=known.get(job.name.rpartition("-")[2], job.name)) for job in jobs], refusals

    def compose(self, number: int, point: Sequence[str]) -> tuple[str, str]:
        """Check a job's configuration; returns its ``hydra.sweep.subdir`` and its hash."""
        tree = self.loader.load_sweep_config(self.config, list(point))
        with read_write(tree), open_dict(tree):
            tree.hydra.job.num, tree.hydra.job.id = number, str(number)
            name = str(OmegaConf.select(tree, "hydra.sweep.subdir"))
            del tree["hydra"]
        return re.sub(r"[^A-Za-z0-9._-]+", "-", name), job_hash(loading.to_config(tree))

    def run(self, sweep: Sweep, jobs: Sequence[Job]) -> None:
        """Launch jobs, in batches if they are too many for this machine.

        Raises:
            Interrupted: after a signal.
        """
        launcher = str(self.config.hydra.runtime.choices["hydra/launcher"])
        at_once = self.jobs_at_once(launcher, min(len(jobs), self.max_batch_size or len(jobs)))
        size = {"basic": 1, "submitit_local": at_once}.get(launcher, len(jobs))
        size = min(size, self.max_batch_size or size)
        if launcher == "joblib":  # Ctrl-C would kill an idle process, and joblib would then kill the busy ones
            self.launcher.joblib["n_jobs"] = at_once  # type: ignore[attr-defined]  # its options
        # With one job at a time, joblib runs it in this process.
        in_processes = launcher == "submitit_local" or (launcher == "joblib" and at_once > 1)
        threads = threads_per_job(num_cores(), at_once) if in_processes else None
        interruption = SweepInterruption(sweep) if in_processes else None
        left = list(jobs)
        with quiet_launchers(), threads_of_children(threads), interruption or nullcontext():
            while left and not sweep.halted:
                batch, rest = left[:size], left[size:]
                first = batch[0].number if launcher == "basic" else len(jobs) - len(left)
                again = self.launch(sweep, batch, first or 0)
                left = [*again, *rest] if launcher in LOCAL and len(again) < len(batch) else rest
        if interruption is not None and interruption.requested is not None:
            raise Interrupted(interruption.requested)

    def jobs_at_once(self, launcher: str, jobs: int) -> int:
        """Number of jobs that share this machine."""
        options, most = self.config.hydra.launcher, 1
        if launcher == "joblib":
            from joblib import effective_n_jobs

            most = effective_n_jobs(options.n_jobs)
        elif launcher == "submitit_local":
            most = max(1, num_cores() // (options.cpus_per_task or 1))
        return max(1, min(most, jobs))

    def launch(self, sweep: Sweep, batch: Sequence[Job], first: int) -> list[Job]:
        """Run a batch; returns the jobs that never started because the launcher failed when a process died."""
        overrides = [[*job.overrides, f"hydra.sweep.subdir={literal(job.name)}"] for job in batch]
        try:
            for result in self.launcher.launch(overrides, initial_job_idx=first):
                if result.status is JobStatus.FAILED:  # before it could write the error to its directory
                    log.error("a job could not start: %s", result._return_value)
        except Exception as error:
            log.error("the launcher failed: %s", GridSweeper.one_line(error).partition(". ")[0])
            queued = type(error).__module__.startswith("submitit.")  # one of several jobs; the others continue
            wait_for(sweep, batch, starting=STARTING_SECONDS if queued else 0.0)
            sitting = sweep.plan().sitting.id
            found = {job.name: read_status(sweep.path / job.name) for job in batch}
            return [job for job in batch if (status := found[job.name]) is None or status.sitting != sitting]
        return []


def launcher_of(config: DictConfig, hydra_context: HydraContext, task_function: TaskFunction) -> Launcher:
    """The launcher of a sweep. One of submitit gets a new folder in the sweep's directory.

    It unpickles what it finds in its folder under the number of a process. A directory from elsewhere may hold that.
    """
    options = config.hydra.launcher
    if OmegaConf.to_container(options).get("submitit_folder") == SUBMITIT_FOLDER:  # type: ignore[union-attr]
        with read_write(config):
            options.submitit_folder = SUBMITIT_FOLDER.replace("%j", f"{uuid.uuid4().hex}/%j")
    return Plugins.instance().instantiate_launcher(
        hydra_context=hydra_context, task_function=task_function, config=config
    )


@contextmanager
def quiet_launchers() -> Iterator[None]:
    """Hide the launchers' own list of jobs, whose numbers differ from those of the sweep."""
    names = ("hydra._internal.core_plugins.basic_launcher", "hydra_plugins")
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def wait_for(sweep: Sweep, batch: Sequence[Job], starting: float) -> None:
    """Wait until no job of the batch is running. A job that has not started is given some seconds to start."""
    deadline = time.monotonic() + starting
    while True:
        states = {sweep.job_state(job).state for job in batch}
        if "running" not in states and ("waiting" not in states or time.monotonic() > deadline):
            return
        time.sleep(0.5)


def report_remaining(sweep: Sweep, jobs: Sequence[Job], *, ran: bool) -> None:
    """Report which jobs are not finished.

    Raises:
        RunError: if a job is not finished and no other process runs it.
    """
    job_states = [(job, sweep.job_state(job)) for job in jobs]
    if any(job_state.state not in (*DONE, "running") for _, job_state in job_states):
        raise RunError(f"{sweep.path}: {counts(job_states)}; the same command continues with the unfinished jobs")
    if not ran:
        log.info("every job is finished; to run them again, delete %s or give another hydra.sweep.dir=", sweep.path)
