from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from seqtrain.tasks.forecasting.figures import (
    attention_map_figure,
    error_by_step_figure,
    error_by_variable_figure,
)


def draw(figure: Figure) -> None:
    """Draw in full, to an array; pytest turns every warning into an error."""
    figure.set_dpi(40)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = np.asarray(canvas.buffer_rgba())
    assert image.min() < image.max()


def legend(figure: Figure) -> list[str]:
    (found,) = figure.legends
    return [text.get_text() for text in found.get_texts()]


def test_error_by_step_figure_shows_the_model_and_the_baselines() -> None:
    mse = np.array([0.1, 0.25, 0.5])
    baselines = {"last value": np.array([0.2, 0.4, 0.8]), "seasonal naive": np.array([0.3, np.nan, 0.3])}
    figure = error_by_step_figure(mse, baselines)
    axes: Any = figure.axes[0]
    for line, errors in zip(axes.lines, [mse, *baselines.values()], strict=True):
        assert line.get_xdata().tolist() == [1, 2, 3]
        assert np.array_equal(line.get_ydata(), errors, equal_nan=True)
    assert [line.get_linestyle() for line in axes.lines] == ["-", "--", "--"]
    assert len({line.get_color() for line in axes.lines}) == 3
    assert legend(figure) == ["model", "last value", "seasonal naive"]
    assert axes.get_title() == "model: first step 0.1, last step 0.5"
    assert axes.get_ylim()[0] == 0
    draw(figure)


def test_one_error_that_is_far_larger_does_not_flatten_the_rest() -> None:
    model, far = np.array([0.1, 0.2, 0.3]), {"last value": np.full(3, 40.0)}
    by_step, by_variable = error_by_step_figure(model, far), error_by_variable_figure(model, ["a", "b", "c"], far)
    steps: Any = by_step.axes[0]
    variables: Any = by_variable.axes[0]
    assert steps.get_yscale() == variables.get_xscale() == "log"
    draw(by_step)
    draw(by_variable)
    for near in (0.5, np.nan):
        steps = error_by_step_figure(model, {"last value": np.full(3, near)}).axes[0]
        assert steps.get_yscale() == "linear"
    steps = error_by_step_figure(np.array([0, 0.2, 0.3]), far).axes[0]
    assert steps.get_yscale() == "linear"  # a log axis has no place for 0


def test_error_by_step_figure_shows_coverage_beside_what_it_should_be() -> None:
    shares = np.array([0.9, np.nan, 0.7])
    coverage = {"coverage": (shares, 0.8), "conformal_coverage": (shares / 2, 0.8)}
    figure = error_by_step_figure(np.ones(3), {}, coverage)
    lower: Any = figure.axes[1]
    curves = lower.lines[::2]
    assert np.array_equal(curves[0].get_ydata(), shares, equal_nan=True)
    assert [line.get_ydata()[0] for line in lower.lines[1::2]] == [0.8, 0.8]
    texts = [text.get_text() for text in lower.get_legend().get_texts()]
    assert texts == ["interval, should be 80%", "conformal interval, should be 80%"]
    draw(figure)


@pytest.mark.parametrize("horizon", [1, 60, 720])
def test_error_by_step_figure_of_any_horizon(horizon: int) -> None:
    figure = error_by_step_figure(np.ones(horizon), {})
    axes: Any = figure.axes[0]
    assert all(float(tick).is_integer() for tick in axes.get_xticks())
    assert axes.lines[0].get_marker() == ("." if horizon <= 60 else "None")
    draw(figure)


def test_error_by_variable_figure_has_the_largest_above() -> None:
    mse = np.array([0.1, 0.5, np.nan, 0.25])
    baselines = {"last value": np.array([0.2, 0.4, np.nan, 0.8]), "linear": np.array([0.3, 0.3, 0.3, np.nan])}
    figure = error_by_variable_figure(mse, ["a", "b$_^$", "unseen", "d"], baselines)
    axes: Any = figure.axes[0]
    assert [bar.get_width() for bar in axes.patches] == [0.5, 0.25, 0.1]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["b$_^$", "d", "a"]
    assert axes.get_ylim() == (2.5, -0.5) and axes.get_xlim()[0] == 0
    for line, expected in zip(axes.lines, ([0.4, 0.8, 0.2], [0.3, np.nan, 0.3]), strict=True):
        assert np.array_equal(line.get_xdata(), expected, equal_nan=True) and line.get_ydata().tolist() == [0, 1, 2]
    assert set(legend(figure)) == {"model", "last value", "linear"}
    assert axes.get_title() == "model: from 0.5 to 0.1"
    draw(figure)


def test_error_by_variable_figure_of_many_variables() -> None:
    mse = np.random.default_rng(0).random(321).astype(np.float32)
    figure = error_by_variable_figure(mse, [f"client {number}" for number in range(321)], {})
    axes: Any = figure.axes[0]
    assert [bar.get_width() for bar in axes.patches] == sorted(mse.tolist(), reverse=True)[:40]
    assert axes.get_title().endswith(", the 40 largest of 321 variables")
    draw(figure)


@pytest.mark.parametrize("horizon, lookback", [(1, 1), (1, 96), (3, 2), (192, 720)])
def test_attention_map_has_a_row_for_each_step_of_the_horizon(horizon: int, lookback: int) -> None:
    weights = np.random.default_rng(0).dirichlet(np.ones(lookback), horizon).astype(np.float32)
    figure = attention_map_figure(weights, "cost in $, $^2")
    axes: Any = figure.axes[0]
    (image,) = axes.images
    assert np.array_equal(image.get_array(), weights)
    assert image.get_extent() == [0.5 - lookback, 0.5, horizon + 0.5, 0.5]  # the last value at 0, the first step above
    assert image.get_clim()[0] == 0
    assert axes.get_title() == "cost in $, $^2"
    assert axes.get_ylabel() == ("step of the horizon" if horizon > 1 else "")
    draw(figure)
