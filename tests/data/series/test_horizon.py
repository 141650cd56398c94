"""The end of each series as the window of a forecast."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from seqtrain.config.series import Missing, SeriesFilesConfig
from seqtrain.data.series.dataset import ForecastingData
from seqtrain.data.series.horizon import history_data, with_horizon
from seqtrain.data.series.reading import read_series
from seqtrain.data.series.table import SeriesTable
from seqtrain.errors import DataError

L, S = 7, 3


def days(count: int, **columns: Any) -> pd.DataFrame:
    dates = pd.date_range("2020-01-01", periods=count, freq="D")
    return pd.DataFrame({"date": dates, "y": np.arange(count, dtype=float), **columns})


def config(folder: Path, frame: pd.DataFrame, **options: Any) -> SeriesFilesConfig:
    frame.to_csv(folder / "a.csv", index=False)
    sizes: dict[str, Any] = {"lookback": L, "horizon": S, "targets": ["y"]}
    return SeriesFilesConfig(name="t", path=str(folder / "a.csv"), **(sizes | options))


def horizon(folder: Path, frame: pd.DataFrame, **options: Any) -> SeriesTable:
    """What is forecast from the end of a file, read as ``predict`` reads it."""
    own = config(folder, frame, **options)
    return with_horizon(read_series(config(folder, frame, **options | {"missing": Missing.mask})), own)


def emptied(frame: pd.DataFrame, count: int, column: str = "y") -> pd.DataFrame:
    return frame.assign(**{column: frame[column].where(frame.index < len(frame) - count)})


@pytest.mark.parametrize("missing", Missing)
def test_rows_without_a_value_at_the_end_are_the_horizon(tmp_path: Path, missing: Missing) -> None:
    for empty in (1, 3, 5):
        table = horizon(tmp_path, emptied(days(30 + empty), empty), calendar=True, missing=missing)
        np.testing.assert_array_equal(table.times, days(33)["date"].to_numpy())
        np.testing.assert_array_equal(table.values[:30, 0], np.arange(30))
        assert np.isnan(table.values[30:]).all() and table.missing == 0
        assert table.notes == [
            f"{empty} rows at the end have no value; the forecast begins at the first of them, 2020-01-31 00:00"
        ]
    assert horizon(tmp_path, days(30)).notes == []


def test_a_target_that_comes_later_than_its_covariates_is_missing(tmp_path: Path) -> None:
    frame = emptied(days(30, past=1.0 * np.arange(30)), 2)
    table = horizon(tmp_path, frame, past_covariates=["past"], missing=Missing.mask)
    assert len(table.times) == 33 and np.isnan(table.values[28:30, 0]).all() and table.values[29, 1] == 29
    assert table.notes == ["2 values in the last 7 known rows are missing; data.missing=mask"]


def test_missing_values_of_the_horizon_are_counted(tmp_path: Path) -> None:
    frame = emptied(emptied(days(33, promo=1.0), 3), 2, "promo")
    options: dict[str, Any] = {"future_covariates": ["promo"]}
    table = horizon(tmp_path, frame, **options, missing=Missing.interpolate)
    assert table.missing == 2
    assert table.notes == ["2 values of future covariates in the horizon are missing; data.missing=interpolate"]
    with pytest.raises(DataError, match=r"2 values that the forecast needs are missing, the first one of 'promo' at"):
        horizon(tmp_path, frame, **options)


def test_steps_have_the_dates_that_the_file_has_for_them(tmp_path: Path) -> None:
    """Trading days: no frequency knows the holidays, but the rows of the horizon do."""
    trading = pd.DatetimeIndex([day for day in pd.bdate_range("2020-01-01", periods=36) if day.day not in (6, 20)])
    frame = days(len(trading), promo=1.0).assign(date=trading)
    options: dict[str, Any] = {"frequency": "step", "future_covariates": ["promo"]}
    table = horizon(tmp_path, emptied(frame, S), **options)
    assert table.times[-S:].tolist() == trading.to_numpy()[-S:].astype("datetime64[ns]").tolist()
    newest_first = horizon(tmp_path, emptied(frame, S)[::-1], **options)
    np.testing.assert_array_equal(newest_first.times, table.times)
    np.testing.assert_array_equal(newest_first.values, table.values)
    assert horizon(tmp_path, frame, frequency="step").times[-S - 1 :].tolist() == [0, 1, 2, 3]
    dated = horizon(tmp_path, emptied(frame, S), frequency="step")  # rows without a value are dates of the horizon, too
    assert dated.times[-S:].tolist() == table.times[-S:].tolist()
    business = horizon(tmp_path, days(36).assign(date=pd.bdate_range("2020-01-01", periods=36)), frequency="B")
    assert business.times[-S:].tolist() == pd.bdate_range("2020-02-20", periods=S).to_numpy().astype("M8[ns]").tolist()


def panel(**counts: int) -> pd.DataFrame:
    random = np.random.default_rng(0)
    parts = [days(count, id=name).assign(y=random.normal(size=count)) for name, count in counts.items()]
    return pd.concat(parts, ignore_index=True)


def test_short_series_are_left_out_and_named(tmp_path: Path) -> None:
    table = horizon(tmp_path, panel(a=30, b=6, c=8), id_column="id")
    assert table.ids == ["a", "c"] and table.offsets.tolist() == [0, 33, 44]
    assert table.notes == ["1 of 3 series are left out, having fewer than data.lookback=7 known rows: 'b'"]
    with pytest.raises(DataError, match=r"series 'b': has 6 rows, and a forecast needs data\.lookback=7"):
        horizon(tmp_path, panel(b=6), id_column="id")


def test_a_run_reads_the_file_that_it_was_trained_on(tmp_path: Path) -> None:
    """``b`` has rows enough for a window, but none in a split; the others are forecast."""
    options = config(tmp_path, panel(a=90, b=11, c=120, d=5), id_column="id")
    data = ForecastingData(options, 0)
    note = "2 of 4 series are left out, being too short for any window: 'b', 'd'"
    assert data.table.ids == ["a", "c"] and note in data.notes
    data.save(tmp_path)
    forecast = history_data(options, tmp_path)
    assert forecast.table.ids == ["a", "c"] and forecast.constants.ids == ["a", "c"]
    assert "2 of 4 series are left out, since the run was trained without them: 'b', 'd'" in forecast.notes
    whole = ForecastingData(options, 0, tmp_path, single_split=True)  # as backtest and eval of another file
    assert whole.table.ids == ["a", "c"] and "being too short for any window: 'd'" in "".join(whole.notes)
    again = ForecastingData(options, 0, tmp_path)
    assert again.fingerprint == data.fingerprint
    with pytest.raises(DataError, match=r"series 'new' \(1 in all\): train had no series of that name"):
        history_data(config(tmp_path, panel(a=90, new=30), id_column="id"), tmp_path)


def test_one_row_of_whole_numbers_goes_on_at_the_distance_of_the_run(tmp_path: Path) -> None:
    frame = days(60).assign(date=np.arange(60) * 3600 + 7200)
    options = {"lookback": 1}
    data = ForecastingData(config(tmp_path, frame, **options), 0)
    data.save(tmp_path)
    one = history_data(config(tmp_path, frame[40:41], **options), tmp_path)
    assert one.table.times.tolist() == [151200, 154800, 158400, 162000]
    with pytest.raises(DataError, match=r"a\.csv: line 2: times are 900 apart, and .* were 3,600 apart"):
        history_data(config(tmp_path, frame.assign(date=np.arange(60) * 900), **options), tmp_path)


def test_hours_of_a_place_have_its_calendar(tmp_path: Path) -> None:
    index = pd.date_range("2020-03-20", periods=300, freq="h", tz="Europe/Berlin")  # clocks go forward on the 29th
    frame = days(300).assign(date=[time.strftime("%Y-%m-%d %H:%M") for time in index])
    data = ForecastingData(config(tmp_path, frame, timezone="Europe/Berlin", calendar=True), 0)
    hours = np.round((data.rows.values[:, 1] + 0.5) * 23)
    np.testing.assert_array_equal(hours, index.hour)
