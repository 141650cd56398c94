"""Scaling of variables by constants of the rows of train.

Shapes: N rows of K series, D variables.
"""

import json
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from seqtrain.config.series import ScaleBy, Scaler
from seqtrain.errors import DataError


@dataclass
class Scaling:
    """Constants of each variable by which values become (value - centre) / scale."""

    names: list[str]
    """Names of the variables."""
    ids: list[str] | None
    """Names of the series that have constants of their own; None: all series share one row of constants."""
    centre: np.ndarray
    """Centre in original units, (K, D), float64; K is 1 if all series share their constants."""
    scale: np.ndarray
    """Scale in original units, above 0, (K, D), float64."""
    mean: np.ndarray
    """Mean of train, which replaces missing values, (K, D)."""

    @classmethod
    def fit(
        cls,
        values: np.ndarray,
        offsets: np.ndarray,
        train_ends: np.ndarray,
        scaler: Scaler,
        by: ScaleBy,
        names: list[str],
        ids: list[str],
    ) -> "Scaling":
        """Compute the constants from the known values of train.

        Args:
            values: all values, NaN where missing, (N, D).
            offsets: first row of each series, and N, (K + 1,).
            train_ends: the row after the last train row of each series, (K,).
            scaler: ``standard`` takes mean and population standard deviation (ddof 0, as scikit-learn), ``robust``
                median and interquartile range, ``minmax`` minimum and range, ``none`` 0 and 1.
            by: whether each series has constants of its own.
            names: names of the variables.
            ids: names of the series.

        Raises:
            DataError: for a variable without two different values in train, unless ``scaler`` is ``none``.
        """
        assert ((offsets[:-1] <= train_ends) & (train_ends <= offsets[1:])).all(), "train is a beginning of each series"
        parts = [values[start:end] for start, end in zip(offsets[:-1], train_ends, strict=True)]
        if by is ScaleBy.all:
            parts = [np.concatenate(parts)]
        if scaler is not Scaler.none:
            for number, part in enumerate(parts):
                check_varied(part, names, ids[number] if by is ScaleBy.series and len(ids) > 1 else None)
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "Mean of empty slice", RuntimeWarning
            )  # of a variable without known values
            mean = np.nan_to_num(np.stack([np.nanmean(part, axis=0) for part in parts]))
        match scaler:
            case Scaler.standard:
                centre, scale = mean, np.stack([np.nanstd(part, axis=0) for part in parts])
            case Scaler.robust:
                low, centre, high = np.stack([np.nanquantile(part, (0.25, 0.5, 0.75), axis=0) for part in parts], 1)
                scale = high - low
            case Scaler.minmax:
                centre = np.stack([np.nanmin(part, axis=0) for part in parts])
                scale = np.stack([np.nanmax(part, axis=0) for part in parts]) - centre
            case Scaler.none:
                centre, scale = np.zeros_like(mean), np.ones_like(mean)
        flat = np.argwhere(scale == 0)
        if flat.size:
            number, variable = flat[0]
            raise DataError(
                f"variable {names[variable]!r}{of_series(ids[number] if len(parts) > 1 else None)}: its "
                "interquartile range in train is 0, since most values are equal; set data.scaler=standard"
            )
        return cls(names, None if by is ScaleBy.all else ids, centre, scale, mean)

    def select(self, ids: list[str]) -> "Scaling":
        """The constants of the series with these names, in this order.

        Raises:
            DataError: for a series without constants.
        """
        if self.ids is None:
            rows = np.zeros(len(ids), dtype=np.int64)
        else:
            places = {name: place for place, name in enumerate(self.ids)}
            unknown = [name for name in ids if name not in places]
            if unknown:
                raise DataError(
                    f"series {unknown[0]!r} ({len(unknown)} in all): train had no series of that name to scale it by; "
                    "leave it out, or train with data.scale_by=all"
                )
            rows = np.array([places[name] for name in ids])
        return Scaling(self.names, ids, self.centre[rows], self.scale[rows], self.mean[rows])

    def apply(self, values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Scale the values of all series, (N, D): computed in float64, returned in float32."""
        scaled = np.empty(values.shape, dtype=np.float32)
        with np.errstate(over="ignore"):  # an infinite value is an error of its own
            for number, (start, end) in enumerate(zip(offsets[:-1], offsets[1:], strict=True)):
                scaled[start:end] = (values[start:end] - self.centre[number]) / self.scale[number]
        return scaled

    def undo(self, scaled: np.ndarray, series: np.ndarray) -> np.ndarray:
        """Convert the first C variables of windows, (B, ..., C), of the series numbered (B,), to original units."""
        shape = (len(series), *[1] * (scaled.ndim - 2), scaled.shape[-1])
        scale, centre = (each[series, : scaled.shape[-1]].reshape(shape) for each in (self.scale, self.centre))
        return scaled.astype(np.float64) * scale + centre

    def save(self, path: Path, **more: object) -> None:
        """Write the constants as JSON, without loss: Python prints a float64 with the digits that restore it."""
        arrays = {name: getattr(self, name).tolist() for name in ("centre", "scale", "mean")}
        path.write_text(json.dumps(more | asdict(self) | arrays))

    @classmethod
    def load(cls, path: Path) -> "Scaling":
        """Read the constants that ``save`` wrote."""
        state = json.loads(path.read_text())
        arrays = (np.array(state[name], dtype=np.float64) for name in ("centre", "scale", "mean"))
        return cls(state["names"], state["ids"], *arrays)


def check_varied(train: np.ndarray, names: list[str], series: str | None) -> None:
    """Raise DataError for a variable without two different values in train."""
    known = ~np.isnan(train)
    low = np.where(known, train, np.inf).min(axis=0, initial=np.inf)
    high = np.where(known, train, -np.inf).max(axis=0, initial=-np.inf)
    constant = np.flatnonzero(~(low < high))
    if constant.size:
        name = names[constant[0]]
        found = f"is {low[constant[0]]:g} in every row" if known[:, constant[0]].any() else "has no known value in any"
        shared = ", or data.scale_by=all" if series is not None else ""
        raise DataError(
            f"variable {name!r}{of_series(series)}: {found} of train, so that it cannot be scaled; leave it out of "
            f"data.targets and the covariates, or set data.scaler=none{shared}"
        )


def of_series(series: str | None) -> str:
    """A clause for errors that names the series; empty if there is only one."""
    return "" if series is None else f" of series {series!r}"
