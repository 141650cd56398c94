"""What a run writes for TensorBoard: its scalars, figures and texts, each with a description."""

import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqtrain.runs.directory import writing
from seqtrain.tasks.base import Curve
from seqtrain.training.event_files import (
    EXPLANATION,
    FINAL,
    ORDERED,
    await_next_second,
    naming,
    without_tensorflow,
    write_events,
)
from seqtrain.training.media import Media
from seqtrain.training.tags import description, ordered, picture_description

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HISTOGRAM_BINS = 64

DATA_CLASSES = {
    "scalars": "DATA_CLASS_SCALAR",
    "images": "DATA_CLASS_BLOB_SEQUENCE",
    "text": "DATA_CLASS_TENSOR",
    "pr_curves": "DATA_CLASS_TENSOR",
    "histograms": "DATA_CLASS_TENSOR",
}
"""How the data of each plugin are stored."""


class TensorBoard:
    """Writes a TensorBoard event file, in which every tag has its description.

    Args:
        directory: the run's directory.
        purge_step: when resuming, TensorBoard discards events of this step and later ones from earlier event files.
        max_grad_norm: level to be drawn beside the norm of the gradient, if any.
    """

    def __init__(self, directory: Path, purge_step: int | None = None, max_grad_norm: float | None = None):
        without_tensorflow()
        from torch.utils.tensorboard.writer import SummaryWriter

        self.directory = directory
        self.name = naming(directory)
        self.max_grad_norm = {} if max_grad_norm is None else {"train/max_grad_norm": max_grad_norm}
        self.described: set[str] = set()
        threading.excepthook = thread_excepthook
        with writing(directory, directory):
            for name in (FINAL, EXPLANATION):  # the run goes on
                (directory / name).unlink(missing_ok=True)
            if purge_step is not None:
                await_next_second(directory)
            suffix = ORDERED if self.name is ordered else ""
            self.writer = SummaryWriter(str(directory), purge_step=purge_step, flush_secs=10, filename_suffix=suffix)

    def scalars(self, step: int, values: dict[str, float]) -> None:
        if "train/grad_norm" in values:
            values = values | self.max_grad_norm
        for tag, value in values.items():
            self.add(scalar_summary(self.name(tag), value, self.text_of(tag)), step)

    def media(self, step: int, figures: dict[str, "Figure"], texts: dict[str, str]) -> None:
        for tag, figure in figures.items():
            self.add(image_summary(self.name(tag), figure, self.text_of(tag, picture_description)), step)
        for tag, text in texts.items():
            self.add(text_summary(self.name(tag), text, self.text_of(tag, picture_description)), step)

    def histograms(self, step: int, values: dict[str, np.ndarray]) -> None:
        for tag, numbers in values.items():
            self.add(histogram_summary(self.name(tag), numbers, self.text_of(tag, picture_description)), step)

    def text_of(self, tag: str, describe: Callable[[str], str] = description) -> str:
        """The description of a tag the first time, as TensorBoard keeps the first; later empty, to save space."""
        if tag in self.described:
            return ""
        self.described.add(tag)
        return describe(tag)

    def start_session(self, hparams: dict[str, Any], layout: bytes) -> None:
        """Write the run's row of the HParams table, and its charts of several tags.

        Only the start and end of the session are written. If each run also wrote a summary of the experiment,
        TensorBoard 2.21 would hide all columns that the first run does not have.

        Args:
            hparams: the row.
            layout: layout of the Custom Scalars page.
        """
        from torch.utils.tensorboard.summary import hparams as summaries

        _, start, self.session_end = summaries(hparams, {})
        self.add(start)
        self.add(layout_summary(layout))

    def end_session(self) -> None:
        """Mark the run as finished in the HParams table."""
        self.add(self.session_end)

    def add(self, summary: Any, step: int | None = None) -> None:
        """Write a summary."""
        with writing(self.directory / "events.out.*", self.directory):
            self.writer._get_file_writer().add_summary(summary, step)

    def close(self) -> None:
        with writing(self.directory / "events.out.*", self.directory):
            self.writer.close()


