"""Where a forecaster's errors are: against plain means, on constructed errors."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest
import torch

from seqtrain.commands.build import build_data, build_task
from seqtrain.config.root import Config
from seqtrain.data.series.dataset import ForecastingData
from seqtrain.tasks.forecasting.errors import (
    MOST_DATES,
    error_sums,
    grouped,
    means,
    periods,
    times_of_day,
    weekdays,
    worst_windows,
)
from seqtrain.tasks.forecasting.task import Forecasting

Compose = Callable[..., Config]
L, S = 6, 4


@pytest.fixture
def forecaster(composed: Compose, tmp_path: Path) -> tuple[Forecasting, ForecastingData]:
    """Two hourly series of two variables, one value of which is missing in test."""
    times = pd.date_range("2024-01-01", periods=120, freq="h")
    rng, frames = np.random.default_rng(0), []
    for name in ("a", "b"):
        frames.append(pd.DataFrame({"id": name, "time": times, "x": rng.normal(size=120), "y": rng.normal(size=120)}))
    frames[0].loc[110, "x"] = np.nan
    pd.concat(frames).to_csv(tmp_path / "series.csv", index=False)
    config = composed(
        "model=nlinear", "data=series_files", f"data.path={tmp_path / 'series.csv'}", "data.time_column=time",
        "data.id_column=id", "data.targets=[x,y]", "data.missing=mask", f"data.lookback={L}",
        f"data.horizon={S}", "device=cpu",
    )  # fmt: skip
    data = cast(ForecastingData, build_data(config))
    return cast(Forecasting, build_task(config, data.spec)), data


def test_sums_are_those_of_every_value(forecaster: tuple[Forecasting, ForecastingData]) -> None:
    task, data = forecaster
    numbers = np.arange(data.sizes["test"])
    forecasts = np.random.default_rng(1).normal(size=(len(numbers), S, 2, 1)).astype(np.float32)
    sums = error_sums(forecasts, task.distribution, data, "test")
    batch = data.batch("test", numbers)
    errors = (forecasts[..., 0].astype(np.float64) - batch.scaled_truth()) ** 2
    assert np.isnan(errors).sum() == S
    assert means(sums.by_step) == pytest.approx(np.nanmean(errors, axis=(0, 2)))
    assert means(sums.by_variable) == pytest.approx(np.nanmean(errors, axis=(0, 1)))
    assert means(sums.by_window) == pytest.approx(np.nanmean(errors, axis=(1, 2)))
    series, first = data.windows["test"].locate(numbers)
    assert means(sums.by_series) == pytest.approx([np.nanmean(errors[series == k]) for k in (0, 1)])
    rows = first[:, None] + np.arange(S)
    hours = data.table.times[rows].astype("datetime64[h]").astype(int) % 24
    own, names = times_of_day(data.table.times)  # type: ignore[misc]
    found = means(grouped(sums.by_row, own, 24))
    assert names[7] == "07:00" and found[7] == pytest.approx(np.nanmean(errors[hours == 7]))
    meter = task.meter(torch.nn.Identity())
    meter.take(torch.from_numpy(forecasts), batch, numbers)  # type: ignore[attr-defined]
    assert sums.by_window[0].sum() / sums.by_window[1].sum() == pytest.approx(meter.result().metrics["mse"], rel=1e-5)


def test_the_worst_windows_do_not_overlap() -> None:
    errors = np.array([1.0, 9.0, 8.0, 7.0, np.nan, 6.0, 8.5])
    series, first = np.array([0, 0, 0, 0, 0, 0, 1]), np.array([10, 11, 12, 13, 14, 15, 11])
    assert worst_windows(errors, series, first, 2, 9) == [1, 6, 3, 5]
    assert worst_windows(errors, series, first, 4, 9) == [1, 6, 5]
    assert worst_windows(errors, series, first, 4, 1) == [1]


def test_times_are_grouped() -> None:
    times = np.arange("2024-02-26", "2024-03-11", dtype="datetime64[h]")  # from Monday on, two weeks
    hours, names = times_of_day(times)  # type: ignore[misc]
    assert hours[:25].tolist() == [*range(24), 0] and names[23] == "23:00"
    assert weekdays(times)[0][[0, 24, 7 * 24]].tolist() == [0, 1, 0]  # type: ignore[index]
    assert times_of_day(times[::24]) is None and weekdays(times[:24]) is None
    days, begins = periods(times)
    assert begins == [f"2024-02-{day}" for day in range(26, 30)] + [f"2024-03-{day:02d}" for day in range(1, 11)]
    assert days[24 * 3 + 5] == 3
    weeks, begins = periods(np.arange("2024-01-03", "2024-06-01", dtype="datetime64[D]"))
    assert begins[:2] == ["2024-01-01", "2024-01-08"] and weeks[:6].tolist() == [0] * 5 + [1]
    assert periods(np.arange("2022-01-01", "2024-01-01", dtype="datetime64[D]"))[1][1] == "2022-02"
    assert len(periods(np.arange("1900-01-01", "2000-01-01", dtype="datetime64[D]"))[1]) <= MOST_DATES
    numbers, begins = periods(np.arange(100, 1000))
    assert len(begins) <= MOST_DATES and begins[:2] == ["100", "115"] and numbers[15] == 1
