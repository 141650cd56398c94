"""Options of time series, for forecasting."""

from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from omegaconf import MISSING

from seqtrain.config.base import check_folds, require
from seqtrain.config.options import Affects, option
from seqtrain.config.tables import NumbersConfig

TIME_UNITS = ("D", "s", "ms", "us", "ns")


class Scaler(Enum):
    """How values are scaled; all constants are computed from train only."""

    standard = "standard"
    robust = "robust"
    minmax = "minmax"
    mean = "mean"
    none = "none"


class ScaleBy(Enum):
    """Whether scaling constants are computed for each series or over all series."""

    series = "series"
    all = "all"


class Missing(Enum):
    """How missing values are handled."""

    error = "error"
    interpolate = "interpolate"
    mask = "mask"


@dataclass
class SeriesConfig(NumbersConfig):
    """One or more time series, of one or more variables, with equally spaced times."""

    path: str | None = option(None, Affects.source)
    """A csv, tsv, jsonl or parquet file, or a folder that contains it."""
    time_column: str = option("date", Affects.rows)
    """Column that holds the times."""
    time_unit: str | None = option(None, Affects.rows)
    """Unit of times that are whole numbers: ``s``, ``ms``, ``us``, ``ns`` or ``D`` since 1970-01-01 00:00 UTC; null
    takes them as numbers of steps."""
    timezone: str | None = None
    """Time zone of the calendar, such as ``Europe/Berlin``. Times with an offset from UTC are converted to it; times
    without one are its local time. null takes times as they are written, and those with an offset in UTC."""
    targets: list[str] | None = None
    """Variables to forecast; null takes all numeric columns that are not covariates."""
    past_covariates: list[str] = field(default_factory=list)
    """Variables that are known only up to the present, and are not forecast."""
    future_covariates: list[str] = field(default_factory=list)
    """Variables that are also known for the steps of the horizon."""
    static_covariates: list[str] = field(default_factory=list)
    """Columns of numbers that are the same in all rows of a series, for example the size of a shop. They are scaled
    over all series."""
    categorical_covariates: list[str] = field(default_factory=list)
    """Columns of categories, as texts or whole numbers, that are also known for the steps of the horizon. Each becomes
    a 0 or 1 for every category of train."""
    calendar: bool = False
    """Add each step's time of day, week and year as covariates that are known for the future."""
    frequency: str | None = option(None, Affects.rows)
    """Time between two rows, as pandas writes it (h, 15min, D, MS); null infers it. In both cases the times are checked
    against it. ``step`` takes rows as equally spaced, in the order of their times."""
    fill_gaps: bool = option(False, Affects.rows)
    """Insert the rows that are missing between two rows of a series, without values; needs ``missing``."""
    missing: Missing = option(Missing.error, Affects.rows)
    """What to do with missing values. ``error`` refuses them. ``interpolate`` fills inputs linearly between two known
    values of the window's past, or else repeats the last known one. ``mask`` fills inputs with the mean of train.
    Missing targets then count in neither loss nor scores."""

    lookback: int = 96
    """Length of the input window of a forecast (steps)."""
    horizon: int = 96
    """Number of steps to forecast."""
    season: int | None = option(None, Affects.rows)
    """Season of the seasonal naive baseline (steps); null takes the usual one of the frequency (24 for hours)."""
    train_size: float | None = option(0.7, Affects.rows)
    """Size of train, from the beginning: a fraction below 1, or a number of rows (steps). null counts from the end of
    each series: test is its last ``test_size`` rows, validation those before it, and train the rest."""
    validation_size: float = option(0.1, Affects.rows)
    """Size of validation, which follows train: a fraction below 1, or a number of rows (steps)."""
    test_size: float | None = option(None, Affects.rows)
    """Size of test, which follows validation: a fraction below 1, or a number of rows (steps); null takes the rest."""
    split_date: list[str] | None = option(None, Affects.rows)
    """First times of validation and of test, at which all series are cut: dates, or whole numbers if the times are
    such. null cuts by the sizes; with dates, the sizes do not matter."""
    folds: int | None = option(None, Affects.rows)
    """Number of groups into which the series are cut for cross-validation. Validation is then the validation rows of
    the series of one group, and train the train rows of the others; test has all series. null takes all series for
    both."""
    fold: int = option(0, Affects.rows)
    """Which of the ``folds`` is validation, counted from 0."""
    split_seed: int = option(0, Affects.rows)
    """Seed for choosing the series of each fold."""
    scaler: Scaler = Scaler.standard
    """How values are scaled: ``standard`` (mean and standard deviation), ``robust`` (median and interquartile range),
    ``minmax``, ``mean`` (0 and the mean of absolute values) or ``none``."""
    covariate_scaler: Scaler | None = None
    """How covariates are scaled; null: as ``scaler``."""
    scale_by: ScaleBy = ScaleBy.series
    """Scaling constants of each variable: for each ``series`` separately, or over ``all`` series."""

    batch_size: int = option(32, Affects.batches)
    """Windows in a training batch."""
    eval_batch_size: int = option(256, Affects.speed)
    """Windows in an evaluation batch. Changes only speed and memory."""

    def check(self, key: str) -> None:
        super().check(key)
        units = f"null or one of {', '.join(TIME_UNITS)}"
        require(self.time_unit is None or self.time_unit in TIME_UNITS, f"{key}.time_unit", self.time_unit, units)
        if self.timezone is not None and not is_timezone(self.timezone):
            near = get_close_matches(self.timezone, available_timezones(), n=1)
            allowed = f"null or the name of a time zone, such as {', '.join(near) or 'Europe/Berlin'}"
            require(False, f"{key}.timezone", self.timezone, allowed)
        fills = not self.fill_gaps or (self.missing is not Missing.error and self.frequency != "step")
        allowed = "false, unless data.missing is interpolate or mask and data.frequency is not step"
        require(fills, f"{key}.fill_gaps", self.fill_gaps, allowed)
        for name in ("lookback", "horizon", "batch_size", "eval_batch_size"):
            require(getattr(self, name) >= 1, f"{key}.{name}", getattr(self, name), "at least 1")
        require(self.season is None or self.season >= 1, f"{key}.season", self.season, "at least 1, or null")
        require(self.train_size is None or self.train_size > 0, f"{key}.train_size", self.train_size,
                "above 0, or null")  # fmt: skip
        require(self.train_size is not None or self.test_size is not None, f"{key}.test_size", self.test_size,
                f"given with {key}.train_size=null")  # fmt: skip
        require(self.split_date is None or len(self.split_date) == 2, f"{key}.split_date", self.split_date,
                "null, or the first times of validation and of test")  # fmt: skip
        require(self.validation_size > 0, f"{key}.validation_size", self.validation_size, "above 0")
        require(self.test_size is None or self.test_size > 0, f"{key}.test_size", self.test_size, "above 0, or null")
        check_folds(self.folds, self.fold, key)
        require(0 <= self.split_seed < 2**32, f"{key}.split_seed", self.split_seed, "in [0, 2**32)")
        names = [*(self.targets or []), *self.past_covariates, *self.future_covariates, *self.static_covariates]
        names += [*self.categorical_covariates, self.time_column]
        require(len(set(names)) == len(names), f"{key}.targets, covariates and time_column", names, "different")
        require(self.targets is None or len(self.targets) > 0, f"{key}.targets", self.targets, "null or not empty")


