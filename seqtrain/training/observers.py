"""Observers of a run, which write its scalars, figures and texts to TensorBoard, a JSON lines file and the console."""

import json
import math
import sys
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

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

    def close(self) -> None:
        """Finish, when the run has ended."""


FINAL = "events.out.tfevents.final"
"""Event file with what is known once training has ended. TensorBoard reads it last, as it comes last by name."""
EXPLANATION = f"{FINAL}-explanation"
"""Event file with the figures of an explanation, which comes after it."""


class TensorBoard:
    """Writes a TensorBoard event file.

    Args:
        directory: the run's directory.
        purge_step: when resuming, TensorBoard discards events of this step and later ones from earlier event files.
    """

    def __init__(self, directory: Path, purge_step: int | None = None):
        # If TensorFlow is installed, TensorBoard would load all of it just to write a file: 4 s and 600 MB.
        sys.modules.setdefault("tensorboard.compat.notf", ModuleType("notf"))
        from torch.utils.tensorboard.writer import SummaryWriter

        self.directory = directory
        threading.excepthook = thread_excepthook
        with writing(directory, directory):
            for name in (FINAL, EXPLANATION):  # the run goes on
                (directory / name).unlink(missing_ok=True)
            self.writer = SummaryWriter(str(directory), purge_step=purge_step, flush_secs=10)

    def scalars(self, step: int, values: dict[str, float]) -> None:
        with writing(self.directory / "events.out.*", self.directory):
            for tag, value in values.items():
                self.writer.add_scalar(tag, value, step)

    def media(self, step: int, figures: dict[str, "Figure"], texts: dict[str, str]) -> None:
        with writing(self.directory / "events.out.*", self.directory):
            for tag, figure in figures.items():
                self.writer.add_image(tag, to_pixels(figure), step, dataformats="HWC")
            for tag, text in texts.items():
                self.writer.add_text(tag, text, step)

    def start_session(self, hparams: dict[str, Any]) -> None:
        """Write the run's row of the HParams table.

        Only the start and end of the session are written. If each run also wrote a summary of the experiment,
        TensorBoard 2.21 would hide all columns that the first run does not have.
        """
        from torch.utils.tensorboard.summary import hparams as summaries

        _, start, self.session_end = summaries(hparams, {})
        self.add(start)

    def end_session(self) -> None:
        """Mark the run as finished in the HParams table."""
        self.add(self.session_end)

    def add(self, summary: Any) -> None:
        """Write a summary."""
        with writing(self.directory / "events.out.*", self.directory):
            self.writer._get_file_writer().add_summary(summary)

    def close(self) -> None:
        with writing(self.directory / "events.out.*", self.directory):
            self.writer.close()


def write_final_events(
    directory: Path,
    scalars: dict[str, float],
    step: int,
    figures: dict[str, "Figure"],
    best_step: int,
    name: str = FINAL,
) -> None:
    """Write the event file of what is known once training has ended.

    It is a file of its own, which is removed when the run goes on: TensorBoard can discard later steps, but not the
    scores on test at an earlier one.

    Args:
        directory: the run's directory.
        scalars: scores on test.
        step: the last step.
        figures: figures of the best checkpoint.
        best_step: its step.
        name: name of the file.
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter
    from torch.utils.tensorboard.summary import image, scalar

    events = [Event(file_version="brain.Event:2")]
    events += [Event(step=step, summary=scalar(tag, value)) for tag, value in scalars.items()]
    for tag, figure in figures.items():
        events.append(Event(step=best_step, summary=image(tag, to_pixels(figure), dataformats="HWC")))
    path = directory / name
    with writing(path, directory), replacing(path) as temporary, temporary.open("wb") as file:
        records = RecordWriter(file)
        for event in events:
            event.wall_time = time.time()
            records.write(event.SerializeToString())


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

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def words(values: dict[str, str]) -> str:
    """Names and values side by side."""
    return "  ".join(f"{name} {value}" for name, value in values.items())


def thread_excepthook(report: threading.ExceptHookArgs) -> None:
    """Report the error that ended a thread, except of TensorBoard's writer, which raises it again at the next write."""
    if type(report.thread).__module__ != "tensorboard.summary.writer.event_file_writer":
        threading.__excepthook__(report)


def keeps(entry: Entry, last_step: int, evaluation_due: bool) -> bool:
    """Whether an entry of metrics is kept when a run is resumed from a step."""
    step, values = entry
    repeated = ("test/", "val/") if evaluation_due and step == last_step else "test/"
    return step <= last_step and not any(tag.startswith(repeated) for tag in values)


def to_pixels(figure: "Figure") -> Any:
    """A figure as an image of shape (height, width, 3), uint8."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]
