from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seqtrain.config.series import (
    GeneratedSeriesConfig,
    Missing,
    Process,
    PublicSeriesConfig,
    SeriesConfig,
    SeriesFilesConfig,
)
from seqtrain.data.series.processes import lorenz
from seqtrain.data.series.reading import read_series
from seqtrain.data.series.table import SeriesTable
from seqtrain.errors import DataError


@pytest.fixture
def frame() -> pd.DataFrame:
    """Five days of hours of three variables."""
    random = np.random.default_rng(0)
    date = pd.date_range("2016-07-01", periods=120, freq="h").strftime("%Y-%m-%d %H:%M:%S")
    return pd.DataFrame({"date": date, "load": random.random(120), "heat": random.random(120), "day": range(120)})


@pytest.fixture
def long() -> pd.DataFrame:
    """Days of three series of unequal lengths, in no order."""
    parts: list[pd.DataFrame] = []
    for name, count in (("NA", 30), ("007", 12), ("b", 21)):
        date = pd.date_range("2020-02-01", periods=count, freq="D").strftime("%Y-%m-%d")
        parts.append(pd.DataFrame({"id": name, "date": date, "sold": np.arange(count) + 100.0 * len(parts)}))
    return pd.concat(parts).sample(frac=1, random_state=0)


def read(path: Path, frame: pd.DataFrame | None = None, **options: object) -> SeriesTable:
    if frame is not None:
        frame.to_csv(path, index=False)
    return read_series(SeriesFilesConfig(name="t", path=str(path), **options))  # type: ignore[arg-type]


def test_wide(tmp_path: Path, frame: pd.DataFrame) -> None:
    table = read(tmp_path / "a.csv", frame)
    assert table.names == ["load", "heat", "day"] and table.num_targets == 3 and table.ids == [""]
    np.testing.assert_allclose(table.values, frame[table.names], rtol=1e-15)
    assert table.frequency == "h" and table.missing == 0 and table.offsets.tolist() == [0, 120]
    assert table.times.dtype == np.dtype("datetime64[ns]") and table.times[25] == np.datetime64("2016-07-02T01:00")
    table = read(tmp_path / "a.csv", None, future_covariates=["day"], past_covariates=["load"])
    assert table.names == ["heat", "load", "day"]
    assert (table.num_targets, table.num_past, table.num_future) == (1, 1, 1)
    assert read(tmp_path / "a.csv", None, targets=["heat"]).names == ["heat"]


def test_parquet_and_csv_hold_the_same(tmp_path: Path, frame: pd.DataFrame) -> None:
    table = read(tmp_path / "a.csv", frame)
    dated = frame.assign(date=pd.to_datetime(frame["date"]))
    for number, stored in enumerate((frame, dated, dated.set_index("date"))):
        stored.to_parquet(tmp_path / f"{number}.parquet")
        other = read(tmp_path / f"{number}.parquet")
        np.testing.assert_array_equal(other.times, table.times)
        np.testing.assert_allclose(other.values, table.values, rtol=1e-15)


def test_long(tmp_path: Path, long: pd.DataFrame) -> None:
    table = read(tmp_path / "a.csv", long, id_column="id")
    assert table.ids == ["007", "NA", "b"] and np.diff(table.offsets).tolist() == [12, 30, 21]
    assert table.frequency == "D" and table.names == ["sold"]
    np.testing.assert_array_equal(table.values[:, 0], [*range(100, 112), *range(30), *range(200, 221)])
    np.testing.assert_array_equal(long["sold"].to_numpy()[table.rows], table.values[:, 0])
    with pytest.raises(DataError, match=r"occurs twice.*data\.id_column"):
        read(tmp_path / "a.csv", targets=["sold"])
    long.iloc[4, 0] = ""
    with pytest.raises(DataError, match=r"a\.csv: line 6: column 'id' \(data\.id_column\) names no series"):
        read(tmp_path / "a.csv", long, id_column="id")


def test_rows_in_any_order(tmp_path: Path, frame: pd.DataFrame) -> None:
    table, other = read(tmp_path / "a.csv", frame), read(tmp_path / "b.csv", frame[::-1])
    np.testing.assert_array_equal(table.values, other.values)
    assert other.rows[0] == 119


def test_whole_numbers_as_times(tmp_path: Path, frame: pd.DataFrame) -> None:
    table = read(tmp_path / "a.csv", frame, time_column="day", targets=["load"])
    assert table.frequency == "step" and table.times.tolist() == list(range(120))


