"""Who is told how a run goes: TensorBoard, a file of JSON lines, the console."""

import json
import math
import sys
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from tqdm import tqdm

from seqtrain.atomic import replacing
from seqtrain.run_directory import writing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLAIN_SECONDS = 10.0  # between progress lines where the output is not a terminal


class Observer(Protocol):
    """Told of a run as it goes. Steps are optimizer steps; tags have the form ``train/loss``."""

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Values at a step."""

    def media(self, step: int, figures: dict[str, "Figure"], texts: dict[str, str]) -> None:
        """Figures and texts at a step."""

    def close(self) -> None:
        """The run is over."""


class TensorBoard:
    """Writes an event file.

    Args:
        directory: the run's.
        purge_step: on resuming, what an earlier event file says of this step and later ones is void.
    """

    def __init__(self, directory: Path, purge_step: int | None = None):
        # Where TensorFlow is installed, TensorBoard would load all of it to write a file: 4 s and 600 MB.
        sys.modules.setdefault("tensorboard.compat.notf", ModuleType("notf"))
        from torch.utils.tensorboard.writer import SummaryWriter

        self.directory = directory
        threading.excepthook = thread_excepthook
        with writing(directory, directory):
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

        Only the start and end of the session are written: TensorBoard 2.21 hides columns that the first run lacks where
        each run also brings a summary of the whole experiment.
        """
        from torch.utils.tensorboard.summary import hparams as summaries

        _, start, self.session_end = summaries(hparams, {})
        self.writer._get_file_writer().add_summary(start)

    def end_session(self) -> None:
        """Mark the run as finished in the HParams table."""
        self.writer._get_file_writer().add_summary(self.session_end)

    def close(self) -> None:
        with writing(self.directory / "events.out.*", self.directory):
            self.writer.close()


class JsonLines:
    """Appends one JSON object a step to a file.

    Args:
        path: the file.
        keep_until: on resuming, lines of later steps are cut off first, and the scores on test.
        evaluation_due: that step's evaluation is still to be made, so that its scores are cut off too.
    """

    def __init__(self, path: Path, keep_until: int | None = None, evaluation_due: bool = False):
        if keep_until is not None and path.exists():
            with replacing(path) as temporary:
                kept = (line for line in path.read_text().splitlines() if keeps_line(line, keep_until, evaluation_due))
                temporary.write_text("".join(f"{line}\n" for line in kept))
        self.path, self.file = path, path.open("a", buffering=1)

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
    """A progress bar on stderr, or plain lines where that is no terminal.

    Args:
        total_steps: of the run.
        step: already made.
        monitor: tag of the metric to show.
    """

    def __init__(self, total_steps: int, step: int, monitor: str):
        self.total_steps, self.first, self.monitor = total_steps, step, monitor
        self.started = self.shown = time.monotonic()
        self.latest: dict[str, str] = {}
        self.bar = (
            tqdm(total=total_steps, initial=step, unit="step", dynamic_ncols=True) if sys.stderr.isatty() else None
        )

    def scalars(self, step: int, values: dict[str, float]) -> None:
        names = {"train/loss": "loss", self.monitor: self.monitor, "train/tokens_per_second": "tokens/s"}
        fresh = {name: values[tag] for tag, name in names.items() if tag in values}
        if not fresh:
            return
        self.latest |= {
            name: f"{value:,.0f}" if name == "tokens/s" else f"{value:.4f}" for name, value in fresh.items()
        }
        if self.bar is not None:
            self.bar.update(step - self.bar.n)
            self.bar.set_postfix(self.latest)
        elif self.monitor in values or time.monotonic() - self.shown > PLAIN_SECONDS:
            self.shown = time.monotonic()
            left = (self.shown - self.started) / max(step - self.first, 1) * (self.total_steps - step)
            parts = [f"{name} {value}" for name, value in self.latest.items()]
            print(
                f"step {step}/{self.total_steps}", *parts, f"left {left:.0f} s", sep="  ", file=sys.stderr, flush=True
            )

    def media(self, step: int, figures: dict[str, "Figure"], texts: dict[str, str]) -> None:
        pass

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def thread_excepthook(report: threading.ExceptHookArgs) -> None:
    """What a thread says of the error that ended it: nothing if TensorBoard raises it again at the next write."""
    if type(report.thread).__module__ != "tensorboard.summary.writer.event_file_writer":
        threading.__excepthook__(report)


def keeps_line(line: str, last_step: int, evaluation_due: bool) -> bool:
    """Whether a line of metrics stays when a run goes on from a step; one cut short by a crash does not."""
    try:
        values = json.loads(line)
        repeated = ("test/", "val/") if evaluation_due and values["step"] == last_step else "test/"
        return values["step"] <= last_step and not any(tag.startswith(repeated) for tag in values)
    except (ValueError, KeyError):
        return False


def to_pixels(figure: "Figure") -> Any:
    """A figure as pixels, (height, width, 3), uint8."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]
