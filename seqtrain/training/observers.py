"""Observers of a run: what they are told, and those that write its scalars to a JSON lines file and the console."""

import json
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from tqdm import tqdm

from seqtrain.atomic import open_to_append, replacing
from seqtrain.runs.directory import writing
from seqtrain.runs.metrics import Entry, parse, raw_lines

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLAIN_SECONDS = 10.0  # between progress lines, if the output is not a terminal


class Observer(Protocol):
    """Receives values of a run while it trains. Steps are optimizer steps; tags have the form ``train/loss``."""

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Record scalar values at a step."""

    def media(self, step: int, figures: dict[str, "Figure"], texts: dict[str, str]) -> None:
        """Record figures and texts at a step."""

    def histograms(self, step: int, values: dict[str, np.ndarray]) -> None:
        """Record how the values of weights and gradients are distributed at a step."""

    def close(self) -> None:
        """Finish, when the run has ended."""


class JsonLines:
    """Appends JSON objects to a file, one line for each call of ``scalars``.

    Args:
        path: the file.
        keep_until: when resuming, the last step to keep; lines of later steps, test scores and damaged lines are
            removed first.
        evaluation_due: whether that step is still to be evaluated; its validation scores are then removed too.

    Raises:
        RunError: if the file cannot be read or written.
    """

    def __init__(self, path: Path, keep_until: int | None = None, evaluation_due: bool = False):
        self.path = path
        self.at_last_step: dict[str, float] = {}
        """Values of the last step to keep, by tag."""
        with writing(path, path.parent):
            if keep_until is not None and path.exists():
                self.cut(keep_until, evaluation_due)
            self.file = open_to_append(path)

    def cut(self, last_step: int, evaluation_due: bool) -> None:
        """Remove from the file what a run that goes on from a step will log again."""
        with replacing(self.path) as temporary, temporary.open("wb") as file:
            for line in raw_lines(self.path):
                entry = parse(line)
                if entry is None or not keeps(entry, last_step, evaluation_due):
                    continue
                file.write(line.rstrip() + b"\n")
                step, values = entry
                if step == last_step:
                    self.at_last_step |= {tag: value for tag, value in values.items() if value is not None}

    def scalars(self, step: int, values: dict[str, float]) -> None:
        finite = {tag: value if math.isfinite(value) else None for tag, value in values.items()}
        with writing(self.path, self.path.parent):
            self.file.write(json.dumps({"step": step} | finite) + "\n")

    def media(self, step: int, figures: dict[str, "Figure"], texts: dict[str, str]) -> None:
        pass

    def histograms(self, step: int, values: dict[str, np.ndarray]) -> None:
        pass

    def close(self) -> None:
        with writing(self.path, self.path.parent):
            self.file.close()


class Console:
    """A progress bar on stderr with a line above it for each evaluation, or plain lines where that is no terminal.

    Every value is shown once, in the first line after it was measured. To be made once the lines that describe the run
    are written.

    Args:
        total_steps: number of steps of the run.
        step: number of steps already made.
        monitor: tag of the metric to show.
    """

    def __init__(self, total_steps: int, step: int, monitor: str):
        self.total_steps, self.first, self.monitor = total_steps, step, monitor
        self.started = self.shown = time.monotonic()
        self.fresh: dict[str, str] = {}
        """Of training, since the last line."""
        self.epochs_per_step: float | None = None
        self.bar = (
            tqdm(total=total_steps, initial=step, unit="step", dynamic_ncols=True) if sys.stderr.isatty() else None
        )

    def scalars(self, step: int, values: dict[str, float]) -> None:
        names = {"train/loss": ("loss", ".4f"), "train/tokens_per_second": ("tokens/s", ",.0f")}
        trained = {name: format(values[tag], form) for tag, (name, form) in names.items() if tag in values}
        score = {self.monitor: f"{values[self.monitor]:.4f}"} if self.monitor in values else {}
        if "train/epoch" in values and step:
            self.epochs_per_step = values["train/epoch"] / step
        self.fresh |= trained
        if self.bar is not None:
            if trained:
                self.bar.set_description_str(self.epoch(step), refresh=False)
                self.bar.set_postfix_str(words(trained), refresh=False)
            if trained or score:
                self.bar.update(step - self.bar.n)
                self.bar.refresh()
            if score:
                self.bar.write(self.line(step, score), file=sys.stderr)
        elif score or (trained and time.monotonic() - self.shown > PLAIN_SECONDS):
            self.shown = time.monotonic()
            left = (self.shown - self.started) / max(step - self.first, 1) * (self.total_steps - step)
            print(f"{self.line(step, score)}  left {left:.0f} s", file=sys.stderr, flush=True)

    def line(self, step: int, score: dict[str, str]) -> str:
        """Where training is, and what was measured since the last line."""
        parts = [f"step {step}/{self.total_steps}", self.epoch(step), words(self.fresh | score)]
        self.fresh = {}
        return "  ".join(part for part in parts if part)

    def epoch(self, step: int) -> str:
        """How many epochs are done; empty before the first entry that tells."""
        return "" if self.epochs_per_step is None else f"epoch {step * self.epochs_per_step:.2f}"

    def media(self, step: int, figures: dict[str, "Figure"], texts: dict[str, str]) -> None:
        pass

    def histograms(self, step: int, values: dict[str, np.ndarray]) -> None:
        pass

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def words(values: dict[str, str]) -> str:
    """Names and values side by side."""
    return "  ".join(f"{name} {value}" for name, value in values.items())


def keeps(entry: Entry, last_step: int, evaluation_due: bool) -> bool:
    """Whether an entry of metrics is kept when a run is resumed from a step."""
    step, values = entry
    repeated = ("test/", "val/") if evaluation_due and step == last_step else "test/"
    return step <= last_step and not any(tag.startswith(repeated) for tag in values)
