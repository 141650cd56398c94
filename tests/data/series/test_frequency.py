from typing import Any

import numpy as np
import pandas as pd
import pytest

from seqtrain.data.series.frequency import find_frequency, next_times
from seqtrain.data.series.times import time_text
from seqtrain.errors import ConfigError, DataError


def times(start: str, count: int, frequency: str) -> np.ndarray:
    return pd.date_range(start, periods=count, freq=frequency).to_numpy().astype("datetime64[ns]")


def find(*series: np.ndarray, wanted: str | None = None, **options: Any) -> str:
    offsets = np.cumsum([0, *map(len, series)])

    def place(row: int) -> str:
        return f"row {row}, series {np.searchsorted(offsets, row, side='right') - 1}"

    return find_frequency(np.concatenate(series), offsets, wanted, place, **options)[0]


@pytest.mark.parametrize(
    "frequency", ["15min", "10min", "h", "2h", "D", "B", "W-MON", "MS", "QS-JAN", "YS-JAN", "7min"]
)
def test_the_frequency_is_that_of_all_series(frequency: str) -> None:
    long, short = times("2016-01-04", 60, frequency), times("2020-01-06", 25, frequency)
    if frequency in ("MS", "QS-JAN", "YS-JAN"):
        short = times("2020-01-01", 25, frequency)
    assert find(short, long) == find(long, short, wanted=frequency) == frequency


@pytest.mark.parametrize(
    ("starts", "step", "frequency"),
    [
        (("2016-01-01", "2016-02-01"), "2MS", "2MS"),  # every two months, a month apart
        (("2016-01-31", "2016-02-29"), "2ME", "2ME"),
        (("2016-01-04", "2016-01-11"), "2W-MON", "2W-MON"),
        (("2016-01-01", "2016-01-01 06:00"), "MS", "MS"),  # at another time of day
        (("2016-01-01", "2016-01-04 06:00"), "B", "B"),
        (("2016-01-01 00:00", "2016-01-01 00:20"), "h", "h"),
    ],
)
def test_each_series_has_a_grid_of_its_own(starts: tuple[str, str], step: str, frequency: str) -> None:
    series = [times(start, 30, step) for start in starts]
    assert find(*series) == find(*series, wanted=step) == frequency
    with pytest.raises(DataError, match=r"row 45, series 1: .* does not follow"):
        find(series[0], np.delete(series[1], 15))


@pytest.mark.parametrize(
    ("steps", "frequency"),
    [
        (("W-MON", "W-TUE"), "7D"),
        (("2W-MON", "2W-FRI"), "14D"),
        (("QS-JAN", "QS-FEB"), "3MS"),
        (("YE-DEC", "YE-JUN"), "12ME"),
    ],
)
def test_series_with_other_anchors_have_a_common_frequency(steps: tuple[str, str], frequency: str) -> None:
    long, short = times("2016-01-01", 30, steps[0]), times("2016-01-01", 20, steps[1])
    assert find(long, short) == frequency
    assert next_times(short[-1], frequency, 1)[0] == times("2016-01-01", 21, steps[1])[-1]
    with pytest.raises(DataError, match=rf"row 31, series 1: .*\(data\.frequency\).*set data\.frequency={steps[1]}"):
        find(long, short, wanted=steps[0])


def test_the_right_anchor_is_named() -> None:
    mondays = times("2018-01-01", 30, "W-MON")
    for wanted in ("W", "MS", "D"):
        with pytest.raises(DataError, match=rf"row 1, .* the frequency is {wanted} .*set data\.frequency=W-MON"):
            find(mondays, wanted=wanted)
    with pytest.raises(DataError, match=r"the frequency is W \(of the run\).*frequency W-MON: give a file of that"):
        find(mondays, wanted="W", trained=True)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("H", "h"),
        ("T", "min"),
        ("15T", "15min"),
        ("S", "s"),
        ("M", r"ME \(ends\), or MS \(starts\)"),
        ("A", "YE"),
        ("Y", "YE"),
    ]
    + [("Q-DEC", r"QE-DEC \(ends\), or QS \(starts\)"), ("AS-JAN", "YS-JAN"), ("L", "ms"), ("BM", "BME"), ("2H", "2h")],
)
def test_names_before_pandas_2_2_are_refused_with_the_new_name(old: str, new: str) -> None:
    with pytest.raises(ConfigError, match=rf"data\.frequency='{old}': is the name .* write {new}"):
        find(times("2016-01-01", 20, "h"), wanted=old)


def test_the_distance_of_whole_numbers_is_that_of_the_run() -> None:
    def distance(numbers: list[int], **options: Any) -> int | None:
        return find_frequency(np.array(numbers), np.array([0, len(numbers)]), None, lambda row: "f", **options)[1]

    assert distance([10, 20, 30]) == distance([10, 20, 30], distance=10) == 10
    assert distance([10], distance=10) == 10 and distance([10]) is None
    with pytest.raises(DataError, match=r"times are 900 apart, and .* 3,600 apart"):
        distance([0, 900, 1800], distance=3600)
    assert distance([0, 20, 30, 40, 60], gaps=True) == 10 and distance([0, 30, 60], distance=30, gaps=True) == 30


def test_whole_numbers_are_steps() -> None:
    assert find(np.arange(5), np.arange(100, 110)) == find(np.arange(0, 50, 5), wanted="step") == "step"
    with pytest.raises(DataError, match=r"series 1: 7 does not follow 5 .* 2016-07-31"):
        find(np.arange(3), np.array([4, 5, 7, 8]))
    with pytest.raises(DataError, match=r"series 0: its times are whole numbers, and the frequency 'h' .* the run"):
        find(np.arange(5), wanted="h")
    assert find(np.arange(1), np.arange(1), np.arange(1)) == "step"  # too short, which is found out later


def test_times_are_written_without_zeros_at_their_end() -> None:
    texts = ["2020-01-01 00:00", "2020-01-01 10:00", "2020-01-01 00:00:10", "2020-01-01 00:00:10.5"]
    assert [time_text(np.datetime64(text, "ns")) for text in texts] == texts


@pytest.mark.parametrize("frequency", ["h", "D", "B", "MS"])
def test_the_first_gap_is_named(frequency: str) -> None:
    whole = times("2016-01-01", 50, frequency)
    gap = np.delete(whole, 30)
    message = (
        rf"series 1: {time_text(whole[31])} does not follow {time_text(whole[29])} .* the frequency is {frequency}"
    )
    for wanted in (None, frequency):
        with pytest.raises(DataError, match=message):
            find(whole[:40], gap, wanted=wanted)
    with pytest.raises(DataError, match=r"the frequency is .*inferred.*data\.missing"):
        find(gap)
    assert find(gap, wanted="step") == "step"


def test_other_faults_of_times() -> None:
    hours = times("2016-01-01", 20, "h")
    with pytest.raises(DataError, match=r"series 0: time 2016-01-01 04:00 occurs twice.*data\.id_column"):
        find(np.sort(np.append(hours, hours[4])))
    with pytest.raises(DataError, match=r"the frequency is D \(data\.frequency\)"):
        find(hours, wanted="D")
    with pytest.raises(ConfigError, match=r"data\.frequency='hourly': must be null, step or one of pandas"):
        find(hours, wanted="hourly")
    with pytest.raises(DataError, match=r"cannot be inferred from 2 rows; give it"):
        find(hours[:2])
    with pytest.raises(DataError, match=r"cannot be inferred from 2016-01-01 00:00, .*data\.frequency=step"):
        find(hours[np.array([0, 1, 3, 7, 8, 12, 19])])
