"""The directory of a sweep: its jobs, and the state of each job.

    sweep.json      the command, the process that runs it, and its jobs; written before the first job starts
    <job>/          run directory of a job; its name ends with the hash of its configuration
    halted          exists if no further job may start

The state of a job is read from its run directory and stored nowhere else. Jobs in several processes therefore share no
file, and a sweep that is killed at any moment leaves nothing inconsistent behind.

A sitting is one invocation of a sweep's command.
"""

import re
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from os import SEEK_END, getpid
from pathlib import Path

from seqtrain.atomic import replacing
from seqtrain.config import loading
from seqtrain.errors import RunError, UserError
from seqtrain.regular import open_regular
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.environment import now
from seqtrain.runs.json_files import read_record, write_json
from seqtrain.runs.links import refuse_links
from seqtrain.runs.locks import holding_lock, is_locked
from seqtrain.runs.metrics import entries, parse
from seqtrain.runs.records import Status
from seqtrain.sweeps.identity import job_hash

TAIL = 1 << 16
"""Bytes at the end of metrics.jsonl in which its last step is looked for."""
DONE = ("finished", "pruned")
ENDED = (*DONE, "failed", "interrupted", "killed", "damaged")
NAME = re.compile(r"[A-Za-z0-9._-]+")
"""Form of the name of a job's directory."""


@dataclass(frozen=True)
class Job:
    """A job of a sweep."""

    number: int | None
    """Its position in the grid; None for a run that the latest command does not include."""
    overrides: list[str]
    """Its overrides in the grid."""
    name: str = ""
    """Name of its directory within the sweep's."""
    error: str | None = None
    """Why its configuration was refused."""


@dataclass(frozen=True)
class Sitting:
    """One invocation of a sweep's command."""

    id: str
    pid: int
    started: str


@dataclass(frozen=True)
class Plan:
    """sweep.json."""

    arguments: list[str]
    """The command line."""
    sitting: Sitting
    """The latest one."""
    jobs: list[Job]
    directory: str = ""
    """Where the command was given."""
    began: str = ""
    """When the first sitting started."""


@dataclass(frozen=True)
class JobState:
    """State of a job."""

    state: str
    """waiting, running, killed or damaged, or as in its status: finished, pruned, failed, interrupted."""
    metric: str | None = None
    """The monitored metric."""
    maximize: bool | None = None
    value: float | None = None
    """Its best value on validation so far."""
    seconds: float | None = None
    """Training time of a finished job, else the time since it was started or resumed."""
    step: int | None = None
    total_steps: int | None = None
    error: str | None = None


@dataclass(frozen=True)
class Sweep:
    """The directory of a sweep."""

    path: Path

    @property
    def plan_path(self) -> Path:
        return self.path / "sweep.json"

    @property
    def halted_path(self) -> Path:
        return self.path / "halted"

    def plan(self) -> Plan:
        """Content of sweep.json; raises RunError if it is missing or damaged."""
        return read_record(Plan, self.plan_path)

    def write_plan(self, arguments: Sequence[str], jobs: Sequence[Job]) -> None:
        """Start a sitting: write the command of this process and its jobs."""
        began = self.plan().began if self.plan_path.exists() else now()
        plan = Plan(list(arguments), Sitting(uuid.uuid4().hex, getpid(), now()), list(jobs), str(Path.cwd()), began)
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.plan_path, asdict(plan))
        self.halted_path.unlink(missing_ok=True)

    def planned(self) -> list[Job]:
        """Jobs of the latest command; empty if the directory has no plan."""
        return self.plan().jobs if self.plan_path.exists() else []

    def find(self, name: str) -> Job | None:
        """The planned job whose directory has this name."""
        return next((job for job in self.planned() if job.name == name), None)

    def jobs(self) -> list[Job]:
        """The planned jobs, then the other runs in the directory."""
        planned = self.planned()
        others = sorted({path.parent.name for path in self.path.glob("*/config.yaml")} - {job.name for job in planned})
        return [*planned, *(Job(None, [], name) for name in others)]

    def job_state(self, job: Job) -> JobState:
        """Current state of a job."""
        return JobState("failed", error=job.error) if job.error is not None else read_job_state(self.path / job.name)

    def started_jobs(self, wanted: Sequence[str]) -> dict[str, str]:
        """Directories of jobs that were started before: hash -> name, for the given hashes.

        A job is identified by the end of its directory's name. If that fails it is identified by its saved
        configuration, since a later version of seqtrain may have more options and therefore other hashes.
        """
        names = sorted(path.name for path in self.path.glob("[!.]*") if path.is_dir() and NAME.fullmatch(path.name))
        ends = {name.rpartition("-")[2]: name for name in names}
        found = {key: ends[key] for key in wanted if key in ends}
        if len(found) < len(set(wanted)):
            for name in sorted(set(names) - set(found.values())):
                with suppress(UserError):
                    key = job_hash(loading.to_config(loading.from_yaml(self.path / name / "config.yaml")))
                    if key in wanted:
                        found.setdefault(key, name)
        return found

    def halt(self, why: str) -> None:
        """Prevent further jobs of this sitting from starting."""
        with replacing(self.halted_path) as temporary:
            temporary.write_text(f"{why}\n")

    @property
    def halted(self) -> bool:
        return self.halted_path.exists()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the sweep's lock: only one process may run a sweep.

        Raises:
            RunError: if another process holds it, or a link in the directory would lead what is written out of it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        refuse_links(self.path)
        refusal = f"{self.path}: another process runs this sweep; follow it with: seqtrain sweep {self.path}"
        with holding_lock(self.path, lambda: refusal):
            yield


