"""The scaling of a table of series: of targets, of covariates, and of static covariates.

Shapes: K series.
"""

import numpy as np

from seqtrain.config.series import ScaleBy, Scaler, SeriesConfig
from seqtrain.data.series.scaling import Scaling
from seqtrain.data.series.table import SeriesTable
from seqtrain.data.series.windows import Ranges


def fit_scaling(table: SeriesTable, ranges: Ranges, config: SeriesConfig, notes: list[str]) -> Scaling:
    """The scaling constants of all variables that are numbers, from the rows of train.

    Static covariates are scaled over all series, each of which counts once.

    Args:
        table: the rows.
        ranges: rows of each split.
        config: the options.
        notes: gets remarks for the user.

    Raises:
        DataError: as ``Scaling.fit``.
    """
    begins, train_ends = ranges["train"]
    assert (begins == table.offsets[:-1]).all()
    assert all((train_ends <= ranges[split][0]).all() for split in ("validation", "test"))

    def fitted(start: int, stop: int, scaler: Scaler) -> Scaling:
        values, names = table.values[:, start:stop], table.names[start:stop]
        return Scaling.fit(values, table.offsets, train_ends, scaler, config.scale_by, names, table.ids, notes)

    of_covariates = config.covariate_scaler or config.scaler
    C, changing = table.num_targets, table.num_numeric - len(config.static_covariates)
    scaling = fitted(0, C, config.scaler)
    if changing > C:
        scaling = scaling.beside(fitted(C, changing, of_covariates))
    if table.num_numeric > changing:
        values = np.fmax.reduceat(table.values[:, changing : table.num_numeric], table.offsets[:-1])
        rows, names = np.arange(len(values) + 1), table.names[changing : table.num_numeric]
        static = Scaling.fit(values, rows, rows[1:], of_covariates, ScaleBy.all, names, table.ids, notes)
        scaling = scaling.beside(static)
    return scaling
