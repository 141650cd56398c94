"""The jobs of a sweep as a table, once or kept up to date."""

import sys
import time
from collections import Counter

from seqtrain.alignment import aligned
from seqtrain.errors import Interrupted
from seqtrain.run_directory import is_locked
from seqtrain.sweeps.ledger import ENDED, Job, Standing, Sweep, shared_overrides

REFRESH_SECONDS = 2.0
ERROR_WIDTH = 80
STATES = ("finished", "pruned", "running", "waiting", "interrupted", "killed", "failed")


def show(sweep: Sweep, *, watch: bool) -> None:
    """Print the table; ``watch`` prints it anew every 2 s until no job is left to wait for, or Ctrl-C."""
    while True:
        jobs = [(job, sweep.standing(job)) for job in sweep.jobs()]
        text = format_jobs(sweep, jobs)
        print(f"\x1b[2J\x1b[H{text}" if watch and sys.stdout.isatty() else text, flush=True)
        running = any(standing.state == "running" for _, standing in jobs)
        ended = all(standing.state in ENDED for _, standing in jobs)
        if not watch or ended or not (running or is_locked(sweep.path)):
            return
        try:
            time.sleep(REFRESH_SECONDS)
        except (KeyboardInterrupt, Interrupted):
            return


def format_jobs(sweep: Sweep, jobs: list[tuple[Job, Standing]]) -> str:
    """A line for each job, the best of them, and how many there are in each state."""
    metrics = {standing.metric for _, standing in jobs} - {None}
    metric = str(next(iter(metrics))) if len(metrics) == 1 else "metric"
    shared = shared_overrides([job for job, _ in jobs])
    header = ["job", "overrides", "state", metric, "time", "step", "error"]
    rows = [header, *(row(job, standing, shared, named=len(metrics) > 1) for job, standing in jobs)]
    lines = aligned(rows, left=[header.index(title) for title in ("overrides", "state", "error")])
    return "\n".join([*lines, "", *tracebacks(sweep, jobs), *best_line(jobs, metric), f"{sweep.path}: {counts(jobs)}"])


def row(job: Job, standing: Standing, shared: set[str], *, named: bool) -> list[str]:
    """The cells of a job: what sets it apart from the others, and where it stands."""
    own = " ".join(override for override in job.overrides if override not in shared)
    value = "" if standing.value is None else f"{standing.value:.4f}"
    metric = f"{standing.metric} " if named and value else ""
    steps = "" if standing.step is None else f"{standing.step}/{standing.total_steps or '?'}"
    error = " ".join((standing.error or "").split())
    return [
        "" if job.number is None else str(job.number),
        own if job.number is not None else job.name,
        standing.state,
        metric + value,
        "" if standing.seconds is None else duration(standing.seconds),
        steps,
        error if len(error) <= ERROR_WIDTH else f"{error[: ERROR_WIDTH - 3]}...",
    ]


def tracebacks(sweep: Sweep, jobs: list[tuple[Job, Standing]]) -> list[str]:
    """Where those of failed jobs lie."""
    failed = [(job.number, sweep.path / job.name / "error.txt") for job, s in jobs if s.state == "failed"]
    return [f"{'' if n is None else f'job {n}: '}{path}" for n, path in failed if path.is_file()]


def best_line(jobs: list[tuple[Job, Standing]], metric: str) -> list[str]:
    """The finished job with the best value, where all monitor one metric and its direction is known."""
    done = [(job, s.value, s.maximize) for job, s in jobs if s.state == "finished" and s.value is not None]
    directions = {maximize for _, _, maximize in done}
    if metric == "metric" or len(done) < 2 or len(directions) != 1 or None in directions:
        return []
    job, value, _ = (max if directions == {True} else min)(done, key=lambda entry: entry[1])
    return [f"best: {'' if job.number is None else f'job {job.number}, '}{metric} {value:.4f}, {job.name}"]


def counts(jobs: list[tuple[Job, Standing]]) -> str:
    """How many jobs there are in each state."""
    number = Counter(standing.state for _, standing in jobs)
    states = [*STATES, *sorted(set(number) - set(STATES))]
    parts = [f"{number[state]} {state}" for state in states if number[state]]
    return f"{len(jobs)} job{'' if len(jobs) == 1 else 's'}: {', '.join(parts)}"


def duration(seconds: float) -> str:
    """Seconds as people read them: 7.3 s, 4:05, 1:02:03."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
