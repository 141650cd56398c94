"""Sequence regression: one number per sequence.

Shapes: B batch, N rows of a split.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from seqtrain.config.base import Targets
from seqtrain.config.task import SequenceRegressionConfig
from seqtrain.data.base import Batch, Dataset
from seqtrain.data.series_classes.dataset import SeriesClasses
from seqtrain.data.spec import DataSpec
from seqtrain.tasks.averages import joined, mean
from seqtrain.tasks.base import Evaluation, Meter, Table, Task, linear_head
from seqtrain.tasks.regression.statistics import absolute_error, squared_error
from seqtrain.tasks.statistics import Outputs


class RegressionMeter(Meter):
    """Collects the prediction and target of every row, both in the units of the targets.

    Args:
        head: from features to scaled predictions.
        centre: what is added to a prediction, once it is multiplied by ``scale``.
        scale: the unit of scaled predictions.
    """

    taken_in = ("predictions", "targets", "rows")

    def __init__(self, head: nn.Module, centre: float = 0.0, scale: float = 1.0):
        self.head, self.centre, self.scale = head, centre, scale
        self.predictions: list[Tensor] = []
        self.targets: list[Tensor] = []
        self.rows: list[np.ndarray] = []

    def update(self, batch: Batch, features: Tensor) -> None:
        scaled = self.head(features).squeeze(-1).float().cpu().double()
        self.predictions.append(scaled * self.scale + self.centre)
        self.targets.append(batch.targets.cpu().double())
        self.rows.append(batch.rows)

    def result(self) -> Evaluation:
        order = np.argsort(np.concatenate(self.rows))
        predictions, targets = (torch.cat(part).numpy()[order] for part in (self.predictions, self.targets))
        return evaluation_of({"predictions": predictions, "targets": targets})


def evaluation_of(outputs: dict[str, np.ndarray]) -> Evaluation:
    """Scores of ``predictions`` and ``targets``, (N,) each."""
    metrics = {"mse": squared_error(outputs, {}).value(), "mae": absolute_error(outputs, {}).value()}
    return Evaluation(metrics, outputs)


class SequenceRegression(Task):
    """Regression of one number per sequence, by a linear layer and squared error.

    The layer predicts (number - centre) / scale, with the mean and the standard deviation of train where the data name
    them, and the loss is that of these scaled numbers. All scores are in the units of the targets.

    Args:
        config: has no options.
        spec: spec of the data.
    """

    targets = Targets.sequence_number
    causal = False
    pooled = True
    monitor = "mse"
    maximize = False
    shown = ("mse", "mae")
    averages = {"predictions": mean}
    predictor = "seqtrain.tasks.regression.predict:NumberPredictor"
    inspector = "seqtrain.tasks.regression.inspect:inspect"

    def __init__(self, config: SequenceRegressionConfig, spec: DataSpec):
        del config
        self.centre, self.scale = spec.target_centre, spec.target_scale

    def build_head(self, model: nn.Module) -> nn.Module:
        return linear_head(model, 1)

    def loss(self, head: nn.Module, features: Tensor, batch: Batch) -> Tensor:
        scaled = (batch.targets - self.centre) / self.scale
        return (head(features).squeeze(-1).float() - scaled).square().sum()

    def count(self, batch: Batch) -> Tensor:
        return torch.tensor(float(len(batch.targets)), device=batch.targets.device)

    def meter(self, head: nn.Module) -> Meter:
        return RegressionMeter(head, self.centre, self.scale)

    def scored(self, parts: Sequence[tuple[Outputs, Dataset | None]], split: str) -> Evaluation:
        whole = joined([outputs for outputs, _ in parts])
        return evaluation_of({name: whole[name] for name in ("predictions", "targets")})

    def baselines(self, data: Dataset) -> Table:
        """What is known in theory and, of series from files, the scores of the mean of train."""
        table: Table = {who: dict.fromkeys(("validation", "test"), scores) for who, scores in data.known_scores.items()}
        if isinstance(data, SeriesClasses) and "train" in data.sizes:
            mean_of_train = data.labelled_split("train")[1].mean(dtype=np.float64)
            others = {split: data.labelled_split(split)[1] for split in data.sizes if split != "train"}
            table["mean of train"] = {
                split: evaluation_of({"predictions": np.full(len(own), mean_of_train), "targets": own}).metrics
                for split, own in others.items()
            }
        return table
