from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from seqtrain.tasks.classification.figures import reliability_figure
from seqtrain.tasks.classification.metrics import reliability_bins
from seqtrain.tasks.language.figures import (
    loss_by_position_figure,
    token_calibration_figure,
)


def draw(figure: Figure) -> None:
    """Draw in full, to an array; pytest turns every warning into an error."""
    figure.set_dpi(40)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = np.asarray(canvas.buffer_rgba())
    assert image.min() < image.max()


def test_loss_by_position_figure_shows_the_mean_at_each_position() -> None:
    counts = np.array([4, 2, 0, 3, 1])
    nats = np.array([8, 3, 0, 3, 0.5], np.float32)
    figure = loss_by_position_figure(nats, counts)
    axes: Any = figure.axes[0]
    curve, mean = axes.lines
    assert curve.get_xydata().tolist() == [[1, 2], [2, 1.5], [4, 1], [5, 0.5]]
    assert mean.get_linestyle() == "--"
    assert mean.get_ydata() == pytest.approx([1.45, 1.45])
    assert axes.get_title() == "mean of the first tenth 2.000, of the last tenth 0.500"
    assert axes.get_legend().get_texts()[0].get_text() == "mean of all tokens, 1.450"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("position in the segment", "loss in nats per token")
    draw(figure)


@pytest.mark.parametrize("steps, width", [(100, 1), (101, 2), (1000, 10), (1024, 11)])
def test_loss_by_position_figure_averages_over_many_positions(steps: int, width: int) -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 50, steps)
    counts[width : 2 * width] = 0  # the second point has no tokens
    nats = rng.random(steps) * counts
    figure = loss_by_position_figure(nats, counts)
    axes: Any = figure.axes[0]
    expected = []
    for start in range(0, steps, width):
        part = slice(start, start + width)
        if total := counts[part].sum():
            centre = sum((i + 1) * counts[i] for i in range(steps)[part]) / total
            expected.append([centre, nats[part].sum() / total])
    assert axes.lines[0].get_xydata() == pytest.approx(np.array(expected))
    assert len(expected) < 100
    tenth = -(-steps // 10)
    first, last = nats[:tenth].sum() / counts[:tenth].sum(), nats[-tenth:].sum() / counts[-tenth:].sum()
    assert axes.get_title() == f"mean of the first tenth {first:.3f}, of the last tenth {last:.3f}"
    draw(figure)


@pytest.mark.parametrize(
    "nats, counts, title",
    [
        ([], [], "no tokens"),
        ([0, 0], [0, 0], "no tokens"),
        ([3], [2], "mean of the first tenth 1.500, of the last tenth 1.500"),
        ([3, 0], [2, 0], "mean of the first tenth 1.500, of the last tenth (no tokens)"),
    ],
)
def test_loss_by_position_figure_of_little(nats: list[float], counts: list[int], title: str) -> None:
    figure = loss_by_position_figure(np.array(nats, float), np.array(counts, int))
    axes: Any = figure.axes[0]
    assert axes.get_title() == title
    assert len(axes.lines[0].get_xydata()) == sum(count > 0 for count in counts)
    draw(figure)


def test_token_calibration_figure_shows_accuracy_and_count_per_bin() -> None:
    confidence_sums = np.array([0.0, 1200.5, 30, 3.6])
    hits, counts = np.array([0, 1000, 40, 4]), np.array([0, 3000, 50, 4])
    figure = token_calibration_figure(confidence_sums, hits, counts)
    upper: Any
    lower: Any
    upper, lower = figure.axes
    assert [bar.get_height() for bar in upper.patches] == pytest.approx([0, 1 / 3, 0.8, 1])
    assert [bar.get_x() for bar in upper.patches] == pytest.approx([0, 0.25, 0.5, 0.75])
    assert [bar.get_height() for bar in lower.patches] == [0, 3000, 50, 4]
    assert [text.get_text() for text in lower.texts] == ["", "3,000", "50", "4"]
    assert upper.get_title() == f"calibration error {(200.5 + 10 + 0.4) / 3054:.3f}"
    assert upper.lines[0].get_xydata().tolist() == [[0, 0], [1, 1]]
    assert lower.get_ylabel() == "tokens"
    draw(figure)


def test_token_calibration_figure_labels_stay_inside() -> None:
    counts = np.array([9_999_999] * 15)
    figure = token_calibration_figure(counts * 0.5, counts // 2, counts)
    FigureCanvasAgg(figure).draw()
    lower: Any = figure.axes[1]
    assert all(text.get_window_extent().y1 < lower.get_window_extent().y1 for text in lower.texts)


@pytest.mark.parametrize("num_bins", [1, 15])
def test_token_calibration_figure_without_tokens(num_bins: int) -> None:
    none = np.zeros(num_bins, int)
    figure = token_calibration_figure(none.astype(float), none, none)
    upper: Any = figure.axes[0]
    assert upper.get_title() == "no tokens"
    assert [bar.get_height() for bar in upper.patches] == [0] * num_bins
    draw(figure)


def test_token_calibration_figure_equals_that_of_the_probabilities() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(5) * 0.3, 400)
    targets = rng.integers(0, 5, 400)
    confidence, accuracy, counts = reliability_bins(probabilities, targets)
    figure = token_calibration_figure(confidence * counts, np.rint(accuracy * counts).astype(int), counts)
    from_probabilities = reliability_figure(probabilities, targets)
    for mine, other in zip(figure.axes, from_probabilities.axes, strict=True):
        bars: Any = zip(mine.patches, other.patches, strict=True)
        assert all(bar.get_bbox().extents == pytest.approx(same.get_bbox().extents) for bar, same in bars)
        assert mine.get_title() == other.get_title()
