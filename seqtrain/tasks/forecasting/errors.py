"""Where a forecaster's errors are: sums over steps, variables, series and times, from its stored forecasts.

Shapes: N windows of K series, R rows of the series, S horizon, C variables, P parameters of a forecast.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from seqtrain.data.series.dataset import ForecastingData
from seqtrain.tasks.forecasting.distribution import Distribution
from seqtrain.tasks.statistics import Floats, Outputs

CHUNK = 1 << 22
"""Largest number of values in memory at once."""


@dataclass
class Sums:
    """Sums of squared scaled errors over observed values, and the numbers of these, in four ways."""

    by_step: Floats
    """(2, S): sums, numbers."""
    by_variable: Floats
    """(2, C)."""
    by_series: Floats
    """(2, K)."""
    by_row: Floats
    """By the row that is forecast, (2, R)."""
    by_window: Floats
    """(2, N)."""


@dataclass(frozen=True)
class Forecaster:
    """A run, the sums of its errors, and its forecasts."""

    label: str
    distribution: Distribution
    """What its forecasts mean."""
    forecasts: NDArray[np.floating]
    """(N, S, C, P)."""
    sums: Sums

    @classmethod
    def of(
        cls, label: str, distribution: Distribution, outputs: Outputs, data: ForecastingData, split: str
    ) -> "Forecaster":
        """That of stored outputs on a split."""
        forecasts = outputs["forecasts"]
        return cls(label, distribution, forecasts, error_sums(forecasts, distribution, data, split))

    @property
    def mse(self) -> float:
        """Over all windows."""
        return float(self.sums.by_window[0].sum() / self.sums.by_window[1].sum())


def means(sums: Floats) -> Floats:
    """Means from sums and numbers; NaN where there is nothing."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums[0] / sums[1]


def error_sums(forecasts: NDArray[np.floating], distribution: Distribution, data: ForecastingData, split: str) -> Sums:
    """Sums of the squared errors of point forecasts (N, S, C, P) of a split, in scaled units."""
    N, S, C = forecasts.shape[:3]
    rows = len(data.table.times)
    sums = Sums(*(np.zeros((2, size)) for size in (S, C, len(data.table.ids), rows, N)))
    size = max(1, CHUNK // (S * C))
    for start in range(0, N, size):
        numbers = np.arange(start, min(start + size, N))
        squares, known = squared_errors(forecasts[numbers], distribution, data, split, numbers)
        series, first = data.windows[split].locate(numbers)
        at = (first[:, None] + np.arange(S)).ravel()
        for i, values in enumerate((squares, known.astype(np.float64))):
            of_steps = values.sum(2)
            of_windows = of_steps.sum(1)
            sums.by_step[i] += of_steps.sum(0)
            sums.by_variable[i] += values.sum((0, 1))
            sums.by_series[i] += np.bincount(series, of_windows, minlength=len(data.table.ids))
            sums.by_row[i] += np.bincount(at, of_steps.ravel(), minlength=rows)
            sums.by_window[i, numbers] = of_windows
    return sums


def squared_errors(
    forecasts: NDArray[np.floating],
    distribution: Distribution,
    data: ForecastingData,
    split: str,
    numbers: NDArray[np.integer],
) -> tuple[Floats, NDArray[np.bool_]]:
    """Squared scaled errors of the forecasts (B, S, C, P) of some windows, 0 where nothing was observed; and where."""
    batch = data.batch(split, numbers)
    point = distribution.point(torch.from_numpy(forecasts)).double().numpy()
    truth = batch.scaled_truth()
    known = ~np.isnan(truth)
    return np.where(known, (point - np.nan_to_num(truth)) ** 2, 0.0), known


def worst_windows(
    errors: Floats, series: NDArray[np.integer], first: NDArray[np.integer], gap: int, count: int
) -> list[int]:
    """Numbers of the windows with the largest errors, of which none overlap.

    Args:
        errors: error of each window, (N,); NaN for none.
        series: number of each window's series, (N,).
        first: first row that each window predicts, (N,).
        gap: steps between the beginnings of two windows of a series, at least.
        count: largest number of windows.
    """
    chosen: list[int] = []
    for number in np.argsort(-np.nan_to_num(errors, nan=-np.inf), kind="stable").tolist():
        if np.isnan(errors[number]) or len(chosen) == count:
            break
        if all(series[number] != series[other] or abs(first[number] - first[other]) >= gap for other in chosen):
            chosen.append(number)
    return chosen


def grouped(sums: Floats, groups: NDArray[np.integer], count: int) -> Floats:
    """Sums and numbers of each of ``count`` groups, (2, count), from those of rows, (2, R), and the group of each."""
    return np.stack([np.bincount(groups, each, minlength=count) for each in sums])


WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MOST_DATES = 60
"""Of points of the curve of errors over time."""


def times_of_day(times: NDArray[np.datetime64]) -> tuple[NDArray[np.int64], list[str]] | None:
    """The hour of each time, and the names of hours; None where all times are of the same hour."""
    hours = (times.astype("datetime64[h]") - times.astype("datetime64[D]")).astype(np.int64)
    return None if len(np.unique(hours)) < 2 else (hours, [f"{hour:02d}:00" for hour in range(24)])


def weekdays(times: NDArray[np.datetime64]) -> tuple[NDArray[np.int64], Sequence[str]] | None:
    """The weekday of each time, and their names; None where all are the same."""
    days = (times.astype("datetime64[D]").astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
    return None if len(np.unique(days)) < 2 else (days, WEEKDAYS)


def periods(times: NDArray[np.datetime64 | np.integer]) -> tuple[NDArray[np.int64], list[str]]:
    """Consecutive stretches of time, at most ``MOST_DATES``, the number of each time's, and their beginnings in words.

    Days, weeks or months, the shortest that are few enough; of times that are numbers, or of dates that span too long,
    stretches of equal numbers.
    """
    if times.dtype.kind == "M":
        days = times.astype("datetime64[D]").astype(np.int64)
        for size, start in ((1, days.min()), (7, days.min() - (days.min() + 3) % 7)):
            numbers = (days - start) // size
            if numbers.max() < MOST_DATES:
                begins = np.array(start + size * np.arange(numbers.max() + 1)).astype("datetime64[D]")
                return numbers, [str(day) for day in begins]
        months = times.astype("datetime64[M]").astype(np.int64)
        numbers = months - months.min()
        if numbers.max() < MOST_DATES:
            return numbers, [str(np.datetime64(int(months.min() + i), "M")) for i in range(int(numbers.max()) + 1)]
    values = times.astype(np.int64)
    width = max(1, -(-int(values.max() - values.min() + 1) // MOST_DATES))
    numbers = (values - values.min()) // width
    begins = (values.min() + width * np.arange(numbers.max() + 1)).astype(times.dtype)
    return numbers, [str(begin)[:10] if times.dtype.kind == "M" else str(begin) for begin in begins]
