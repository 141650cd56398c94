"""Explanations of forecasts: a step of the lookback is replaced by what tells nothing.

Shapes: B windows, L lookback, S horizon, D features of a step, C variables.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from seqtrain.data.base import Batch, Dataset
from seqtrain.data.series.batch import ForecastBatch
from seqtrain.data.series.columns import id_columns
from seqtrain.data.series.dataset import ForecastingData
from seqtrain.errors import ConfigError
from seqtrain.paths import input_file
from seqtrain.tasks.explaining.subject import Subject, evenly
from seqtrain.tasks.forecasting.predict import ForecastPredictor
from seqtrain.tasks.forecasting.task import Forecasting
from seqtrain.tasks.predicting import Trained

if TYPE_CHECKING:
    import pyarrow


class ForecastSubject(Subject):
    """How far a forecast goes its own way: its part along the direction in which the window moved it.

    With y(x) the point forecasts of a window, (S, C), scaled, b the window with all steps removed, and
    d = y(x) - y(b), the score of another window x' is

        f(x') = <y(x') - y(b), d> / (||d|| sqrt(S C)).

    So f(b) = 0, and f(x) is the root mean square of d: how much the window moves the forecast, in scaled units. d plays
    the part of the predicted class. A plain sum of the forecasts would cancel where some rise and others fall.

    A removed step has the mean of the window in each target and past covariate; with ``removal=season`` the value a
    season before, or after it where the window has none before. What is known of a step beforehand, future covariates
    and calendar, is never removed. The baseline of gradients is b.

    Raises:
        ConfigError: if ``removal=season``, and the data has no season, or a lookback of less than two.
    """

    removals = ("mean", "season")
    score_name = "movement of the forecast (scaled units)"
    names: list[str] | None = None
    """Names of the series that were read last; None if the run has no ``data.id_column``."""

    def __init__(self, trained: Trained, removal: str | None = None):
        super().__init__(trained, removal)
        self.task = cast(Forecasting, trained.task)
        spec = self.task.spec
        assert spec.num_features is not None and spec.horizon is not None
        self.measured = spec.num_features - spec.num_future
        self.overlap = spec.horizon
        self.season = spec.season
        lookback = cast(int, spec.lookback)
        if self.removal == "season" and not 1 < self.season <= lookback / 2:
            raise ConfigError(
                f"removal=season: needs a season of 2 to {lookback // 2} steps, half of data.lookback={lookback}, and "
                f"that of the run is {self.season}; use removal=mean"
            )

    def batches(self, data: Dataset, split: str, numbers: np.ndarray) -> Iterator[Batch]:
        yield from self.named(cast(ForecastingData, data)).batches(split, numbers)

    def new_batches(self, source: str, count: int | None = None) -> Iterator[Batch]:
        """The last window of each series of a file, or of csv from stdin (-)."""
        with input_file(source, ".csv") as path:
            data = self.named(ForecastPredictor(self.trained).read_announced(path, source))
        last = data.windows["test"].ends - 1
        for batch in data.batches("test", last[evenly(len(last), count)]):
            yield replace(batch, rows=batch.series.numpy())

    def named(self, data: ForecastingData) -> ForecastingData:
        """The data, whose names of series are kept for ``columns``."""
        self.names = data.table.ids if id_columns(data.config) else None
        return data

    def choose(self, batch: Batch) -> Tensor:
        """y(b) and d / (||d|| sqrt(S C)), (B, 2, S, C), float64; d of a window that moves nothing is 0."""
        with torch.no_grad():
            base = self.point(replace(batch, inputs=self.baseline(batch)))
            moved = self.point(batch) - base
        norm = moved.flatten(1).norm(dim=1)[:, None, None]
        unit = moved / norm.clamp(min=torch.finfo(norm.dtype).tiny)
        return torch.stack([base, unit / moved[0].numel() ** 0.5], dim=1)

    def point(self, batch: Batch) -> Tensor:
        """Scaled point forecasts, (B, S, C), float64."""
        features, _ = self.task.features(self.model, self.head, batch, None)
        return self.task.distribution.point(self.task.forecasts(self.head, features, batch)).double()

    def score(self, batch: Batch, choice: Tensor) -> Tensor:
        return ((self.point(batch) - choice[:, 0]) * choice[:, 1]).sum((1, 2))

    def inputs(self, batch: Batch) -> Tensor:
        return batch.inputs

    def baseline(self, batch: Batch) -> Tensor:
        """The window with the measured features of all steps removed, (B, L, D)."""
        measured, known = batch.inputs.split([self.measured, batch.inputs.shape[-1] - self.measured], dim=-1)
        if self.removal == "mean":
            replaced = measured.mean(1, keepdim=True).expand_as(measured)
        else:
            season = self.season
            replaced = torch.cat([measured[:, season : 2 * season], measured[:, :-season]], dim=1)
        return torch.cat([replaced, known], dim=-1)

    def score_of_inputs(self, inputs: Tensor, batch: Batch, choice: Tensor) -> Tensor:
        return self.score(replace(batch, inputs=inputs), choice)

    def without(self, batch: Batch, kept: Tensor) -> Batch:
        return replace(batch, inputs=torch.where(kept[..., None], batch.inputs, self.baseline(batch)))

    def lacks(self, method: str) -> str | None:
        if method == "attention" and self.task.recursive:
            return "task.strategy=recursive attends anew at each step that it forecasts"
        return super().lacks(method)

    def columns(self, batches: Sequence[Batch], choices: Sequence[Tensor]) -> dict[str, "pyarrow.Array"]:
        """Of each window the name of its series, if they have any, and the number of the first step it predicts."""
        import pyarrow as pa

        windows = cast(Sequence[ForecastBatch], batches)
        steps = pa.array(torch.cat([batch.first_step for batch in windows]).tolist(), type=pa.int64())
        if self.names is None:
            return {"first_step": steps}
        series = [self.names[k] for batch in windows for k in batch.series.tolist()]
        return {"series": pa.array(series, type=pa.string()), "first_step": steps}
