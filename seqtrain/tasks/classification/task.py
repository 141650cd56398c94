"""Classification: one label per sequence.

Shapes: B batch, C classes, N rows of a split.
"""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqtrain.config.base import Targets
from seqtrain.config.task import ClassificationConfig
from seqtrain.data.base import Batch, Dataset
from seqtrain.data.cache import cached, digest
from seqtrain.data.series_classes.dataset import SeriesClasses
from seqtrain.data.spec import DataSpec
from seqtrain.data.text.classification import TextClassification
from seqtrain.runs.directory import RunDirectory
from seqtrain.tasks.averages import joined, mean
from seqtrain.tasks.base import Curve, Evaluation, Meter, Task, linear_head
from seqtrain.tasks.classification import series_baselines, temperature
from seqtrain.tasks.classification.illustration import draw_attention
from seqtrain.tasks.classification.logits import LogitMeter
from seqtrain.tasks.classification.metrics import (
    calibration_error,
    class_curves,
    class_scores,
    classification_metrics,
)
from seqtrain.tasks.classification.series_baselines import has_warping
from seqtrain.tasks.classification.temperature import Temperature
from seqtrain.tasks.classification.weights import class_weights
from seqtrain.tasks.statistics import Outputs
from seqtrain.tasks.stored_baselines import read_baselines, write_baselines
from seqtrain.tasks.tables import score_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


log = logging.getLogger(__name__)


class ClassificationMeter(LogitMeter):
    """Scores of the softmax of logits.

    Args:
        head: map from features to logits.
        scaling: the temperature that divides the logits; None for none.
    """

    def __init__(self, head: nn.Module, scaling: Temperature | None = None):
        super().__init__(head)
        self.scaling = scaling

    def result(self) -> Evaluation:
        return evaluation_of(*self.in_order(), self.scaling)


def evaluation_of(logits: Tensor, targets: Tensor, scaling: Temperature | None) -> Evaluation:
    """Scores of logits (N, C), float64, for targets (N,); with a temperature, also the calibration error before it."""
    scaled = logits if scaling is None else logits / scaling.value
    log_probabilities = scaled.log_softmax(-1)
    probabilities = log_probabilities.exp().numpy()
    metrics = {"loss": F.nll_loss(log_probabilities, targets).item()}
    metrics |= classification_metrics(probabilities, targets.numpy())
    if scaling is not None:
        unscaled = logits.softmax(-1).numpy()
        metrics["calibration_error_before"] = calibration_error(unscaled, targets.numpy())
    outputs = {"probabilities": probabilities, "targets": targets.numpy()}
    return Evaluation(metrics, outputs, sums={"logits": logits.numpy()})