def shared_overrides(jobs: Sequence[Job]) -> set[str]:
    """Overrides that all planned jobs share, and that therefore distinguish none of them."""
    points = [set(job.overrides) for job in jobs if job.number is not None]
    return set.intersection(*points) if len(points) > 1 else set()


def read_status(path: Path) -> Status | None:
    """Content of a run's status.json; None if it is missing or damaged."""
    with suppress(RunError):
        return RunDirectory(path).status
    return None


def read_job_state(path: Path) -> JobState:
    """State of the job in a run directory."""
    run = RunDirectory(path)
    if not run.status_path.exists():
        return JobState("running" if is_locked(path) else "waiting")
    try:
        status = run.status
    except RunError as error:
        return JobState("damaged", error=str(error))
    state = status.state
    if state not in DONE:
        if is_locked(path):
            state = "running"
        elif state in ("starting", "running"):
            state = "killed"
    metric, best, total = status.monitor, status.best_score, status.total_steps
    value: float | None
    if state in DONE and best is not None:
        (metric, value), step, seconds = best, total, status.seconds
    else:
        value, step = read_progress(run.metrics_path, metric, status.maximize)
        seconds = elapsed(status, run.metrics_path, running=state == "running")
    reason = status.error if state in ("failed", "interrupted", "pruned") else None
    return JobState(state, metric, status.maximize, value, seconds, step, total, reason)


def read_progress(path: Path, metric: str | None, maximize: bool | None) -> tuple[float | None, int | None]:
    """Best value of a metric so far, and the last logged step."""
    found = [] if metric is None else [values.get(metric) for _, values in entries(path, metric)]
    values = [value for value in found if value is not None]
    return ((max if maximize else min)(values) if values else None), last_step(path)


def last_step(path: Path) -> int | None:
    """The last logged step in a file of metrics."""
    with suppress(OSError), open_regular(path) as file:
        file.seek(max(0, file.seek(0, SEEK_END) - TAIL))
        steps = (entry[0] for line in reversed(file.read(TAIL).splitlines()) if (entry := parse(line)) is not None)
        return next(steps, None)
    return None


def elapsed(status: Status, metrics: Path, running: bool) -> float | None:
    """Seconds from the start of the latest sitting to its end, to now, or to the last change of the run's files."""
    began, end = timestamp(status.since or status.started), time.time()
    if began is None:
        return None
    if not running:
        signs = [path.stat().st_mtime for path in (metrics, metrics.with_name("status.json")) if path.exists()]
        end = timestamp(status.finished) or max(signs, default=end)
    return max(0.0, end - began)


def timestamp(text: str | None) -> float | None:
    """Seconds since the epoch, of a time as status.json has it; None if it is no time."""
    with suppress(ValueError, OverflowError):
        return datetime.fromisoformat(text or "").timestamp()
    return None