@dataclass
class PublicSeriesConfig(SeriesConfig):
    """A public dataset, read from ``path``, else from a folder of $SEQTRAIN_DATA_DIR, else from its public address."""

    folder: str = option(MISSING, Affects.source)
    """Folder of the dataset under $SEQTRAIN_DATA_DIR."""
    file: str = option(MISSING, Affects.source)
    """Name of the dataset's file in ``folder``."""
    url: str | None = option(None, Affects.source)
    """Public address of the file, if there is a stable one."""

    def check(self, key: str) -> None:
        super().check(key)
        require(Path(self.file).name == self.file, f"{key}.file", self.file, "a name without folders")


@dataclass
class SeriesFilesConfig(SeriesConfig):
    """Your own csv or parquet file: in wide form, or in long form if ``id_column`` is set."""

    id_column: str | None = option(None, Affects.rows)
    """Column that identifies the series in a file in long form, for example ``unique_id``; null: the file is one
    series."""


class Process(Enum):
    """The process that generates a series."""

    lorenz = "lorenz"
    mackey_glass = "mackey_glass"
    sine = "sine"


@dataclass
class GeneratedSeriesConfig(SeriesConfig):
    """A computed series; the equations are in ``seqtrain/data/series/processes.py``."""

    process: Process = option(MISSING, Affects.rows)
    """Process that generates the series: ``lorenz``, ``mackey_glass`` or ``sine``."""
    length: int = option(10_000, Affects.rows)
    """Length of the series (steps)."""

    def check(self, key: str) -> None:
        super().check(key)
        require(self.length >= 10, f"{key}.length", self.length, "at least 10")
        require(self.path is None, f"{key}.path", self.path, "null: this series is computed")


def is_timezone(name: str) -> bool:
    """Whether there is a time zone of this name."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return False
    return True
