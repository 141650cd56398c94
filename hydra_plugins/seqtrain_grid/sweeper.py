"""The sweeper behind ``-m``: Hydra's grid of overrides, with a ledger of its jobs."""

import logging
import re
import sys
import time
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

from seqtrain.config import loading
from seqtrain.config.base import require
from seqtrain.config.sweep import OnError
from seqtrain.errors import Interrupted, RunError, UserError
from seqtrain.sweeps.identity import job_hash
from seqtrain.sweeps.ledger import DONE, Job, Sweep, read_status
from seqtrain.sweeps.sharing import num_cores, threads_of_children, threads_per_job
from seqtrain.sweeps.stopping import Stopping
from seqtrain.sweeps.table import counts, show

log = logging.getLogger(__name__)

EXPECTED = (UserError, HydraException, OmegaConfBaseException, OSError)
"""Errors that a user can mend."""
LOCAL = ("joblib", "submitit_local")
"""Launchers whose jobs run in processes of their own on this machine."""
STARTING_SECONDS = 30.0  # that a process may take until its job shows


@dataclass
class GridSweeperConfig:
    """Options of ``hydra.sweeper``, as Hydra's own sweeper has them."""

    _target_: str = "hydra_plugins.seqtrain_grid.sweeper.GridSweeper"
    max_batch_size: int | None = None
    """Most jobs that are launched at once; null launches all, or as many as have room on this machine."""
    params: dict[str, str] = field(default_factory=dict)
    """Overrides to sweep over, beside those of the command line: key -> values."""


class GridSweeper(Sweeper):
    """Runs the jobs of a grid that are not finished, and shows the table of all of them.

    Every configuration is composed and checked first. One that is refused is a failed job among the others, unless all
    are refused or ``sweep.on_error`` is ``stop``.

    Args:
        max_batch_size: see ``GridSweeperConfig``.
        params: likewise.
    """

    config: DictConfig
    launcher: Launcher
    one_line: ClassVar[Callable[[Exception], str]] = str
    """How an error is told in one line; the command line sets it."""

    def __init__(self, max_batch_size: int | None, params: Mapping[str, Any]):
        self.max_batch_size, self.params = max_batch_size, params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Make the launcher."""
        require(self.max_batch_size is None or self.max_batch_size >= 1, "hydra.sweeper.max_batch_size",
                self.max_batch_size, "at least 1, or null")  # fmt: skip
        self.config, self.loader = config, hydra_context.config_loader
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run the grid of these overrides.

        Raises:
            RunError: if a job failed or was cut off.
        """
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        sweep = Sweep(Path(str(self.config.hydra.sweep.dir)))
        jobs, refusals = self.plan(sweep, arguments)
        if refusals and (len(refusals) == len(jobs) or self.config.sweep.on_error is OnError.stop):
            raise refusals[0]
        with sweep.locked():
            sweep.write_plan(sys.argv[1:], jobs)
            left = [job for job in jobs if job.error is None and sweep.standing(job).state not in DONE]
            log.info("%s: %d of %d jobs to run", sweep.path, len(left), len(jobs))
            try:
                self.run(sweep, left)
            except Interrupted as error:
                error.add("the same command goes on with the sweep")
                raise
            show(sweep, watch=False)
            conclude(sweep, jobs, ran=bool(left))

    def plan(self, sweep: Sweep, arguments: Sequence[str]) -> tuple[list[Job], list[Exception]]:
        """The jobs of the grid, and why configurations are refused; jobs begun before keep their directories."""
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
                log.info("job %d is job %d again, and is left out", number, hashes[key])
                continue
            hashes[key] = number
            jobs.append(Job(number, point, f"{name}-{key}"))
        known = sweep.known(list(hashes))
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
        """Launch jobs, in batches where they would crowd this machine.

        Raises:
            Interrupted: after a signal.
        """
        launcher = str(self.config.hydra.runtime.choices["hydra/launcher"])
        at_once = self.jobs_at_once(launcher, min(len(jobs), self.max_batch_size or len(jobs)))
        size = {"basic": 1, "submitit_local": at_once}.get(launcher, len(jobs))
        size = min(size, self.max_batch_size or size)
        if launcher == "joblib":  # an idle process would die of Ctrl-C, and joblib would then kill those at work
            self.launcher.joblib["n_jobs"] = at_once  # type: ignore[attr-defined]  # its options
        apart = launcher == "submitit_local" or (launcher == "joblib" and at_once > 1)  # 1 is this process itself
        threads = threads_per_job(num_cores(), at_once) if apart else None
        stopping = Stopping(sweep) if apart else None
        left = list(jobs)
        with quiet_launchers(), threads_of_children(threads), stopping or nullcontext():
            while left and not sweep.halted:
                batch, rest = left[:size], left[size:]
                first = batch[0].number if launcher == "basic" else len(jobs) - len(left)
                again = self.launch(sweep, batch, first or 0)
                left = [*again, *rest] if launcher in LOCAL and len(again) < len(batch) else rest
        if stopping is not None and stopping.requested is not None:
            raise Interrupted(stopping.requested)

    def jobs_at_once(self, launcher: str, jobs: int) -> int:
        """How many jobs share this machine."""
        options, most = self.config.hydra.launcher, 1
        if launcher == "joblib":
            from joblib import effective_n_jobs

            most = effective_n_jobs(options.n_jobs)
        elif launcher == "submitit_local":
            most = max(1, num_cores() // (options.cpus_per_task or 1))
        return max(1, min(most, jobs))

    def launch(self, sweep: Sweep, batch: Sequence[Job], first: int) -> list[Job]:
        """Run a batch; returns those that have not begun, since the launcher gave up when a process died."""
        overrides = [[*job.overrides, f"hydra.sweep.subdir='{job.name}'"] for job in batch]
        try:
            for result in self.launcher.launch(overrides, initial_job_idx=first):
                if result.status is JobStatus.FAILED:  # before it could leave its error in its directory
                    log.error("a job could not begin: %s", result._return_value)
        except Exception as error:
            log.error("the launcher gave up: %s", GridSweeper.one_line(error).partition(". ")[0])
            queued = type(error).__module__.startswith("submitit.")  # one job of several; the others go on
            wait_for(sweep, batch, starting=STARTING_SECONDS if queued else 0.0)
            sitting = sweep.plan()["sitting"]["id"]
            return [job for job in batch if read_status(sweep.path / job.name).get("sitting") != sitting]
        return []


@contextmanager
def quiet_launchers() -> Iterator[None]:
    """Leave out the launchers' list of jobs, whose numbers would not be those of the ledger."""
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
    """Wait until no job of the batch runs; one that has not begun may still do so for some seconds."""
    deadline = time.monotonic() + starting
    while True:
        states = {sweep.standing(job).state for job in batch}
        if "running" not in states and ("waiting" not in states or time.monotonic() > deadline):
            return
        time.sleep(0.5)


def conclude(sweep: Sweep, jobs: Sequence[Job], *, ran: bool) -> None:
    """Say what is left to do.

    Raises:
        RunError: if a job is not finished, unless another process is at it.
    """
    standings = [(job, sweep.standing(job)) for job in jobs]
    if any(standing.state not in (*DONE, "running") for _, standing in standings):
        raise RunError(f"{sweep.path}: {counts(standings)}; the same command goes on with what is not finished")
    if not ran:
        log.info("every job is finished; to run them anew, delete %s or give another hydra.sweep.dir=", sweep.path)
