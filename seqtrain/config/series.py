"""Options of time series, for forecasting."""

from dataclasses import dataclass, field
from enum import Enum

from omegaconf import MISSING

from seqtrain.config.base import DataConfig, require
from seqtrain.config.options import Affects, option


class Scaler(Enum):
    """How values are scaled; all constants come from training rows."""

    standard = "standard"
    robust = "robust"
    minmax = "minmax"
    none = "none"


class ScaleBy(Enum):
    """What has constants of its own."""

    series = "series"
    all = "all"


class Missing(Enum):
    """What is done about missing values."""

    error = "error"
    interpolate = "interpolate"
    mask = "mask"


@dataclass
class SeriesConfig(DataConfig):
    """One or many series of one or many variables at equal distances in time."""

    path: str | None = option(None, Affects.source)
    """A csv or parquet file, or a folder that holds it."""
    time_column: str = option("date", Affects.rows)
    """Column of the times."""
    targets: list[str] | None = None
    """Variables to forecast; null takes all columns of numbers that are no covariates."""
    past_covariates: list[str] = field(default_factory=list)
    """Variables that are known up to the present, and not forecast."""
    future_covariates: list[str] = field(default_factory=list)
    """Variables that are known for the horizon too."""
    calendar: bool = False
    """Add the time of the day, week and year of each step as covariates known for the future."""
    frequency: str | None = option(None, Affects.rows)
    """Distance in time of two rows, as pandas writes it (h, 15min, D, MS); null infers it. It is checked either way;
    ``step`` takes the rows as equally far apart whatever their times, unchecked."""
    missing: Missing = option(Missing.error, Affects.rows)
    """``error``; or inputs that ``interpolate`` (a line between known values that both lie in the window's past, else
    the last one carried on) or ``mask`` (the mean of train). Missing targets then count in neither loss nor scores."""

    lookback: int = 96
    """Steps that a forecast sees."""
    horizon: int = 96
    """Steps that are forecast."""
    season: int | None = option(None, Affects.rows)
    """Steps of the season of the seasonal naive forecast; null takes that of the frequency (a day of hours, 24)."""
    train_size: float = option(0.7, Affects.rows)
    """Rows of train, from the beginning: a fraction below 1, or a number of rows (steps)."""
    validation_size: float = option(0.1, Affects.rows)
    """Rows of validation, after train; the same."""
    test_size: float | None = option(None, Affects.rows)
    """Rows of test, after validation; null takes all that is left."""
    scaler: Scaler = Scaler.standard
    """``standard`` (mean, deviation), ``robust`` (median, interquartile range), ``minmax`` or ``none``."""
    scale_by: ScaleBy = ScaleBy.series
    """Constants of each variable for each ``series``, or of each variable over ``all`` series."""

    batch_size: int = option(32, Affects.batches)
    """Windows in a training batch."""
    eval_batch_size: int = option(256, Affects.speed)
    """Windows in an evaluation batch. Changes speed and memory only."""

    def check(self, key: str) -> None:
        for name in ("lookback", "horizon", "batch_size", "eval_batch_size"):
            require(getattr(self, name) >= 1, f"{key}.{name}", getattr(self, name), "at least 1")
        require(self.season is None or self.season >= 1, f"{key}.season", self.season, "at least 1, or null")
        require(self.train_size > 0, f"{key}.train_size", self.train_size, "above 0")
        require(self.validation_size > 0, f"{key}.validation_size", self.validation_size, "above 0")
        require(self.test_size is None or self.test_size > 0, f"{key}.test_size", self.test_size, "above 0, or null")
        names = [*(self.targets or []), *self.past_covariates, *self.future_covariates, self.time_column]
        require(len(set(names)) == len(names), f"{key}.targets, covariates and time_column", names, "different")
        require(self.targets is None or len(self.targets) > 0, f"{key}.targets", self.targets, "null or not empty")


@dataclass
class PublicSeriesConfig(SeriesConfig):
    """A public dataset: from ``path``, else a folder of $SEQTRAIN_DATA_DIR, else its public address."""

    folder: str = option(MISSING, Affects.source)
    """Folder of the dataset under $SEQTRAIN_DATA_DIR."""
    file: str = option(MISSING, Affects.source)
    """File in it."""
    url: str | None = option(None, Affects.source)
    """Public address of the file, where there is a stable one."""


@dataclass
class SeriesFilesConfig(SeriesConfig):
    """A person's own csv or parquet file: wide, or long where it has ``id_column``."""

    id_column: str | None = option(None, Affects.rows)
    """Column that tells the series apart, in the long form (``unique_id``, say); null: the file is one series."""


class Process(Enum):
    """What is integrated or computed."""

    lorenz = "lorenz"
    mackey_glass = "mackey_glass"
    sine = "sine"


@dataclass
class GeneratedSeriesConfig(SeriesConfig):
    """A series computed on the spot; the equations stand in ``seqtrain/data/series/processes.py``."""

    process: Process = option(MISSING, Affects.rows)
    """Which."""
    length: int = option(10_000, Affects.rows)
    """Steps."""

    def check(self, key: str) -> None:
        super().check(key)
        require(self.length >= 10, f"{key}.length", self.length, "at least 10")
        require(self.path is None, f"{key}.path", self.path, "null: this series is computed")
