import numpy as np
import pandas as pd
import pytest

from seqtrain.data.series.calendar import calendar_features, default_season
from seqtrain.errors import ConfigError


def times(start: str, count: int, frequency: str) -> np.ndarray:
    return pd.date_range(start, periods=count, freq=frequency).to_numpy().astype("datetime64[ns]")


@pytest.mark.parametrize(
    ("frequency", "season"),
    [("15min", 96), ("10min", 144), ("h", 24), ("2h", 12), ("D", 7), ("B", 5), ("W-MON", 52), ("MS", 12), ("QS-JAN", 4)]
    + [("3MS", 4), ("YS-JAN", 1), ("7min", 1)],
)
def test_season(frequency: str, season: int) -> None:
    assert default_season(frequency) == season


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


def test_features_of_instants_are_those_of_a_place() -> None:
    """The clock of Berlin shows 2 o'clock twice on 2020-10-25."""
    when = times("2020-10-24 22:00", 5, "h")  # UTC
    features, names = calendar_features(when, "h", "Europe/Berlin")
    hours = np.round((features[:, names.index("hour_of_day")] + 0.5) * 23)
    assert hours.tolist() == [0, 1, 2, 2, 3]
    days = np.round((features[:, names.index("day_of_month")] + 0.5) * 30) + 1
    assert days.tolist() == [25] * 5
