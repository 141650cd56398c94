"""Checks that the float32 values which a model reads still tell the rows of a series apart.

Shapes: N rows of K series, D variables, C targets.
"""

import numpy as np

from seqtrain.config.series import ScaleBy, Scaler, SeriesConfig
from seqtrain.data.series.scaling import Scaling, listed
from seqtrain.data.series.table import SeriesTable, called
from seqtrain.errors import DataError

COARSEST = 0.01
"""Largest distance of two neighbouring float32 numbers as a share of a series' naive error, without a note."""


def check_finite(scaled: np.ndarray, table: SeriesTable) -> None:
    """Raise DataError for a value that is infinite once it is scaled, (N, D), float32."""
    infinite = np.isinf(scaled)
    if infinite.any():
        row, variable = np.argwhere(infinite)[0]
        raise DataError(
            f"{table.origin}: {table.values[row, variable]:g} of {table.names[variable]!r} ({infinite.sum():,} in all) "
            "is too large for float32 once it is scaled; correct the file, or use data.scaler=standard"
        )


def resolution_notes(
    scaled: np.ndarray,
    table: SeriesTable,
    train_ends: np.ndarray,
    constants: Scaling,
    seasonal_errors: np.ndarray,
    config: SeriesConfig,
) -> list[str]:
    """A remark on series of whose naive error the rounding of their scaled values is a large share; else empty.

    The naive error is the smaller one of the last value and the seasonal naive forecast, one step and one season ahead
    on train; the rounding is the distance of two float32 numbers at the mean size of the scaled values. Series whose
    rounding is near that of standardised values are left out, since no other scaling would help (an exact sine).

    Args:
        scaled: scaled targets, NaN where missing, (N, C), float32.
        table: the rows.
        train_ends: the row after the last train row of each series, (K,).
        constants: the scaling of each series.
        seasonal_errors: mean absolute error of the seasonal naive forecast on train, in original units, (K, C).
        config: the options.
    """
    starts, C = table.offsets[:-1], scaled.shape[1]
    values, lengths = table.values[:, :C], np.diff(table.offsets)
    train = np.arange(len(scaled)) < np.repeat(train_ends, lengths)
    later = train.copy()  # rows of train that follow another one
    later[starts] = False
    last_errors = mean_by_series(np.abs(np.diff(values, axis=0, prepend=np.nan)), later, starts)
    mean = np.repeat(mean_by_series(values, train, starts), lengths, axis=0)
    deviations = mean_by_series(np.abs(values - mean), train, starts)
    rounding = np.spacing(mean_by_series(np.abs(scaled), train, starts).astype(np.float32)) * constants.scale[:, :C]
    errors = np.stack([last_errors, seasonal_errors])
    share = rounding / np.fmin.reduce(np.where(errors > 0, errors, np.nan))
    coarse = np.argwhere((share > COARSEST) & (rounding > 16 * np.finfo(np.float32).eps * deviations))
    if not len(coarse):
        return []
    worst = coarse[np.argsort(-share[tuple(coarse.T)], kind="stable")]
    named = [f"{called(table, k, c)} ({100 * share[k, c]:.2g} %)" for k, c in worst]
    own = config.scale_by is ScaleBy.all and config.scaler is not Scaler.none
    return [
        f"models read float32 numbers, whose distance is more than {100 * COARSEST:g} % of the naive error of "
        f"{listed(named)}: what is lost there cannot be learned, although scores are exact; use "
        f"data.{'scale_by=series' if own else 'scaler=standard'}"
    ]


def mean_by_series(values: np.ndarray, used: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Mean of the used rows, (N,), of each series that are not NaN, (K, D), float64; NaN where there are none."""
    known = used[:, None] & ~np.isnan(values)
    sums = np.add.reduceat(np.where(known, values, 0), starts, dtype=np.float64)
    counts = np.add.reduceat(known, starts, dtype=np.int64)
    return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