def test_rows_as_steps_whatever_their_times(tmp_path: Path, frame: pd.DataFrame) -> None:
    """As the files of weather (a time twice) and of exchange rates (days without a calendar) need it; in file order."""
    twice = frame.assign(date=frame["date"].where(frame.index != 50, frame["date"][49]))
    days = pd.date_range("1990-01-01", periods=200, freq="D").to_series().sample(120, random_state=0).sort_index()
    for changed in (twice, frame.assign(date=days.dt.strftime("%Y/%-m/%-d 0:00").to_numpy())):
        with pytest.raises(DataError, match=r"occurs twice|data\.frequency=step"):
            read(tmp_path / "a.csv", changed)
        table = read(tmp_path / "a.csv", None, frequency="step")
        assert table.frequency == "step" and table.rows.tolist() == list(range(120))
        np.testing.assert_allclose(table.values, frame[table.names], rtol=1e-15)
    assert table.times[0] == np.datetime64(days.iloc[0])


def test_times_as_people_write_them(tmp_path: Path, frame: pd.DataFrame) -> None:
    dates = pd.date_range("2016-07-01", periods=120, freq="h")
    expected = dates.to_numpy().astype("datetime64[ns]")
    for written in ("%Y/%m/%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%m/%d/%Y %I:%M %p"):
        np.testing.assert_array_equal(
            read(tmp_path / "a.csv", frame.assign(date=dates.strftime(written))).times, expected
        )
    for written in ("%d.%m.%Y %H:%M", "%d/%m/%Y %H:%M"):  # taken for months first, and found out
        with pytest.raises(DataError, match=r"write them as 2016-07-31 23:00"):
            read(tmp_path / "a.csv", frame.assign(date=dates.strftime(written)))
    aware = dates.tz_localize("Europe/Berlin").strftime("%Y-%m-%d %H:%M:%S%z")
    table = read(tmp_path / "a.csv", frame.assign(date=aware))
    np.testing.assert_array_equal(table.times, expected - np.timedelta64(2, "h"))
    assert table.notes == ["times are in UTC"]


def test_columns_that_are_no_targets(tmp_path: Path, frame: pd.DataFrame) -> None:
    frame["place"], frame["open"] = "here", True
    frame.to_csv(tmp_path / "a.csv")  # with pandas' nameless column of row numbers
    table = read(tmp_path / "a.csv")
    assert table.names == ["load", "heat", "day"]
    assert table.notes[0].endswith("not numbers or have no name: (no name), place, open")
    assert read(tmp_path / "a.csv", None, targets=["load"], past_covariates=["open"]).values[0, 1] == 1.0


def test_generated(tmp_path: Path) -> None:
    table = read_series(GeneratedSeriesConfig(name="lorenz", process=Process.lorenz, length=50))
    assert table.names == ["x", "y", "z"] and table.frequency == "step"
    np.testing.assert_array_equal(table.values, lorenz(50))
    options = {"targets": ["z"], "past_covariates": ["x"]}
    config = GeneratedSeriesConfig(name="lorenz", process=Process.lorenz, length=50, **options)  # type: ignore[arg-type]
    assert read_series(config).names == ["z", "x"]


def test_missing_values(tmp_path: Path, frame: pd.DataFrame) -> None:
    frame.loc[[40, 41, 70], "heat"] = np.nan
    with pytest.raises(
        DataError, match=r"3 values are missing, the first one of 'heat' at 2016-07-02 16:00; .*data\.m"
    ):
        read(tmp_path / "a.csv", frame)
    table = read(tmp_path / "a.csv", frame, missing=Missing.mask)
    assert table.missing == 3 and np.flatnonzero(np.isnan(table.values[:, 1])).tolist() == [40, 41, 70]


