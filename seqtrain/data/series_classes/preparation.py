"""What is done to the values of a series before a model reads them: filled, shortened, scaled.

Shapes: T steps of one series, D features.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from seqtrain.config.series_classes import Filling, ScaledBy, SeriesClassesConfig
from seqtrain.errors import RunError
from seqtrain.runs.json_files import read_record, write_json

FILE = "preparation.json"
CONSTANT = 1e-8
"""A standard deviation below this, relative to the largest absolute value, is that of a constant."""


@dataclass(frozen=True)
class Preparation:
    """The constants of the preparation, learned from train."""

    features: list[str]
    """Names of the D features."""
    centre: list[float]
    """Mean of each feature over the known values of train."""
    scale: list[float]
    """Standard deviation of each; 1 for a constant."""
    steps: int
    """Number of neighbouring steps whose mean becomes one step; 1 keeps all."""
    longest: int | None = None
    """Length of the longest series of train after that; None in runs that were saved before it was kept."""

    @classmethod
    def learned(cls, values: Sequence[np.ndarray], features: list[str], config: SeriesClassesConfig) -> "Preparation":
        """The constants of the series of train, (T, D) each."""
        whole = np.concatenate(values)
        known = ~np.isnan(whole)
        count = np.maximum(known.sum(0), 1)
        centre = np.where(known, whole, 0).sum(0) / count
        spread = np.sqrt((np.where(known, whole - centre, 0) ** 2).sum(0) / count)
        longest = max(map(len, values))
        steps = 1 if config.max_length is None else -(-longest // config.max_length)
        largest = np.abs(np.where(known, whole, 0)).max(0)
        scale = usable_scale(spread, largest).tolist()
        return cls(list(features), centre.tolist(), scale, steps, -(-longest // steps))

    @classmethod
    def read(cls, run: Path) -> "Preparation":
        """The preparation that ``write`` wrote into the directory of a run; raises RunError if it cannot be used."""
        path = run / FILE
        saved = read_record(cls, path)
        count = len(saved.features)
        if count < 1 or len(saved.centre) != count or len(saved.scale) != count:
            raise RunError(f"{path}: has not one centre and scale for each feature; restore it, or train again")
        if saved.steps < 1 or min(saved.scale) <= 0:
            raise RunError(f"{path}: steps and scale must be above 0; restore it, or train again")
        return saved

    def write(self, run: Path) -> None:
        """Write it into the directory of a run."""
        write_json(run / FILE, asdict(self), indent=None)

    def apply(self, values: np.ndarray, config: SeriesClassesConfig) -> np.ndarray:
        """A series as models read it, (T / steps, D), float32, from its values (T, D), NaN where missing."""
        centre, scale = np.array(self.centre), np.array(self.scale)
        if np.isnan(values).any():
            values = filled(values, centre, config.missing)
        values = shortened(values, self.steps)
        match config.scale_by:
            case ScaledBy.train:
                values = (values - centre) / scale
            case ScaledBy.series:
                own = values - values.mean(0)
                values = own / usable_scale(own.std(0), np.abs(values).max(0))
        return values.astype(np.float32)


def usable_scale(spread: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """Standard deviations, (D,), with 1 in place of those of constants."""
    return np.where(spread > CONSTANT * np.maximum(largest, np.finfo(np.float32).tiny), spread, 1.0)


def filled(values: np.ndarray, centre: np.ndarray, filling: Filling) -> np.ndarray:
    """A series without missing values, (T, D).

    Args:
        values: (T, D), NaN where missing.
        centre: mean of each feature in train, (D,), for features without any known value too.
        filling: how.
    """
    result = np.where(np.isnan(values), centre, values)
    if filling is Filling.interpolate:
        step = np.arange(len(values))
        for feature, column in enumerate(values.T):
            known = ~np.isnan(column)
            if known.any() and not known.all():
                result[:, feature] = np.interp(step, step[known], column[known])
    return result


def shortened(values: np.ndarray, steps: int) -> np.ndarray:
    """The means of each ``steps`` neighbouring steps; the last one may be of fewer."""
    if steps == 1:
        return values
    starts = np.arange(0, len(values), steps)
    sums: np.ndarray = np.add.reduceat(values, starts, axis=0)
    return sums / np.diff([*starts, len(values)])[:, None]
