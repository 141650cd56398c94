"""Multi-label classification: a set of labels per sequence, which may be empty.

Shapes: B batch, C classes, N rows of a split.
"""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqtrain.config.base import Targets
from seqtrain.config.task import MultilabelConfig
from seqtrain.data.base import Batch, Dataset
from seqtrain.data.spec import DataSpec
from seqtrain.data.text.classification import TextClassification
from seqtrain.runs.directory import RunDirectory
from seqtrain.tasks.averages import joined, mean
from seqtrain.tasks.base import Curve, Evaluation, Meter, Task, linear_head
from seqtrain.tasks.classification.illustration import draw_attention
from seqtrain.tasks.classification.logits import LogitMeter
from seqtrain.tasks.classification.metrics import class_curves
from seqtrain.tasks.classification.weights import class_weights
from seqtrain.tasks.multilabel import thresholds
from seqtrain.tasks.multilabel.metrics import THRESHOLD, best_thresholds, cross_entropies, evaluation_of
from seqtrain.tasks.statistics import Outputs
from seqtrain.tasks.tables import score_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)


class MultilabelMeter(LogitMeter):
    """Scores of the sigmoids of logits.

    Args:
        head: map from features to logits.
        chosen_from: probability of each class from which it is chosen, (C,).
        class_names: names of the classes.
    """

    def __init__(self, head: nn.Module, chosen_from: np.ndarray, class_names: list[str]):
        super().__init__(head)
        self.chosen_from, self.class_names = chosen_from, class_names

    def result(self) -> Evaluation:
        logits, targets = self.in_order()
        losses = F.binary_cross_entropy_with_logits(logits, targets.double(), reduction="none").mean(1)
        probabilities = logits.sigmoid().numpy()
        return evaluation_of(probabilities, losses.numpy(), targets.numpy(), self.chosen_from, self.class_names)


