from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from seqtrain.tasks.forecasting.figures import (
    attention_map_figure,
    error_by_step_figure,
    error_by_variable_figure,
    forecast_figure,
)


def draw(figure: Figure) -> None:
    """Draw in full, to an array; pytest turns every warning into an error."""
    figure.set_dpi(40)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = np.asarray(canvas.buffer_rgba())
    assert image.min() < image.max()


def legend(figure: Figure) -> list[str]:
    axes: Any = figure.axes[0]
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_forecast_figure_shows_the_past_what_came_and_the_forecast() -> None:
    history, truth, forecast = np.array([1.0, 2, 3]), np.array([4.0, 5]), np.array([3.5, 6])
    times = ["Mon", "Tue", "Wed", "Thu", "Fri"]
    figure = forecast_figure(
        history, truth, forecast, forecast - 1, forecast + 2, times, title="cost in $, $^2", unit="$_"
    )
    axes: Any = figure.axes[0]
    observed, predicted, start = axes.lines
    assert observed.get_xydata().tolist() == [[-2, 1], [-1, 2], [0, 3], [1, 4], [2, 5]]
    assert predicted.get_xydata().tolist() == [[1, 3.5], [2, 6]]
    assert start.get_xdata() == [0.5, 0.5]
    band = axes.collections[0].get_paths()[0].vertices
    assert {(1, 2.5), (2, 5), (1, 5.5), (2, 8)} == {tuple(vertex) for vertex in band.tolist()}
    assert legend(figure) == ["forecast interval", "observed", "forecast"]
    assert axes.get_xticks().tolist() == [-2, -1, 0, 1, 2]
    assert [label.get_text() for label in axes.get_xticklabels()] == times
    assert (axes.get_title(), axes.get_ylabel()) == ("cost in $, $^2", "$_")
    draw(figure)


@pytest.mark.parametrize("lookback, horizon", [(1, 1), (2, 9), (96, 48), (336, 720)])
def test_forecast_figure_shows_a_few_times_and_that_of_the_first_step(lookback: int, horizon: int) -> None:
    times = [f"2016-07-01 {number:05d}" for number in range(lookback + horizon)]
    values = np.zeros(horizon)
    figure = forecast_figure(np.zeros(lookback), values, values, None, None, times, "a window", "a unit")
    axes: Any = figure.axes[0]
    ticks = axes.get_xticks().tolist()
    assert 1 in ticks and len(ticks) <= 5
    assert [label.get_text() for label in axes.get_xticklabels()] == [times[int(t) + lookback - 1] for t in ticks]
    draw(figure)


def test_forecast_figure_without_interval_or_truth() -> None:
    history = np.array([1, np.nan, 3], np.float32)
    figure = forecast_figure(history, np.full(2, np.nan), np.array([1.0, 2]), None, None, list("abcde"), "future", "")
    axes: Any = figure.axes[0]
    assert legend(figure) == ["observed", "forecast"]
    assert not axes.collections
    draw(figure)


def test_forecast_figure_of_one_step_has_an_interval_that_shows() -> None:
    one = np.array([1.0])
    figure = forecast_figure(np.zeros(5), one, one, one - 1, one + 1, list("abcdef"), "one step", "x")
    axes: Any = figure.axes[0]
    assert axes.collections[0].get_linewidth()[0] > 0
    assert axes.get_ylim()[1] > 2
    draw(figure)


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
    assert axes.get_title() == "model, first step 0.1, last step 0.5"
    assert axes.get_ylim()[0] == 0
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
    assert axes.get_title() == "model, from 0.5 to 0.1"
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
