"""Contestants that take turns: each in processes of its own, of which only those of one contestant work at a time."""

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
    """What was done in a turn."""

    steps: int = 0
    tokens: int = 0
    """Real ones; values of a series count as tokens."""
    places: int = 0
    """Tokens and padding."""

    def add(self, tokens: int, places: int) -> None:
        """Take in a step."""
        self.steps, self.tokens, self.places = self.steps + 1, self.tokens + tokens, self.places + places


Turn = Callable[[int | None], Work]
"""Does the first so many steps of a training epoch, or all of them, and begins anew the next time."""


@dataclass(frozen=True)
class Contestant:
    """Who is timed."""

    name: str
    make: str
    """``module:function`` of this package that makes its turn and says how many parameters it trains."""
    options: Mapping[str, Any]
    """Of that function."""
    processes: int = 1
    threads: int | None = None
    """Of each process; None takes what the benchmark was given."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that its processes get besides."""


@dataclass(frozen=True)
class Case:
    """A comparison; the first contestant is what the others are measured by."""

    title: str
    contestants: Sequence[Contestant]
    steps: int | None = None
    """Of a turn; None is a whole epoch."""


@dataclass
class Times:
    """What was measured of a contestant."""

    parameters: int
    seconds: list[float] = field(default_factory=list)
    """Of each turn."""
    work: list[Work] = field(default_factory=list)
    peak_memory: float = 0.0
    """MB of all its processes, each at its own peak."""
    gpu_memory: float = 0.0
    """MB of tensors on the GPU, likewise."""

    @property
    def seconds_per_token(self) -> list[float]:
        """Of each turn."""
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
        """A line from each process."""
        lines = [process.stdout.readline() for process in self.processes]  # type: ignore[union-attr]
        if not all(lines):
            sys.exit(f"{self.contestant.name}: ended before its time, see above")
        return [json.loads(line) for line in lines]

    def take_turn(self, steps: int | None, counts: bool) -> None:
        """Have all processes do one turn; the first one's clock is taken."""
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
        """Let the processes end."""
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.close()
        for process in self.processes:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:  # it waits for another one that has failed
                process.kill()


def take_turns(case: Case, repeats: int, steps: int | None, threads: int) -> dict[str, Times]:
    """Measure the contestants of a case.

    Args:
        case: who takes part.
        repeats: timed turns of each.
        steps: of a turn; None is a whole epoch.
        threads: of a process.
    """
    everyone: list[Workers] = []
    try:
        for contestant in case.contestants:
            everyone.append(Workers(contestant, threads))
            everyone[-1].start()
            everyone[-1].take_turn(2, counts=False)  # for warming up
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
    """Median, least and greatest of a contestant's time per token over that of the first, round by round."""
    ratios = [a / b for a, b in zip(times.seconds_per_token, first.seconds_per_token, strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)
