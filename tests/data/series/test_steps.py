"""Numbers of steps: one more at each row, and the same for the same time in any file."""

import numpy as np
import pandas as pd
import pytest

from seqtrain.data.series.steps import numbers_of_times, step_numbers
from seqtrain.data.series.table import SeriesTable
from seqtrain.data.series.times import STEP, Clock


def table(
    times: np.ndarray, frequency: str, offsets: list[int] | None = None, distance: int | None = None
) -> SeriesTable:
    return SeriesTable(
        "file", times, np.zeros((len(times), 1)), ["a"], 1, 0, 0, np.array(offsets or [0, len(times)]), [""],
        np.arange(len(times)), frequency, distance, Clock.written, 0, [],
    )  # fmt: skip


FREQUENCIES = "15min h 7h D 10D B 3B W-MON 2W-SUN MS ME BMS 5MS QS-FEB 2QE YS 3YE"


@pytest.mark.parametrize("frequency", FREQUENCIES.split())
def test_each_row_is_one_step_further_in_every_file(frequency: str) -> None:
    times = pd.date_range("1965-03-02 06:00", periods=80, freq=frequency).to_numpy().astype("datetime64[ns]")
    numbers = step_numbers(table(times, frequency))
    assert (np.diff(numbers) == 1).all()
    np.testing.assert_array_equal(step_numbers(table(times[37:], frequency)), numbers[37:])


def test_known_numbers() -> None:
    hours = np.array(["1969-12-31T23", "1970-01-01T00", "2020-02-01T05"], "datetime64[ns]")
    assert step_numbers(table(hours, "h")).tolist() == [-1, 0, 18_293 * 24 + 5]
    assert step_numbers(table(hours[1:], "MS")).tolist() == [0, 601]
    assert step_numbers(table(np.array([7, 9, 11]), STEP, distance=2)).tolist() == [3, 4, 5]


def test_rows_are_counted_where_times_do_not_tell() -> None:
    for times, frequency in (
        (np.arange(40, 46), STEP),
        (np.array(["2020-01-15", "2020-01-31"] * 3, "datetime64[ns]"), "SME-15"),
    ):
        given = table(times, frequency, [0, 2, 6])
        assert numbers_of_times(given) is None
        assert step_numbers(given).tolist() == [0, 1, 0, 1, 2, 3]