def write_final_events(
    directory: Path,
    scalars: dict[str, float],
    levels: dict[str, float],
    step: int,
    media: Media,
    best_step: int,
    name: str = FINAL,
) -> None:
    """Write the event file of what is known once training has ended.

    It is a file of its own, which is removed when the run goes on: TensorBoard can discard later steps, but not the
    scores on test at an earlier one.

    Args:
        directory: the run's directory.
        scalars: scores of the best checkpoint, at the last step.
        levels: values to be drawn as level lines from the first step to the last.
        step: the last step.
        media: figures, texts and curves of the best checkpoint.
        best_step: its step.
        name: name of the file.
    """
    without_tensorflow()
    named = naming(directory)
    summaries = []
    for at, values in ((0, levels), (step, levels), (step, scalars)):
        for tag, value in values.items():
            summaries.append((at, scalar_summary(named(tag), value, description(tag))))
    shown = [image_summary(named(tag), each, picture_description(tag)) for tag, each in media.figures.items()]
    shown += [text_summary(named(tag), each, picture_description(tag)) for tag, each in media.texts.items()]
    shown += [curve_summary(named(tag), each, picture_description(tag)) for tag, each in media.curves.items()]
    summaries += [(best_step, each) for each in shown]
    path = directory / name
    with writing(path, directory):
        write_events(path, summaries)


def scalar_summary(tag: str, value: float, text: str) -> Any:
    """Summary of a value of a tag, with the description of the tag."""
    from torch.utils.tensorboard.summary import scalar

    return described(scalar(tag, value), "scalars", text)


def image_summary(tag: str, figure: "Figure", text: str) -> Any:
    """Summary of a figure, with the description of the tag."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    width, height, png = to_png(figure)
    image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png)
    return described(Summary(value=[Summary.Value(tag=tag, image=image)]), "images", text)


def text_summary(tag: str, content: str, text: str) -> Any:
    """Summary of a text in Markdown, with the description of the tag."""
    from torch.utils.tensorboard.summary import text as summary

    return described(summary(tag, content), "text", text)


def curve_summary(tag: str, curve: Curve, text: str) -> Any:
    """Summary of precision against recall at 127 thresholds, with the description of the tag."""
    from torch.utils.tensorboard.summary import pr_curve

    probabilities, true = curve
    return described(pr_curve(tag, true, probabilities), "pr_curves", text)


def histogram_summary(tag: str, values: np.ndarray, text: str) -> Any:
    """Summary of how values are distributed, with the description of the tag."""
    from torch.utils.tensorboard.summary import histogram

    return described(histogram(tag, values, HISTOGRAM_BINS), "histograms", text)


def layout_summary(layout: bytes) -> Any:
    """Summary that holds a layout of the Custom Scalars page."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.plugins.custom_scalar.metadata import CONFIG_SUMMARY_TAG, create_summary_metadata

    tensor = TensorProto(dtype="DT_STRING", string_val=[layout])
    return Summary(value=[Summary.Value(tag=CONFIG_SUMMARY_TAG, metadata=create_summary_metadata(), tensor=tensor)])


def described(summary: Any, plugin: str, text: str) -> Any:
    """A summary with a description.

    TensorBoard's server keeps the description only where the metadata also name the plugin and the class of the data.
    """
    from tensorboard.compat.proto.summary_pb2 import DataClass

    if text:
        for value in summary.value:
            value.metadata.summary_description = text
            value.metadata.plugin_data.plugin_name = plugin
            value.metadata.data_class = DataClass.Value(DATA_CLASSES[plugin])
    return summary


def thread_excepthook(report: threading.ExceptHookArgs) -> None:
    """Report the error that ended a thread, except of TensorBoard's writer, which raises it again at the next write."""
    if type(report.thread).__module__ != "tensorboard.summary.writer.event_file_writer":
        threading.__excepthook__(report)


def to_png(figure: "Figure") -> tuple[int, int, bytes]:
    """Width and height of a figure in pixels, and the figure as PNG of 64 colours, which takes a third of the space."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba()).convert("RGB")
    file = io.BytesIO()
    image.quantize(64, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(file, "png", optimize=True)
    return image.width, image.height, file.getvalue()
