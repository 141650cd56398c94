import numpy as np
import pandas as pd
import pytest

from seqtrain.data.series.calendar import calendar_features, default_season, find_frequency, time_text
from seqtrain.errors import ConfigError, DataError


def times(start: str, count: int, frequency: str) -> np.ndarray:
    return pd.date_range(start, periods=count, freq=frequency).to_numpy().astype("datetime64[ns]")


def find(*series: np.ndarray, wanted: str | None = None) -> str:
    offsets = np.cumsum([0, *map(len, series)])
    return find_frequency(np.concatenate(series), offsets, wanted, [f"file, series {i}" for i in range(len(series))])


@pytest.mark.parametrize(
    ("frequency", "season"),
    [("15min", 96), ("10min", 144), ("h", 24), ("2h", 12), ("D", 7), ("B", 5), ("W-MON", 52), ("MS", 12), ("QS-JAN", 4)]
    + [("YS-JAN", 1), ("7min", 1)],
)
def test_frequency_and_season(frequency: str, season: int) -> None:
    long, short = times("2016-01-04", 60, frequency), times("2020-01-06", 25, frequency)
    if frequency in ("MS", "QS-JAN", "YS-JAN"):
        short = times("2020-01-01", 25, frequency)
    assert find(short, long) == find(long, short, wanted=frequency) == frequency
    assert default_season(frequency) == season


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


def test_features_against_plain_python() -> None:
    when = times("2016-12-30 22:15", 500, "15min")
    features, names = calendar_features(when, "15min")
    assert names == ["minute_of_hour", "hour_of_day", "day_of_week", "day_of_month", "day_of_year"]
    assert features.dtype == np.float32 and features.shape == (500, 5)
    for row in (0, 7, 8, 199, 499):
        t = pd.Timestamp(when[row]).to_pydatetime()
        expected = [t.minute / 59, t.hour / 23, t.weekday() / 6, (t.day - 1) / 30, (t.timetuple().tm_yday - 1) / 365]
        np.testing.assert_allclose(features[row], np.array(expected) - 0.5, atol=1e-6)
    assert features.min() == -0.5 and features.max() == 0.5


def test_only_features_that_vary_at_the_frequency() -> None:
    counts = {"h": 4, "D": 3, "B": 3, "W-SUN": 2, "MS": 1}
    for frequency, count in counts.items():
        features, names = calendar_features(times("2016-01-03", 30, frequency), frequency)
        assert features.shape == (30, count) and len(names) == count and names[-1] == "day_of_year"
    for when in (np.arange(5), times("2016-01-01", 5, "h")):
        with pytest.raises(ConfigError, match=r"data\.calendar=true: must be false"):
            calendar_features(when, "step")
