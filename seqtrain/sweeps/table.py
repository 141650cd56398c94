"""The jobs of a sweep as a table, printed once or updated continuously."""

import sys
import time
from collections import Counter

from seqtrain import console
from seqtrain.alignment import align_columns
from seqtrain.errors import Interrupted
from seqtrain.printable import escaped, escaped_lines
from seqtrain.runs.locks import is_locked
from seqtrain.sweeps.ledger import ENDED, Job, JobState, Sweep, shared_overrides

REFRESH_SECONDS = 2.0
ERROR_WIDTH = 80
STATES = ("finished", "pruned", "running", "waiting", "interrupted", "killed", "damaged", "failed")


def show(sweep: Sweep, *, watch: bool) -> None:
    """Print the table. With ``watch`` print it every 2 s until no job is left to wait for, or Ctrl-C."""
    while True:
        jobs = [(job, sweep.job_state(job)) for job in sweep.jobs()]
        text = escaped_lines(format_jobs(sweep, jobs))
        text = f"\x1b[2J\x1b[H{text}" if watch and sys.stdout.isatty() else text
        console.show(text, f"see the jobs with: seqtrain sweep {sweep.path}")
        running = any(job_state.state == "running" for _, job_state in jobs)
        ended = all(job_state.state in ENDED for _, job_state in jobs)
        if not watch or ended or not (running or is_locked(sweep.path)):
            return
        try:
            time.sleep(REFRESH_SECONDS)
        except (KeyboardInterrupt, Interrupted):
            return


def format_jobs(sweep: Sweep, jobs: list[tuple[Job, JobState]]) -> str:
    """One line per job, the best job, and the number of jobs in each state."""
    metrics = {job_state.metric for _, job_state in jobs} - {None}
    metric = str(next(iter(metrics))) if len(metrics) == 1 else "metric"
    shared = shared_overrides([job for job, _ in jobs])
    header = ["job", "overrides", "state", metric, "time", "step", "error"]
    rows = [header, *(row(job, job_state, shared, named=len(metrics) > 1) for job, job_state in jobs)]
    lines = align_columns(rows, left=[header.index(title) for title in ("overrides", "state", "error")])
    lines += ["", *tracebacks(sweep, jobs), *best_job_line(jobs, metric), f"{sweep.path}: {counts(jobs)}"]
    return "\n".join(lines)


def row(job: Job, job_state: JobState, shared: set[str], *, named: bool) -> list[str]:
    """The cells of a job: what distinguishes it from the others, and its state."""
    own = escaped(" ".join(override for override in job.overrides if override not in shared))
    value = "" if job_state.value is None else f"{job_state.value:.4f}"
    metric = f"{job_state.metric} " if named and value else ""
    steps = "" if job_state.step is None else f"{job_state.step}/{job_state.total_steps or '?'}"
    error = escaped(" ".join((job_state.error or "").split()))
    return [
        "" if job.number is None else str(job.number),
        own if job.number is not None else escaped(job.name),
        job_state.state,
        metric + value,
        "" if job_state.seconds is None else duration(job_state.seconds),
        steps,
        error if len(error) <= ERROR_WIDTH else f"{error[: ERROR_WIDTH - 3]}...",
    ]


def tracebacks(sweep: Sweep, jobs: list[tuple[Job, JobState]]) -> list[str]:
    """Lines with the files that hold the tracebacks of failed jobs."""
    failed = [(job.number, sweep.path / job.name / "error.txt") for job, s in jobs if s.state == "failed"]
    return [f"{'' if n is None else f'job {n}: '}{path}" for n, path in failed if path.is_file()]


def best_job_line(jobs: list[tuple[Job, JobState]], metric: str) -> list[str]:
    """Line with the best finished job, if all jobs monitor one metric and its direction is known."""
    done = [(job, s.value, s.maximize) for job, s in jobs if s.state == "finished" and s.value is not None]
    directions = {maximize for _, _, maximize in done}
    if metric == "metric" or len(done) < 2 or len(directions) != 1 or None in directions:
        return []
    job, value, _ = (max if directions == {True} else min)(done, key=lambda entry: entry[1])
    return [f"best: {'' if job.number is None else f'job {job.number}, '}{metric} {value:.4f}, {job.name}"]


def counts(jobs: list[tuple[Job, JobState]]) -> str:
    """Number of jobs in each state, as text."""
    number = Counter(job_state.state for _, job_state in jobs)
    states = [*STATES, *sorted(set(number) - set(STATES))]
    parts = [f"{number[state]} {state}" for state in states if number[state]]
    return f"{len(jobs)} job{'' if len(jobs) == 1 else 's'}: {', '.join(parts)}"


def duration(seconds: float) -> str:
    """Seconds as text: 7.3 s, 4:05, 1:02:03."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