class Classification(Task):
    """Classification of sequences into C classes by a linear layer and softmax cross-entropy.

    Args:
        config: class weights and label smoothing of the training loss, which scores do not use; and whether a
            temperature is fitted on validation after training.
        spec: names of the classes and their counts in train.

    Raises:
        ConfigError: if there is not one weight for each class.
    """

    targets = Targets.sequence_class
    causal = False
    pooled = True
    monitor = "accuracy"
    maximize = True
    shown = ("accuracy", "macro_f1", "auroc", "calibration_error")
    averages = {"probabilities": mean}
    predictor = "seqtrain.tasks.classification.predict:ClassPredictor"
    inspector = "seqtrain.tasks.classification.inspect:inspect"
    subject = "seqtrain.tasks.classification.explain:ClassSubject"

    def __init__(self, config: ClassificationConfig, spec: DataSpec):
        self.class_names, self.regularisers = spec.class_names, config
        self.label_smoothing = config.label_smoothing
        self.wants_temperature = config.temperature
        self.scaling: Temperature | None = None
        counts = torch.tensor(spec.class_counts, dtype=torch.float)
        balanced = counts.sum() / (len(counts) * counts.clamp(min=1))
        self.class_weights = class_weights(config.class_weights, self.class_names, balanced)

    def build_head(self, model: nn.Module) -> nn.Module:
        return linear_head(model, len(self.class_names))

    def loss(self, head: nn.Module, features: Tensor, batch: Batch) -> Tensor:
        logits = head(features).float()
        weights = self.class_weights.to(logits.device)
        return F.cross_entropy(logits, batch.targets, weights, label_smoothing=self.label_smoothing, reduction="sum")

    def count(self, batch: Batch) -> Tensor:
        return self.class_weights.to(batch.targets.device)[batch.targets].sum()

    def divergence(self, expected: Tensor, outputs: Tensor) -> Tensor:
        log_expected, log_found = expected.log_softmax(-1), outputs.log_softmax(-1)
        return F.kl_div(log_found, log_expected, reduction="none", log_target=True).sum(-1)

    def meter(self, head: nn.Module) -> Meter:
        return ClassificationMeter(head, self.scaling)

    def figures(self, evaluation: Evaluation) -> dict[str, "Figure"]:
        from seqtrain.tasks.classification import figures

        probabilities, targets = evaluation.outputs["probabilities"], evaluation.outputs["targets"]
        return {
            "confusion": figures.confusion_figure(probabilities.argmax(-1), targets, self.class_names),
            "reliability": figures.reliability_figure(probabilities, targets),
        }

    def tables(self, evaluation: Evaluation) -> dict[str, str]:
        predictions = np.asarray(evaluation.outputs["probabilities"]).argmax(-1)
        scores = class_scores(predictions, evaluation.outputs["targets"], self.class_names)
        return {"scores_by_class": score_table(scores, ("precision", "recall", "f1", "support"), "class")}

    def curves(self, evaluation: Evaluation) -> dict[str, Curve]:
        """Of the second of two classes, of each of a few, or of all classes together."""
        probabilities, targets = evaluation.outputs["probabilities"], evaluation.outputs["targets"]
        true = targets[:, None] == np.arange(len(self.class_names))
        if len(self.class_names) == 2:
            return class_curves(probabilities[:, 1:], true[:, 1:], self.class_names[1:])
        return class_curves(probabilities, true, self.class_names)

    def illustrate(
        self, model: nn.Module, head: nn.Module, data: Dataset, device: torch.device
    ) -> tuple[dict[str, "Figure"], dict[str, str]]:
        """Figures and texts of the attention paid to each word of a few rows of validation."""

        def describe(batch: Batch, features: Tensor) -> list[str]:
            probabilities, guesses = head(features).float().softmax(-1).cpu().max(-1)
            found = zip(batch.targets.tolist(), guesses.tolist(), probabilities.tolist(), strict=True)
            return [
                f"{self.class_names[true]}, predicted {self.class_names[guess]} ({p:.2f})" for true, guess, p in found
            ]

        return draw_attention(model, data, device, describe)

    def calibrate(self, evaluation: Evaluation, data: Dataset) -> Temperature | None:
        """The temperature with the lowest loss on validation, with ``task.temperature``; else None."""
        if not self.wants_temperature:
            return None
        probabilities, targets = evaluation.outputs["probabilities"], evaluation.outputs["targets"]
        logits, before = evaluation.sums["logits"], calibration_error(probabilities, targets)
        value = temperature.best_temperature(logits, targets)
        if value is None:
            return Temperature(1.0, len(targets), before, before, found=False)
        scaled = torch.from_numpy(logits / value).softmax(-1).numpy()
        return Temperature(value, len(targets), before, calibration_error(scaled, targets), found=True)

    def set_calibration(self, found: Temperature) -> None:
        self.scaling = found

    def rescored(self, head: nn.Module, evaluation: Evaluation, data: Dataset) -> Evaluation:
        logits, targets = evaluation.sums["logits"], evaluation.outputs["targets"]
        return evaluation_of(torch.from_numpy(logits), torch.from_numpy(targets), self.scaling)

    def save_artifacts(self, run: RunDirectory, step: int) -> None:
        if self.scaling is not None:
            temperature.save(self.scaling, run, step)

    def load_artifacts(self, run: RunDirectory, checkpoint: str, step: int) -> None:
        """Read the temperature, which only the ``best`` checkpoint has."""
        if not self.wants_temperature:
            return
        if checkpoint != "best":
            log.info("checkpoint=%s: has no temperature, which was fitted for the best one", checkpoint)
            return
        self.scaling = temperature.load(run, step)

    def scored(self, parts: Sequence[tuple[Outputs, Dataset | None]], split: str) -> Evaluation:
        whole = joined([outputs for outputs, _ in parts])
        logits = np.log(np.maximum(whole["probabilities"], np.finfo(np.float64).tiny))
        return evaluation_of(torch.from_numpy(logits), torch.from_numpy(whole["targets"]), None)

    def remarks(self) -> dict[str, str]:
        return {} if self.scaling is None else {"temperature": self.scaling.remark()}

    def scored_baselines(self, data: Dataset) -> dict[str, dict[str, Evaluation]]:
        """Scores of simple methods, those of texts or those of series; cached by what they read."""
        # The fingerprint is of the rows; classes without rows, which metadata may name, are not in it.
        match data:
            case TextClassification():
                key = f"{data.fingerprint}-{len(self.class_names)}-2"
            case SeriesClasses():
                key = digest([data.prepared_fingerprint, len(self.class_names), has_warping()])
            case _:
                return {}
        return read_baselines(cached("baselines", key, partial(self.fit_baselines, data)))

    def fit_baselines(self, data: TextClassification | SeriesClasses, directory: Path) -> None:
        """Fit on train, score on the other splits, write what ``read_baselines`` reads."""
        from seqtrain.tasks.classification import baselines

        labels = {split: data.labelled_split(split)[1] for split in data.sizes if split != "train"}
        fit: Any = series_baselines if isinstance(data, SeriesClasses) else baselines
        others = {split: data.labelled_split(split)[0] for split in labels}
        predicted = fit.baseline_probabilities(*data.labelled_split("train"), len(self.class_names), others)
        scored = {
            who: {
                split: Evaluation(
                    classification_metrics(probabilities, labels[split]),
                    {"probabilities": probabilities.astype(np.float32), "targets": labels[split]},
                )
                for split, probabilities in each.items()
            }
            for who, each in predicted.items()
        }
        write_baselines(directory, scored)