@pytest.mark.parametrize(
    ("column", "row", "value", "message"),
    [
        (
            "date",
            7,
            "soon",
            r"line 9: column 'date' \(data\.time_column\): 'soon' cannot be read .* '2016-07-01 00:00:00' \(",
        ),
        ("date", 0, "soon", r"line 2: .* 'soon' cannot be read as a time \(1 in all\)"),
        ("date", 9, "", r"line 11: column 'date' \(data\.time_column\): is empty \(1 in all\)"),
        ("date", 9, "9999-01-01 00:00:00", r"line 11: .* '9999-01-01 00:00:00' cannot be read as a time"),
        ("date", 9, "2016-07-01 08:00:00", r"time 2016-07-01 08:00 occurs twice"),
        ("date", 9, "2016-07-01 09:30:00", r"2016-07-01 09:30 does not follow 2016-07-01 08:00 .* frequency is h"),
        ("heat", 3, "12x", r"line 5: column 'heat': '12x' is not a finite number \(1 in all\)"),
        ("heat", 3, "inf", r"line 5: column 'heat': 'inf' is not a finite number"),
    ],
)
def test_faults_in_a_file(tmp_path: Path, frame: pd.DataFrame, column: str, row: int, value: str, message: str) -> None:
    frame[column] = frame[column].astype(object)
    frame.loc[row, column] = value
    with pytest.raises(DataError, match=rf"a\.csv.*{message}"):
        read(tmp_path / "a.csv", frame)


def test_faults_of_names(tmp_path: Path, frame: pd.DataFrame) -> None:
    frame.to_csv(tmp_path / "a.csv", index=False)
    for options, message in (
        ({"targets": ["lod"]}, r"no column 'lod' \(data\.targets\); did you mean load\?"),
        ({"future_covariates": ["x"]}, r"no column 'x' \(data\.future_covariates\); known: date, day, heat, load"),
        ({"time_column": "time"}, r"no column 'time' \(data\.time_column\)"),
        ({"id_column": "id"}, r"no column 'id' \(data\.id_column\)"),
        ({"past_covariates": ["load", "heat", "day"]}, r"no column of numbers to forecast; its columns: date, load"),
    ):
        with pytest.raises(DataError, match=message):
            read(tmp_path / "a.csv", None, **options)


def test_faults_of_files(tmp_path: Path, frame: pd.DataFrame) -> None:
    for name, content, message in (
        ("empty.csv", "", "the file is empty"),
        ("header.csv", "date,a\n", "has no rows"),
        ("long_rows.csv", "date,a\n1,2,3\n2,3,4\n", "line 2 has 3 fields, but the first line has 2"),
        ("bytes.csv", "date,a\n1,\udcff\n", "line 2 is not UTF-8"),
        ("a.parquet", "no", "Parquet"),
        ("a.xlsx", "no", r"files of type \.xlsx are not read as series; use \.csv, \.tsv, "),
    ):
        path = tmp_path / name
        path.write_bytes(content.encode(errors="surrogateescape"))
        with pytest.raises(DataError, match=message):
            read(path)
    with pytest.raises(DataError, match=r"has 4 files \(a\.parquet, .*give one file"):
        (tmp_path / "long_rows.csv").unlink()
        read(tmp_path)
    with pytest.raises(DataError, match=r"data\.path=.*nothing: no such file or folder"):
        read(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"data\.path: must be given for data=t"):
        read_series(SeriesFilesConfig(name="t"))


def test_where_public_series_are_found(tmp_path: Path, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path, then the data folder, then the address, whose file is kept."""
    folder, source = tmp_path / "data" / "ett", tmp_path / "public.csv"
    folder.mkdir(parents=True)
    frame.assign(load=1.5).to_csv(folder / "E.csv", index=False)
    frame.assign(load=2.5).to_csv(source, index=False)
    monkeypatch.setenv("SEQTRAIN_CACHE_DIR", str(tmp_path / "cache"))

    def load(**options: object) -> float:
        config: SeriesConfig = PublicSeriesConfig(name="e", folder="ett", file="E.csv", **options)  # type: ignore[arg-type]
        return float(read_series(config).values[0, 0])

    address = source.as_uri()
    assert load(path=str(folder)) == load(path=str(folder / "E.csv")) == 1.5
    assert load(path=str(source)) == 2.5
    with pytest.raises(DataError, match=r"cache|public\.csv|E\.csv: no such file"):
        load(path=str(tmp_path))
    refused = "http://127.0.0.1:9/E.csv"
    message = r"data=e: no local copy, and http://127.* cannot be fetched .*data\.path=.*DATA_DIR.*ett/E\.csv, or conn"
    with pytest.raises(DataError, match=message):
        load(url=refused)
    with pytest.raises(DataError, match=r"it has no public address; give data\.path=.*ett/E\.csv$"):
        load()
    assert load(url=address) == 2.5
    source.unlink()
    assert load(url=address) == 2.5
    monkeypatch.setenv("SEQTRAIN_DATA_DIR", str(tmp_path / "data"))
    assert load(url=address) == 1.5
