"""Scaling of variables by constants of the rows of train.

Shapes: N rows of K series, D variables.
"""

import warnings
from dataclasses import dataclass

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
        notes: list[str],
    ) -> "Scaling":
        """Compute the constants from the known values of train.

        A variable without two different values there gets its value as the centre, and a scale of 1.

        Args:
            values: all values, NaN where missing, (N, D).
            offsets: first row of each series, and N, (K + 1,).
            train_ends: the row after the last train row of each series, (K,).
            scaler: ``standard`` takes mean and population standard deviation (ddof 0, as scikit-learn), ``robust``
                median and interquartile range (the standard deviation where that is 0), ``minmax`` minimum and range,
                ``mean`` 0 and the mean of absolute values, ``none`` 0 and 1.
            by: whether each series has constants of its own.
            names: names of the variables.
            ids: names of the series.
            notes: gets remarks for the user.

        Raises:
            DataError: for a variable without a known value in train, unless ``scaler`` is ``none``.

        Source: Salinas et al. 2020, "DeepAR", section 3.3, for ``mean``; they take 1 plus the mean of the window.
        """
        assert ((offsets[:-1] <= train_ends) & (train_ends <= offsets[1:])).all(), "train is a beginning of each series"
        parts = [values[start:end] for start, end in zip(offsets[:-1], train_ends, strict=True)]
        own = None if by is ScaleBy.all else ids
        if own is None:
            parts = [np.concatenate(parts)]
        with warnings.catch_warnings():
            for message in (
                "Mean of empty slice",
                "All-NaN",
                "Degrees of freedom",
            ):  # of variables without known values
                warnings.filterwarnings("ignore", message, RuntimeWarning)
            found = [constants(part, scaler) for part in parts]
            deviations = np.stack([np.nanstd(part, axis=0) for part in parts]) if scaler is Scaler.robust else None
        centre, scale, mean, known = (np.stack(arrays) for arrays in zip(*found, strict=True))
        if scaler is not Scaler.none:
            check_known(known, names)
            low, high = (np.stack(arrays) for arrays in zip(*(extremes(part) for part in parts), strict=True))
            constant = ~(low < high)  # by its values, since the deviation of equal numbers may not be exactly 0
            replaced = (scale == 0) & ~constant
            if deviations is not None and replaced.any():  # interquartile ranges of 0
                scale = np.where(replaced, deviations, scale)
                what = "have an interquartile range of 0 in train, and are scaled by their standard deviation"
                notes.append(remark(replaced, names, own, what))
            if scaler is Scaler.mean:
                constant = scale == 0
            else:
                centre = np.where(constant & known, low, centre)
            scale = np.where(constant, 1.0, scale)
            if constant.any():
                notes.append(remark(constant, names, own, "are constant or unknown in train, and are scaled by 1"))
        return cls(names, own, centre, scale, mean)

    def beside(self, other: "Scaling") -> "Scaling":
        """The constants of these variables and of others, for the same series."""
        ids = self.ids or other.ids
        rows = 1 if ids is None else len(ids)
        joined = (
            np.concatenate([np.broadcast_to(part, (rows, part.shape[1])) for part in parts], axis=1)
            for parts in ((self.centre, other.centre), (self.scale, other.scale), (self.mean, other.mean))
        )
        return Scaling(self.names + other.names, ids, *joined)

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


def constants(train: np.ndarray, scaler: Scaler) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Centre, scale (which may be 0), mean, and whether any value is known, of rows of train, (D,) each."""
    known = ~np.isnan(train).all(axis=0)
    rows = train if len(train) else np.full((1, train.shape[1]), np.nan)
    mean = np.nanmean(rows, axis=0)
    match scaler:
        case Scaler.standard:
            centre, scale = mean, np.nanstd(rows, axis=0)
        case Scaler.robust:
            low, centre, high = np.nanquantile(rows, (0.25, 0.5, 0.75), axis=0)
            scale = high - low
        case Scaler.minmax:
            centre = np.nanmin(rows, axis=0)
            scale = np.nanmax(rows, axis=0) - centre
        case Scaler.mean:
            # Rounded to float32, so that a model's forecasts can hold it without loss.
            centre, scale = np.zeros_like(mean), np.nanmean(np.abs(rows), axis=0).astype(np.float32).astype(np.float64)
        case Scaler.none:
            centre, scale = np.zeros_like(mean), np.ones_like(mean)
    return np.nan_to_num(centre), np.nan_to_num(scale), np.nan_to_num(mean), known


def extremes(train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest known value of each variable, (D,) each; infinite if none is known."""
    known = ~np.isnan(train)
    return (
        np.where(known, train, np.inf).min(axis=0, initial=np.inf),
        np.where(known, train, -np.inf).max(axis=0, initial=-np.inf),
    )


def check_known(known: np.ndarray, names: list[str]) -> None:
    """Raise DataError for a variable that has no known value in train, of (K, D), of any series."""
    unknown = np.flatnonzero(~known.any(axis=0))
    if unknown.size:
        raise DataError(
            f"variable {names[unknown[0]]!r}: has no known value in any row of train, so that it cannot be scaled; "
            "leave it out of data.targets and the covariates, or set data.scaler=none"
        )


def remark(which: np.ndarray, names: list[str], ids: list[str] | None, what: str) -> str:
    """A note that counts variables of series, (K, D), and names the first."""
    alone = ids is None or len(ids) == 1
    found = [repr(names[d]) + ("" if alone or ids is None else f" of series {ids[k]!r}") for k, d in np.argwhere(which)]
    of = "variables" if alone else "variables of all series"
    return f"{len(found):,} of {which.size:,} {of} {what}: {listed(found)}"


def listed(names: list[str]) -> str:
    """The first three of some names, and how many there are besides."""
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
