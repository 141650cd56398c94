"""Splits counted from the end of each series, or cut at the same times for all."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from seqtrain.config.series import ScaleBy, Scaler, SeriesConfig, SeriesFilesConfig
from seqtrain.data.series.dataset import ForecastingData
from seqtrain.data.series.splits import split_at, split_from_end
from seqtrain.errors import ConfigError, DataError

STARTS = {"a": ("2020-01-01", 80), "b": ("2020-02-10", 60), "c": ("2020-01-20", 120), "d": ("2020-05-01", 30)}


def panel(folder: Path, numbered: bool = False, **changes: Any) -> ForecastingData:
    """Days, or numbers of days, of series with other starts and lengths; a value is the number of its day."""
    parts = []
    for name, (start, count) in STARTS.items():
        days = pd.date_range(start, periods=count, freq="D")
        number = (days - pd.Timestamp("2020-01-01")).days
        parts.append(pd.DataFrame({"id": name, "date": number if numbered else days, "y": number.astype(float)}))
    pd.concat(parts).to_parquet(folder / "t.parquet")
    options: dict[str, Any] = {"lookback": 7, "horizon": 3, "id_column": "id", "season": 7}
    return ForecastingData(SeriesFilesConfig(name="t", path=str(folder / "t.parquet"), **(options | changes)), 0)


def rows(data: ForecastingData) -> dict[str, list[list[float]]]:
    """First and last value of each split of each series; empty where it has no row."""
    return {
        split: [part[[0, -1], 0].tolist() if len(part) else [] for part in data.history(split)]
        for split in ("train", "validation", "test")
    }


def test_the_last_rows_of_every_series_are_test(tmp_path: Path) -> None:
    data = panel(tmp_path, train_size=None, validation_size=3, test_size=3)
    found = rows(data)
    for number, (start, count) in enumerate(STARTS.values()):
        first = (pd.Timestamp(start) - pd.Timestamp("2020-01-01")).days
        last = first + count - 1
        assert found["train"][number] == [first, last - 6]
        assert found["validation"][number] == [last - 5, last - 3] and found["test"][number] == [last - 2, last]
    assert data.sizes == {"train": sum(count - 6 - 9 for _, count in STARTS.values()), "validation": 4, "test": 4}
    assert not any("not used" in note for note in data.notes)


def test_sizes_from_the_end() -> None:
    def ends(validation: float, test: float, *lengths: int) -> list[list[int]]:
        config = SeriesConfig(name="t", train_size=None, validation_size=validation, test_size=test)
        return split_from_end(np.array(lengths), config, "t.csv").tolist()

    assert ends(10, 20, 100, 25, 15) == [[70, 80, 100], [0, 5, 25], [0, 0, 15]]
    assert ends(0.1, 0.25, 100, 10) == [[65, 75, 100], [7, 8, 10]] and ends(0.1, 5, 100) == [[85, 95, 100]]
    with pytest.raises(
        ConfigError, match=r"validation_size=0\.5 and test_size=0\.5: must be fractions that leave some"
    ):
        ends(0.5, 0.5, 100)
    with pytest.raises(
        DataError, match=r"t\.csv: .*=10 and test_size=20 leave no row for train: it has 30; lower them"
    ):
        ends(10, 20, 30)
    with pytest.raises(ConfigError, match=r"data\.test_size=None: must be given with data\.train_size=null"):
        SeriesConfig(name="t", train_size=None).check("data")


@pytest.mark.parametrize("numbered", [False, True])
def test_all_series_are_cut_at_the_same_times(tmp_path: Path, numbered: bool) -> None:
    dates = ["60", "75"] if numbered else ["2020-03-01", "2020-03-16T00:00"]
    data = panel(tmp_path, numbered, split_date=dates, scale_by=ScaleBy.all)
    assert data.table.ids == ["a", "b", "c", "d"]
    assert rows(data) == {
        "train": [[0, 59], [40, 59], [19, 59], []],
        "validation": [[60, 74], [60, 74], [60, 74], []],
        "test": [[75, 79], [75, 99], [75, 138], [121, 150]],
    }
    assert not any("goes on to" in note for note in data.notes)
    own = panel(tmp_path, numbered, split_date=dates)
    assert own.table.ids == ["a", "b", "c"] and own.sizes["train"] == data.sizes["train"]
    note = "1 of 4 series are left out, having no row of train to be scaled by: 'd'; data.scale_by=all keeps them"
    assert note in own.notes
    assert panel(tmp_path, numbered, split_date=dates, scaler=Scaler.none).table.ids == ["a", "b", "c", "d"]
    assert own.fingerprint != panel(tmp_path, numbered).fingerprint


def test_times_in_common_are_named(tmp_path: Path) -> None:
    """With fractions, train of c goes on after test of a has begun."""
    (note,) = (note for note in panel(tmp_path).notes if "goes on to" in note)
    # Test begins on day 64 (a), 40 + 48 (b), 19 + 96 (c); train ends on day 55, 40 + 41, 19 + 83 and, of d, 121 + 20.
    assert note.startswith(
        "train of 3 series goes on to 2020-05-21 00:00, and test of others begins at 2020-03-05 00:00"
    )
    assert "data.split_date=[" in note
    assert not any("goes on to" in note for note in panel(tmp_path, frequency="step").notes)


def test_rows_that_no_split_uses(tmp_path: Path) -> None:
    notes = panel(tmp_path, train_size=12, validation_size=4, test_size=4).notes
    unused = sum(count - 20 for _, count in STARTS.values())
    assert (
        f"{unused} rows after test are not used; data.train_size=null counts the splits from the end of each series"
        in notes
    )


def test_dates_that_cannot_be() -> None:
    days = np.arange("2020-01-01", "2020-04-10", dtype="datetime64[D]").astype("datetime64[ns]")
    offsets = np.array([0, 60, 100])

    def cut(*dates: str, times: np.ndarray = days) -> list[list[int]]:
        return split_at(times, offsets, list(dates), "t.csv").tolist()

    assert cut("2020-01-11", "2020-01-21") == [[10, 20, 60], [0, 0, 40]]
    assert cut("2020-01-11T02:00+02:00", "2020-01-21") == [[10, 20, 60], [0, 0, 40]]
    with pytest.raises(
        ConfigError, match=r"split_date=\[2020-02-01, 2020-01-01\]: must be the first time of validation,"
    ):
        cut("2020-02-01", "2020-01-01")
    with pytest.raises(ConfigError, match=r"data\.split_date=soon: must be dates, as 2016-07-31 23:00"):
        cut("soon", "2020-01-01")
    with pytest.raises(
        ConfigError, match=r"data\.split_date=2020-01-01: must be whole numbers, as the times of the file"
    ):
        cut("2020-01-01", "2020-02-01", times=np.arange(100))
    with pytest.raises(
        DataError, match=r"t\.csv: .* leaves no row for test; its times are from 2020-01-01 00:00 to 2020-"
    ):
        cut("2020-01-11", "2021-01-01")
    with pytest.raises(DataError, match=r"needs rows in order of time"):
        cut("2020-01-11", "2020-01-21", times=days[::-1])
    with pytest.raises(ConfigError, match=r"data\.split_date=\['2020-01-01'\]: must be null, or the first times of"):
        SeriesConfig(name="t", split_date=["2020-01-01"]).check("data")
