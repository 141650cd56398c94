"""Times as they are in files: their order, clocks, epochs, and what a run keeps of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from seqtrain.config.series import Missing, SeriesFilesConfig
from seqtrain.data.series.reading import read_series
from seqtrain.data.series.table import SeriesTable
from seqtrain.data.series.times import Clock, RunTimes
from seqtrain.errors import ConfigError, DataError


def read(folder: Path, times: Any, run: RunTimes | None = None, **options: Any) -> SeriesTable:
    """Series with the values 0, 1, ... in the order of the file; columns of other names come from ``columns``."""
    columns = options.pop("columns", {})
    frame = pd.DataFrame({"date": list(times), "y": np.arange(len(times), dtype=float), **columns})
    path = folder / "a.csv"
    frame.to_csv(path, index=False)
    return read_series(SeriesFilesConfig(name="t", path=str(path), **options), run)


def written(
    start: str, count: int, frequency: str, zone: str | None = None, form: str = "%Y-%m-%dT%H:%M:%S"
) -> list[str]:
    index = pd.date_range(start, periods=count, freq=frequency, tz=zone)
    return [f"{time.strftime(form)}{time.isoformat()[19:] if zone else ''}" for time in index]


# --- the order of rows


def test_steps_are_put_in_order_of_their_times(tmp_path: Path) -> None:
    days = written("2020-01-01", 60, "B")
    for times in (days[::-1], [*days[30:], *days[:30]], list(range(100, 40, -1))):
        table = read(tmp_path, times, frequency="step")
        order = np.argsort(times)
        np.testing.assert_array_equal(table.values[:, 0], order)
        np.testing.assert_array_equal(table.rows, order)
        assert table.notes == ["the file's rows are not in order of time; they are read in order of their times"]
    assert read(tmp_path, days, frequency="step").notes == []


def test_panels_newest_first(tmp_path: Path) -> None:
    days = written("2020-01-01", 30, "D")
    columns = {"id": ["b"] * 30 + ["a"] * 20}
    table = read(tmp_path, [*days[::-1], *days[:20]], columns=columns, id_column="id", frequency="step")
    np.testing.assert_array_equal(table.values[:, 0], [*range(30, 50), *range(29, -1, -1)])
    assert "rows (of 1 of 2 series) are not in order of time" in table.notes[0]


def test_times_that_repeat_keep_the_order_of_the_file(tmp_path: Path) -> None:
    days = written("2020-01-01", 30, "D")
    days[7] = days[6]
    (note,) = read(tmp_path, days, frequency="step").notes
    assert "rows keep the order of the file, since 1 of them repeat the time of another one (first: 2020-01-07" in note
    assert "backwards" not in note and "data.id_column" in note
    table = read(tmp_path, days[::-1], frequency="step")
    assert table.rows.tolist() == list(range(30)) and "they run backwards in time" in table.notes[0]


def test_times_that_cannot_be_read_number_the_rows(tmp_path: Path) -> None:
    table = read(tmp_path, [f"week {i}" for i in range(9, -1, -1)], frequency="step")
    assert table.times.tolist() == list(range(10)) and table.rows.tolist() == list(range(10))
    assert "rows are numbered and keep the order of the file, since: " in table.notes[0]
    assert "line 2: column 'date' (data.time_column): 'week 9' cannot be read as a time (10 in all)" in table.notes[0]


# --- whole numbers


def test_epoch_times_are_dates_where_the_option_says_so(tmp_path: Path) -> None:
    hours = pd.date_range("2021-01-01", periods=40, freq="h")
    for unit in ("s", "ms", "us", "ns"):
        numbers = hours.as_unit(unit).astype("int64")
        table = read(tmp_path, numbers, time_unit=unit)
        np.testing.assert_array_equal(table.times, hours.to_numpy())
        assert table.frequency == "h" and table.clock is Clock.utc and table.notes == ["times are in UTC"]
        (note,) = read(tmp_path, numbers).notes
        assert "look like epoch times" in note and "2021-01-01 00:00" in note and f"data.time_unit={unit} makes" in note
    days = read(tmp_path, range(18628, 18668), time_unit="D")
    assert days.frequency == "D" and days.clock is Clock.written and days.times[0] == np.datetime64("2021-01-01")


def test_wrong_units(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 2: .* 1609459200000 is not a time in the years .* data\.time_unit=s"):
        read(tmp_path, np.arange(1609459200000, 1609459200050), time_unit="s")
    with pytest.raises(DataError, match=r"must be whole numbers, since data\.time_unit=s; set it to null"):
        read(tmp_path, written("2020-01-01", 20, "D"), time_unit="s")
    with pytest.raises(ConfigError, match=r"data\.time_unit='h': must be null or one of D, s, ms, us, ns"):
        SeriesFilesConfig(name="t", time_unit="h").check("data")


def test_whole_numbers_that_are_dates_of_a_month(tmp_path: Path) -> None:
    (note,) = read(tmp_path, range(20200101, 20200125)).notes
    assert "look like dates (20200101): write dates as 2020-01-01" in note
    assert read(tmp_path, range(1990, 2020)).notes == []  # years


# --- offsets and time zones


@pytest.mark.parametrize("frequency", ["D", "B", "MS", "ME", "W-MON"])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kolkata", "America/New_York"])
def test_local_midnights_are_dates(tmp_path: Path, frequency: str, zone: str) -> None:
    """Over a change of the clocks, and in a place east of UTC without one."""
    times = written("2020-01-01", 100, frequency, zone)
    dates = pd.date_range("2020-01-01", periods=100, freq=frequency).to_numpy()
    for timezone in (None, zone):
        table = read(tmp_path, times, timezone=timezone)
        np.testing.assert_array_equal(table.times, dates)
        assert table.frequency == frequency and table.clock is Clock.local
        assert "without their offsets from UTC" in table.notes[0]
    table = read(tmp_path, [time[:19] for time in times], timezone=zone)  # written without offset
    np.testing.assert_array_equal(table.times, dates)


def test_daily_times_of_a_place_at_another_hour(tmp_path: Path) -> None:
    times = written("2020-01-01 06:00", 200, "D", "Europe/Berlin")
    table = read(tmp_path, times)
    assert table.frequency == "D" and table.times[-1] == np.datetime64("2020-07-18T06:00")
    utc = pd.to_datetime(times, utc=True).strftime("%Y-%m-%dT%H:%M:%SZ")
    with pytest.raises(DataError, match=r"2020-03-29 04:00 does not follow 2020-03-28 05:00 .*data\.timezone"):
        read(tmp_path, utc)
    np.testing.assert_array_equal(read(tmp_path, utc, timezone="Europe/Berlin").times, table.times)


def test_hours_of_a_place_are_equally_spaced_in_utc(tmp_path: Path) -> None:
    """The clocks of Berlin skip an hour in March, and show one twice in October."""
    for start in ("2020-03-28", "2020-10-24"):
        for frequency in ("h", "15min"):
            index = pd.date_range(start, periods=300, freq=frequency, tz="Europe/Berlin")
            utc = index.tz_convert("UTC").tz_localize(None).to_numpy()
            for times in (
                written(start, 300, frequency, "Europe/Berlin"),
                [t.strftime("%Y-%m-%d %H:%M") for t in index],
            ):
                table = read(tmp_path, times, timezone="Europe/Berlin")
                np.testing.assert_array_equal(table.times, utc)
                assert table.frequency == frequency and table.clock is Clock.utc
                assert table.notes == ["times are in UTC; the calendar is that of Europe/Berlin"]
    backwards = read(tmp_path, times[::-1], timezone="Europe/Berlin")
    np.testing.assert_array_equal(backwards.times, utc)


def test_times_that_a_place_does_not_have(tmp_path: Path) -> None:
    hours = written("2020-03-28", 60, "h")
    with pytest.raises(DataError, match=r"line 28: .* 2020-03-29 02:00 does not exist in data\.timezone=Europe/Berlin"):
        read(tmp_path, hours, timezone="Europe/Berlin")
    with pytest.raises(ConfigError, match=r"data\.timezone='Europe/Berln': must be null or .* such as Europe/Berlin"):
        SeriesFilesConfig(name="t", timezone="Europe/Berln").check("data")


def test_offsets_of_some_rows_only(tmp_path: Path) -> None:
    hours = written("2020-01-01", 30, "h")
    hours[5] += "+01:00"
    with pytest.raises(
        DataError, match=r"line 7: .* '2020-01-01T05:00:00\+01:00' cannot be read .* as the first one, '2020"
    ):
        read(tmp_path, hours)


@pytest.mark.parametrize("offset", ["Z", "+00:00", " UTC", "+0200", "+02", "-05:30"])
def test_offsets_as_people_write_them(tmp_path: Path, offset: str) -> None:
    table = read(tmp_path, [f"{time}{offset}" for time in written("2020-01-01", 30, "h", form="%Y-%m-%d %H:%M:%S")])
    away = {"+0200": -120, "+02": -120, "-05:30": 330}.get(offset, 0)
    assert table.times[0] == np.datetime64("2020-01-01") + np.timedelta64(away, "m") and table.clock is Clock.utc


def test_parquet_with_a_time_zone(tmp_path: Path) -> None:
    for zone, clock in (("UTC", Clock.utc), ("Europe/Berlin", Clock.local)):
        dates = pd.date_range("2020-01-01", periods=200, freq="D", tz=zone)
        pd.DataFrame({"date": dates, "y": 1.0 * np.arange(200)}).to_parquet(tmp_path / "a.parquet")
        table = read_series(SeriesFilesConfig(name="t", path=str(tmp_path / "a.parquet")))
        assert table.frequency == "D" and table.clock is clock
        np.testing.assert_array_equal(table.times, dates.tz_localize(None).to_numpy())


# --- what a run keeps


def test_a_file_has_times_of_the_kind_that_the_run_knows(tmp_path: Path) -> None:
    plain, aware = written("2020-01-01", 30, "h"), written("2020-01-01", 30, "h", "UTC")
    without, within = (r"no offset from UTC, and .* have one", r"an offset from UTC, and .* have none")
    for times, clock, message in (
        (plain, Clock.utc, without),
        (plain, Clock.local, without),
        (aware, Clock.written, within),
        (plain, Clock.number, "its times are dates, and those .* are whole numbers"),
        (range(30), Clock.written, "its times are whole numbers, and those .* are dates"),
    ):
        with pytest.raises(DataError, match=rf"a\.csv: .*{message}"):
            read(tmp_path, times, RunTimes(clock, None))
        read(tmp_path, times, RunTimes(clock, None), frequency="step")  # their order is all that counts
        read(tmp_path, times, RunTimes(None, None))  # a run that was made before this was kept
    assert read(tmp_path, plain, RunTimes(Clock.utc, None), timezone="UTC").clock is Clock.utc


def test_a_run_decides_on_the_clock(tmp_path: Path) -> None:
    """A short file may look as if its rows were days of a place, and a run of hours be in UTC."""
    times = ["2020-01-01T00:00:00+01:00", "2020-01-02T00:00:00+01:00"]
    for clock, first in ((Clock.utc, "2019-12-31T23:00"), (Clock.local, "2020-01-01"), (None, "2019-12-31T23:00")):
        table = read(tmp_path, times, RunTimes(clock, None), frequency="D")
        assert table.times[0] == np.datetime64(first)


# --- gaps


@pytest.mark.parametrize("frequency", ["h", "D", "B", "MS", "W-MON"])
def test_missing_rows_are_inserted(tmp_path: Path, frequency: str) -> None:
    times = written("2020-01-01", 60, frequency)
    kept = [row for row in range(60) if row not in (10, 11, 12, 40)]
    options: dict[str, Any] = {"missing": Missing.mask, "fill_gaps": True}
    table = read(tmp_path, [times[row] for row in kept], **options)
    np.testing.assert_array_equal(table.times, pd.to_datetime(times).to_numpy())
    assert np.flatnonzero(np.isnan(table.values[:, 0])).tolist() == [10, 11, 12, 40] and table.missing == 4
    assert table.rows[kept].tolist() == list(range(56)) and table.rows[[10, 11, 12, 40]].tolist() == [56, 57, 58, 59]
    assert "4 rows that the file lacks are inserted without values" in table.notes[0] and "line 11," in table.notes[0]
    assert read(tmp_path, times, **options).notes == []


def test_missing_rows_of_panels_and_steps(tmp_path: Path) -> None:
    options: dict[str, Any] = {"missing": Missing.interpolate, "fill_gaps": True}
    numbers = [0, 10, 20, 40, 50, 5, 15, 35]
    table = read(tmp_path, numbers, columns={"id": list("aaaaabbb")}, id_column="id", **options)
    assert table.times.tolist() == [0, 10, 20, 30, 40, 50, 5, 15, 25, 35] and table.offsets.tolist() == [0, 6, 10]
    assert table.distance == 10 and np.isnan(table.values[:, 0]).nonzero()[0].tolist() == [3, 8]
    with pytest.raises(DataError, match=r"line 5: 37 is not a whole number of steps \(10\) after .* series, 0"):
        read(tmp_path, [0, 10, 20, 37, 47, 57], **options)
    with pytest.raises(DataError, match=r"would insert most of the .* rows from 0 to 100000"):
        read(tmp_path, [0, 1, 2, 3, 100_000], **options)
    for wrong in ({"missing": Missing.error}, {"frequency": "step"}):
        with pytest.raises(ConfigError, match=r"data\.fill_gaps=True: must be false, unless data\.missing"):
            SeriesFilesConfig(name="t", **options | wrong).check("data")
