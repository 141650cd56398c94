"""What a run writes for TensorBoard: event files with its scalars, figures and texts."""

import sys
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from seqtrain.atomic import replacing
from seqtrain.runs.directory import writing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FINAL = "events.out.tfevents.final"
"""Event file with what is known once training has ended. TensorBoard reads it last, as it comes last by name."""


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
            (directory / FINAL).unlink(missing_ok=True)  # the run goes on
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
    directory: Path, scalars: dict[str, float], step: int, figures: dict[str, "Figure"], best_step: int
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
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter
    from torch.utils.tensorboard.summary import image, scalar

    events = [Event(file_version="brain.Event:2")]
    events += [Event(step=step, summary=scalar(tag, value)) for tag, value in scalars.items()]
    for tag, figure in figures.items():
        events.append(Event(step=best_step, summary=image(tag, to_pixels(figure), dataformats="HWC")))
    path = directory / FINAL
    with writing(path, directory), replacing(path) as temporary, temporary.open("wb") as file:
        records = RecordWriter(file)
        for event in events:
            event.wall_time = time.time()
            records.write(event.SerializeToString())


def thread_excepthook(report: threading.ExceptHookArgs) -> None:
    """Report the error that ended a thread, except of TensorBoard's writer, which raises it again at the next write."""
    if type(report.thread).__module__ != "tensorboard.summary.writer.event_file_writer":
        threading.__excepthook__(report)


def to_pixels(figure: "Figure") -> Any:
    """A figure as an image of shape (height, width, 3), uint8."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]
