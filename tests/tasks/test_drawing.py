"""What the figures of all tasks share."""

import io
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from seqtrain.tasks.drawing import TYPE, drawable, headed, heading, label, new_figure
from seqtrain.training.events import to_png


def test_a_heading_says_split_step_score_and_remark() -> None:
    assert heading("validation", 1200, "accuracy", 0.87654, "best so far") == (
        "validation, step 1,200: accuracy 0.8765, best so far"
    )
    assert heading("test", 7, "mse", float("nan")) == "test, step 7: mse nan"


def test_type_is_readable_in_a_thumbnail_of_300_pixels() -> None:
    figure = new_figure()
    label(figure.add_subplot(), "$title", "x", "y")
    headed({"one": figure}, "$heading_^")
    FigureCanvasAgg(figure).draw()
    axes: Any = figure.axes[0]
    scale = 300 / figure.bbox.width
    for text in (axes.title, axes.xaxis.label, axes.yaxis.label):
        assert text.get_fontsize() == TYPE and text.get_fontsize() * 100 / 72 * scale > 8
    assert figure.get_suptitle() == "$heading_^"
    (above,) = figure.texts
    boxes = [text.get_window_extent() for text in (above, axes.title)]
    assert boxes[0].y0 >= boxes[1].y1 and boxes[0].y1 <= figure.bbox.y1


def test_a_missing_glyph_becomes_a_box() -> None:
    assert drawable("naïve 語 \x96") == "naïve □ □"


def test_a_png_has_few_colours_and_the_size_of_the_figure() -> None:
    figure = new_figure(2)
    figure.add_subplot().plot(np.arange(10))
    width, height, png = to_png(figure)
    image = Image.open(io.BytesIO(png))
    colours = image.getcolors()
    assert (width, height) == image.size == (640, 200) and image.mode == "P"
    assert colours is not None and len(colours) <= 64
