"""The calendar of series: the usual season of a frequency, and features of the time of each step.

Shapes: N rows, F features.
"""

import numpy as np

from seqtrain.data.series.clocks import to_zone
from seqtrain.data.series.frequency import parse_frequency, unit
from seqtrain.data.series.times import STEP
from seqtrain.errors import ConfigError

SEASONS = {"D": 7, "B": 5, "W": 52, "M": 12, "Q": 4}  # steps; a step of less than a day has the season of a day


def default_season(frequency: str) -> int:
    """Number of steps of the usual season of a frequency (a day of hours, a week of days, a year of months), else 1."""
    import pandas as pd

    if frequency == STEP:
        return 1
    name, count = unit(frequency)
    if name in ("h", "min"):
        steps = pd.Timedelta(days=1) / pd.Timedelta(parse_frequency(frequency))
        return int(steps) if steps.is_integer() else 1
    season = SEASONS.get(name, 1)
    return season // count if season % count == 0 else 1


def calendar_features(times: np.ndarray, frequency: str, zone: str | None = None) -> tuple[np.ndarray, list[str]]:
    """Minute, hour, day of week, day of month and day of year: those that can change from step to step.

    Each ranges from -0.5 to 0.5, as in Informer (Zhou et al. 2021) and GluonTS.

    Args:
        times: time of each row, datetime64[ns], (N,).
        frequency: their frequency, as pandas writes it.
        zone: time zone whose calendar is taken for times in UTC; None takes the times as they are.

    Returns:
        Features (N, F), float32, and their names.

    Raises:
        ConfigError: if the times have no calendar.
    """
    import pandas as pd

    if times.dtype.kind == "i" or frequency == STEP:
        raise ConfigError("data.calendar=true: must be false, since the times are steps and not dates with a frequency")
    index = pd.DatetimeIndex(times if zone is None else to_zone(times, zone))
    features = {
        "minute_of_hour": index.minute / 59,
        "hour_of_day": index.hour / 23,
        "day_of_week": index.day_of_week / 6,
        "day_of_month": (index.day - 1) / 30,
        "day_of_year": (index.day_of_year - 1) / 365,
    }
    # Chosen by frequency, not by the values: a short file must give the features that the model was trained on.
    constant = {"min": 0, "h": 1, "D": 2, "B": 2, "W": 3}.get(unit(frequency)[0], 4)
    names = list(features)[constant:]
    return np.stack([features[name].to_numpy(np.float32) - np.float32(0.5) for name in names], axis=1), names
