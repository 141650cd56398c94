from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from seqtrain.data.series.times import time_text
from seqtrain.tasks.forecasting.window_figure import Window, forecast_figure, time_ticks, value_limits


def draw(figure: Figure) -> None:
    """Draw in full, to an array; pytest turns every warning into an error."""
    figure.set_dpi(40)
    FigureCanvasAgg(figure).draw()


def legend(figure: Figure) -> list[str]:
    (found,) = figure.legends
    return [text.get_text() for text in found.get_texts()]


def hours(count: int, step: str = "h") -> list[str]:
    times = np.datetime64("2016-07-01", "ns") + np.arange(count).astype(f"timedelta64[{step}]")
    return [time_text(time) for time in times]


def test_a_forecast_is_beside_what_was_and_what_came() -> None:
    history, truth, forecast = np.array([1.0, 2, 3]), np.array([4.0, 5]), np.array([3.5, 6])
    baselines = {"last value": np.array([3.0, 3.0])}
    window = Window(history, truth, forecast, hours(5), (forecast - 1, forecast + 2), 0.8, baselines)
    figure = forecast_figure(window, "cost in $, $^2", "$_")
    axes: Any = figure.axes[0]
    naive, observed, predicted, start = axes.lines
    assert naive.get_xydata().tolist() == [[1, 3], [2, 3]]
    assert observed.get_xydata().tolist() == [[-2, 1], [-1, 2], [0, 3], [1, 4], [2, 5]]
    assert predicted.get_xydata().tolist() == [[1, 3.5], [2, 6]]
    assert start.get_xdata() == [0.5, 0.5]
    band = axes.collections[0].get_paths()[0].vertices
    assert {(1, 2.5), (2, 5), (1, 5.5), (2, 8)} == {tuple(vertex) for vertex in band.tolist()}
    assert legend(figure) == ["interval of 80%", "last value", "observed", "forecast"]
    assert (axes.get_title(), axes.get_ylabel()) == ("cost in $, $^2", "$_")
    draw(figure)


def test_covariates_are_below_and_end_where_they_are_not_known() -> None:
    known, past = np.arange(6.0), np.array([1, 2, 3, 4, np.nan, np.nan])
    window = Window(np.ones(4), np.ones(2), np.ones(2), hours(6), covariates={"price": known, "rain": past})
    figure = forecast_figure(window, "", "")
    _, below = figure.axes
    curves: Any = below.lines
    assert [line.get_label() for line in curves[1:]] == ["price", "rain"]
    assert np.array_equal(curves[2].get_ydata(), past, equal_nan=True)
    draw(figure)


def test_a_long_past_leaves_room_for_the_forecast() -> None:
    window = Window(np.arange(720.0), np.ones(24), np.ones(24), hours(744), covariates={"price": np.arange(744.0)})
    upper: Any
    lower: Any
    upper, lower = forecast_figure(window, "", "").axes
    assert upper.lines[0].get_xydata()[0].tolist() == [-71, 648]
    assert lower.lines[1].get_xydata()[0].tolist() == [-71, 648]


def test_what_is_far_away_is_cut_off() -> None:
    inside = np.array([0.0, 10.0, np.nan])
    assert value_limits(inside, []) == pytest.approx((-0.5, 10.5))
    assert value_limits(inside, [np.array([12.0])]) == pytest.approx((-0.6, 12.6))
    assert value_limits(inside, [np.array([1000.0, np.inf, -3])]) == pytest.approx((-3 - 1.15, 20 + 1.15))
    assert value_limits(np.array([np.nan]), []) is None
    assert value_limits(np.array([4.0, 4.0]), []) == pytest.approx((3.8, 4.2))
    assert value_limits(np.zeros(3), []) == (-1, 1)


def test_ticks_are_at_round_times() -> None:
    places, texts, name = time_ticks(hours(192))
    assert places.tolist() == [0, 48, 96, 144] and texts == ["Jul", "03", "05", "07"] and name == "2016-Jul"
    places, texts, _ = time_ticks([str(number) for number in range(40, 140)])
    assert places.tolist() == [0, 20, 40, 60, 80] and texts == ["40", "60", "80", "100", "120"]
    assert time_ticks(["2", "1", "3"])[:2] == (pytest.approx([0, 1, 2]), ["2", "1", "3"])


@pytest.mark.parametrize("step", ["ns", "s", "m", "h", "D"])
@pytest.mark.parametrize("lookback, horizon", [(1, 1), (2, 9), (96, 48)])
def test_ticks_of_any_distance_are_few(step: str, lookback: int, horizon: int) -> None:
    values = np.zeros(horizon)
    window = Window(np.zeros(lookback), values, values, hours(lookback + horizon, step))
    figure = forecast_figure(window, "a window", "a unit")
    axes: Any = figure.axes[0]
    ticks = axes.get_xticks()
    assert len(ticks) <= 12 and ((ticks >= 1 - lookback) & (ticks <= horizon)).all()
    draw(figure)


def test_gaps_and_an_unknown_future() -> None:
    history = np.array([1, np.nan, 3], np.float32)
    figure = forecast_figure(Window(history, np.full(2, np.nan), np.array([1.0, 2]), hours(5)), "future", "")
    assert legend(figure) == ["observed", "forecast"]
    draw(figure)
    draw(forecast_figure(Window(history * np.nan, np.full(2, np.nan), np.full(2, np.nan), hours(5)), "nothing", ""))


def test_an_interval_of_one_step_shows() -> None:
    one = np.array([1.0])
    figure = forecast_figure(Window(np.zeros(5), one, one, hours(6), (one - 1, one + 1)), "one step", "x")
    axes: Any = figure.axes[0]
    assert axes.collections[0].get_linewidth()[0] > 0 and axes.get_ylim()[1] > 2
    draw(figure)