class MultilabelClassification(Task):
    """Classification with a set of labels per sequence, by a linear layer and a sigmoid for each of C classes.

    The loss is binary cross-entropy in nats, the mean over rows and classes:

        -(w_c y log p + (1 - y) log(1 - p)),

    where w_c is the weight of class c, in training only (torch's ``pos_weight``).

    A label is chosen if its probability reaches the threshold of its class: 0.5 during training, and then the one with
    the highest F1 on validation. Scores on validation that depend on it are therefore optimistic; on test they are not.

    Args:
        config: class weights and label smoothing of the training loss; scores use neither.
        spec: names of the classes, their counts in train, and the number of train rows.

    Raises:
        ConfigError: if there is not one weight for each class.
    """

    targets = Targets.sequence_labels
    causal = False
    pooled = True
    monitor = "loss"
    maximize = False
    shown = ("loss", "micro_f1", "macro_f1", "mean_average_precision", "mean_auroc", "subset_accuracy")
    averages = {"probabilities": mean}
    predictor = "seqtrain.tasks.multilabel.predict:LabelSetPredictor"
    inspector = "seqtrain.tasks.multilabel.inspect:inspect"
    subject = "seqtrain.tasks.multilabel.explain:LabelSubject"

    def __init__(self, config: MultilabelConfig, spec: DataSpec):
        self.class_names, self.label_smoothing = spec.class_names, config.label_smoothing
        self.regularisers = config
        counts = torch.tensor(spec.class_counts, dtype=torch.float)
        assert spec.num_rows is not None  # data with sets of labels says so
        balanced = (spec.num_rows - counts).clamp(min=1) / counts.clamp(min=1)
        self.class_weights = class_weights(config.class_weights, self.class_names, balanced)
        self.thresholds = np.full(len(self.class_names), THRESHOLD)
        self.calibrated = False

    def build_head(self, model: nn.Module) -> nn.Module:
        return linear_head(model, len(self.class_names))

    def loss(self, head: nn.Module, features: Tensor, batch: Batch) -> Tensor:
        logits = head(features).float()
        targets = batch.targets.float() * (1 - self.label_smoothing) + self.label_smoothing / 2
        weights = self.class_weights.to(logits.device)
        return F.binary_cross_entropy_with_logits(logits, targets, pos_weight=weights, reduction="sum")

    def count(self, batch: Batch) -> Tensor:
        return torch.tensor(float(batch.targets.numel()), device=batch.targets.device)

    def divergence(self, expected: Tensor, outputs: Tensor) -> Tensor:
        """The mean over the classes, as in the loss."""
        sides = [(F.logsigmoid(sign * expected), F.logsigmoid(sign * outputs)) for sign in (1, -1)]
        parts = [F.kl_div(found, wanted, reduction="none", log_target=True) for wanted, found in sides]
        return (parts[0] + parts[1]).mean(-1)

    def meter(self, head: nn.Module) -> Meter:
        return MultilabelMeter(head, self.thresholds, self.class_names)

    def figures(self, evaluation: Evaluation) -> dict[str, "Figure"]:
        from seqtrain.tasks.multilabel.figures import classes_figure

        return {"classes": classes_figure(evaluation.details["classes"])}

    def tables(self, evaluation: Evaluation) -> dict[str, str]:
        columns = ("precision", "recall", "f1", "average_precision", "threshold", "support")
        return {"scores_by_class": score_table(evaluation.details["classes"], columns, "label")}

    def curves(self, evaluation: Evaluation) -> dict[str, Curve]:
        """Of each of a few labels, or of all labels together."""
        return class_curves(evaluation.outputs["probabilities"], evaluation.outputs["targets"], self.class_names)

    def illustrate(
        self, model: nn.Module, head: nn.Module, data: Dataset, device: torch.device
    ) -> tuple[dict[str, "Figure"], dict[str, str]]:
        """Figures and texts of the attention paid to each word of a few rows of validation."""

        def names(chosen: np.ndarray) -> str:
            return ", ".join(self.class_names[c] for c in np.flatnonzero(chosen)) or "no label"

        def describe(batch: Batch, features: Tensor) -> list[str]:
            predictions = head(features).double().sigmoid().cpu().numpy() >= self.thresholds
            rows = zip(batch.targets.cpu().numpy(), predictions, strict=True)
            return [f"{names(true)}; predicted {names(predicted)}" for true, predicted in rows]

        return draw_attention(model, data, device, describe)

    def scored_baselines(self, data: Dataset) -> dict[str, dict[str, Evaluation]]:
        """Scores of the class frequencies and of a logistic regression; cached by the data's fingerprint."""
        from seqtrain.tasks.multilabel.baselines import scored_baselines

        return scored_baselines(data, self.class_names) if isinstance(data, TextClassification) else {}

    def calibrate(self, evaluation: Evaluation, data: Dataset) -> np.ndarray:
        """The threshold of each class, (C,), with the highest F1 on validation."""
        return best_thresholds(evaluation.outputs["probabilities"], evaluation.outputs["targets"])

    def set_calibration(self, found: np.ndarray) -> None:
        self.thresholds, self.calibrated = found, True

    def rescored(self, head: nn.Module, evaluation: Evaluation, data: Dataset) -> Evaluation:
        probabilities, losses, targets = (evaluation.outputs[name] for name in ("probabilities", "losses", "targets"))
        return evaluation_of(probabilities, losses, targets, self.thresholds, self.class_names)

    def save_artifacts(self, run: RunDirectory, step: int) -> None:
        thresholds.save(self.thresholds, self.class_names, run, step)

    def load_artifacts(self, run: RunDirectory, checkpoint: str, step: int) -> None:
        """Read the thresholds, which only the ``best`` checkpoint has."""
        if checkpoint != "best":
            log.info("checkpoint=%s: has no thresholds of its own; labels are chosen from %g on", checkpoint, THRESHOLD)
            return
        self.set_calibration(thresholds.load(self.class_names, run, step))

    def scored(self, parts: Sequence[tuple[Outputs, Dataset | None]], split: str) -> Evaluation:
        whole = joined([outputs for outputs, _ in parts])
        probabilities, targets = whole["probabilities"], whole["targets"]
        losses = cross_entropies(probabilities, targets)
        return evaluation_of(probabilities, losses, targets, self.thresholds, self.class_names)

    def remarks(self) -> dict[str, str]:
        if not self.calibrated:
            return {}
        return {"thresholds": "one per class, of the highest F1 on validation; scores there are therefore optimistic"}
