from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from seqtrain.probe.figures import gradient_by_lag_figure


def draw(figure: Figure) -> None:
    """Draw in full, to an array; pytest turns every warning into an error."""
    figure.set_dpi(40)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = np.asarray(canvas.buffer_rgba())
    assert image.min() < image.max()


def test_gradient_by_lag_figure_shows_each_norm() -> None:
    norms = np.array([2, 1, 0.01, 0.5, 0.019, 0.001])
    figure = gradient_by_lag_figure(norms)
    axes: Any = figure.axes[0]
    curve, limit = axes.lines
    assert curve.get_xydata().tolist() == [[lag, norm] for lag, norm in enumerate(norms)]
    assert limit.get_ydata() == pytest.approx([0.02, 0.02])
    assert axes.get_yscale() == "log"
    assert axes.get_title() == "below 1 % of the largest for good: from lag 4"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("lag in steps", "norm of the gradient")
    draw(figure)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradient_by_lag_figure_leaves_gaps_where_a_log_axis_has_no_place(dtype: Any) -> None:
    norms = np.array([1, 0, 1e-40, 0.5, 1e-37, 0], dtype)
    figure = gradient_by_lag_figure(norms)
    axes: Any = figure.axes[0]
    assert np.array_equal(axes.lines[0].get_ydata(), np.where([1, 0, 0, 1, 1, 0], norms, np.nan), equal_nan=True)
    assert axes.get_xlim() == (-0.5, 5.5)  # gaps at the end too
    assert axes.get_title() == "below 1 % of the largest for good: from lag 4"
    draw(figure)


@pytest.mark.parametrize(
    "norms, title",
    [
        ([], "no gradient at any lag"),
        ([0, 0], "no gradient at any lag"),
        ([1e-320], "no gradient at any lag"),
        ([np.nan, np.inf], "no gradient at any lag"),
        ([3], "below 1 % of the largest for good: never"),
        ([2, 2, 2], "below 1 % of the largest for good: never"),
        ([1, 0.001, 0.02], "below 1 % of the largest for good: never"),
        ([1, 0.001, np.nan], "below 1 % of the largest for good: never"),
        ([1, 0, 0], "below 1 % of the largest for good: from lag 1"),
        ([3e38, 1.2e-38], "below 1 % of the largest for good: from lag 1"),
        ([1e300, 1, 1e-300], "below 1 % of the largest for good: from lag 2"),
    ],
)
def test_gradient_by_lag_figure_of_extremes(norms: list[float], title: str) -> None:
    figure = gradient_by_lag_figure(np.array(norms, float))
    assert figure.axes[0].get_title() == title
    draw(figure)
