"""Contestants that take turns. Each has its own processes, and only those of one contestant work at a time."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).parents[1]


@dataclass
class Work:
    """The amount of work of a turn: steps and tokens."""

    steps: int = 0
    tokens: int = 0
    """Real tokens, without padding; steps of a series count as tokens."""
    places: int = 0
    """Tokens including padding."""

    def add(self, tokens: int, places: int) -> None:
        """Add a step."""
        self.steps, self.tokens, self.places = self.steps + 1, self.tokens + tokens, self.places + places


Turn = Callable[[int | None], Work]
"""Makes the first given number of steps of a training epoch, or all if None; each call starts another epoch."""


@dataclass(frozen=True)
class Contestant:
    """One of the programs that are timed."""

    name: str
    make: str
    """``module:function`` of this package, which returns its ``Turn`` and its number of parameters."""
    options: Mapping[str, Any]
    """Arguments of that function."""
    processes: int = 1
    threads: int | None = None
    """Threads of each process; None takes the number given to the benchmark."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Additional environment variables of its processes."""


@dataclass(frozen=True)
class Case:
    """A comparison of contestants; the first one is the reference."""

    title: str
    contestants: Sequence[Contestant]
    steps: int | None = None
    """Steps of a turn; None is a whole epoch."""


@dataclass
class Times:
    """Measurements of a contestant."""

    parameters: int
    seconds: list[float] = field(default_factory=list)
    """Time of each turn (seconds)."""
    work: list[Work] = field(default_factory=list)
    peak_memory: float = 0.0
    """Sum of its processes' peak memory (MB)."""
    gpu_memory: float = 0.0
    """Sum of its processes' peak GPU memory of tensors (MB)."""

    @property
    def seconds_per_token(self) -> list[float]:
        """Time per token in each turn."""
        return [seconds / work.tokens for seconds, work in zip(self.seconds, self.work, strict=True)]


class Workers:
    """The running processes of a contestant."""

    def __init__(self, contestant: Contestant, threads: int):
        self.contestant, self.threads = contestant, contestant.threads or threads
        self.processes: list[subprocess.Popen[str]] = []

    def start(self) -> None:
        """Start the processes, and wait until they are ready."""
        contestant = self.contestant
        task = json.dumps({"make": contestant.make, "options": dict(contestant.options)})
        for rank in range(contestant.processes):
            environment = (
                os.environ
                | dict(contestant.environment)
                | {
                    "OMP_NUM_THREADS": str(self.threads),
                    "PYTHONPATH": os.pathsep.join(filter(None, [str(SCRIPTS), os.environ.get("PYTHONPATH")])),
                }
            )
            if contestant.processes > 1:
                environment |= {"RANK": str(rank), "WORLD_SIZE": str(contestant.processes), "LOCAL_RANK": str(rank)}
                environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29517"}
            self.processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "benchmarking.worker", task],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    env=environment,
                )  # fmt: skip
            )
        self.times = Times(self.answers()[0]["parameters"])

    def answers(self) -> list[dict[str, Any]]:
        """Read one line of JSON from each process."""
        lines = [process.stdout.readline() for process in self.processes]  # type: ignore[union-attr]
        if not all(lines):
            sys.exit(f"{self.contestant.name}: ended too early, see above")
        return [json.loads(line) for line in lines]

    def take_turn(self, steps: int | None, counts: bool) -> None:
        """Let all processes make one turn; if it ``counts``, the time of the first one is recorded."""
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write(json.dumps(steps) + "\n")
            process.stdin.flush()
        answers = self.answers()
        if counts:
            self.times.seconds.append(answers[0]["seconds"])
            self.times.work.append(Work(**answers[0]["work"]))
            self.times.peak_memory = sum(answer["peak_memory"] for answer in answers)
            self.times.gpu_memory = sum(answer["gpu_memory"] for answer in answers)

    def end(self) -> None:
        """End the processes."""
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.close()
        for process in self.processes:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:  # it waits for a process that has failed
                process.kill()


def take_turns(case: Case, repeats: int, steps: int | None, threads: int) -> dict[str, Times]:
    """Measure the contestants of a case.

    Args:
        case: the contestants.
        repeats: timed turns of each contestant.
        steps: steps of a turn; None is a whole epoch.
        threads: threads of each process.
    """
    everyone: list[Workers] = []
    try:
        for contestant in case.contestants:
            everyone.append(Workers(contestant, threads))
            everyone[-1].start()
            everyone[-1].take_turn(2, counts=False)  # warmup
        for repeat in range(repeats):
            for workers in everyone:
                workers.take_turn(steps, counts=True)
                print(f"  {repeat + 1}/{repeats} {workers.contestant.name}: {workers.times.seconds[-1]:.2f} s",
                      file=sys.stderr, flush=True)  # fmt: skip
    finally:
        for workers in everyone:
            workers.end()
    return {workers.contestant.name: workers.times for workers in everyone}


def relative(times: Times, first: Times) -> tuple[float, float, float]:
    """Median, minimum and maximum over the turns of the ratio of a contestant's time per token to that of another."""
    ratios = [a / b for a, b in zip(times.seconds_per_token, first.seconds_per_token, strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)
