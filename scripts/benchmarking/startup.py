"""Start-up times of the command: help, a config error, and the first optimizer step on prepared data."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path


def whole_process(*arguments: str, code: int = 0) -> float:
    """Time of a Python process (seconds), which must end with the exit code ``code``."""
    started = time.perf_counter()
    result = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    seconds = time.perf_counter() - started
    if result.returncode != code:
        sys.exit(f"python {' '.join(arguments)}: ended with {result.returncode}: {result.stderr}")
    return seconds


def first_step(data: str, cold: bool = False) -> float:
    """Time from the start of the command to the first line of metrics.jsonl, after the first step (seconds).

    Args:
        data: name of the dataset's configuration.
        cold: compile the kernels again; an unused macro makes the cache take the compiler for another one.
    """
    environment = dict(os.environ)
    if cold:
        environment["CXX"] = f"{os.environ.get('CXX', 'c++')} -DSTARTED={time.time_ns()}"
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        options = [f"hydra.run.dir={run}", "trainer.max_steps=1", "trainer.log_every=1", "trainer.baselines=false"]
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "seqtrain", f"data={data}", *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
        )
        metrics = run / "metrics.jsonl"
        while not (metrics.exists() and metrics.stat().st_size):
            if process.poll() is not None:
                sys.exit(f"the run ended before its first step: {process.stderr.read().decode()}")  # type: ignore[union-attr]
            time.sleep(0.01)
        seconds = time.perf_counter() - started
        process.kill()
        process.wait()
    return seconds


def startup_table(data: str, repeats: int) -> str:
    """Start-up times as a Markdown table of medians (seconds); the data is prepared by a run before."""
    timed: dict[str, Callable[[], float]] = {
        '`python -c "import hydra"`': lambda: whole_process("-c", "import hydra"),
        '`python -c "import torch"`': lambda: whole_process("-c", "import torch"),
        "`seqtrain --help`": lambda: whole_process("-m", "seqtrain", "--help"),
        "a config error (`trainer.epoch=3`)": lambda: whole_process("-m", "seqtrain", "trainer.epoch=3", code=1),
        f"first step of `data={data}`": lambda: first_step(data),
        "the same, kernels not yet compiled": lambda: first_step(data, cold=True),
    }
    first_step(data)
    found: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(repeats):
        for name, run in timed.items():
            found[name].append(run())
    rows = [
        f"| {name} | {statistics.median(seconds):.2f} | {min(seconds):.2f}-{max(seconds):.2f} |"
        for name, seconds in found.items()
    ]
    return "\n".join(["| until | seconds, median | min-max |", "|---|---:|---:|", *rows])
