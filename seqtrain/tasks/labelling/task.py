"""Sequence labelling: one label per step; padding is ignored.

Shapes: B batch, T time, C classes, W different tokens of train.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from seqtrain.config.base import Targets
from seqtrain.config.task import SequenceLabellingConfig
from seqtrain.data.base import Batch, Dataset, DataSpec
from seqtrain.layers.masks import real_steps
from seqtrain.tasks.base import Evaluation, Meter, Table, Task, linear_head


@runtime_checkable
class HasLabelledTokens(Protocol):
    """A dataset whose steps are words, which the baseline of ``SequenceLabelling`` needs."""

    def labelled_tokens(self, split: str) -> tuple[list[list[str]], list[list[str]]]:
        """Tokens and label names of each row of a split, a label for each token."""
        ...


class LabellingMeter(Meter):
    """Sums over the real steps of all rows (nats, hits and steps), and the labels.

    Args:
        head: map from features to logits.
        class_names: names of the labels.
    """

    taken_in = ("nats", "hits", "steps", "rows", "perfect", "labels", "log_probabilities")

    def __init__(self, head: nn.Module, class_names: Sequence[str]):
        self.head = head
        self.class_names = class_names
        self.nats = torch.zeros((), dtype=torch.double)
        self.hits = self.steps = self.rows = self.perfect = 0
        self.marks_entities = marks_entities(class_names)
        self.labels: dict[int, tuple[list[int], list[int]]] = {}
        """Predicted and true labels of the real steps of each row."""
        self.log_probabilities: dict[int, np.ndarray] = {}
        """Log-probabilities, in nats, of the true labels of each row."""

    def update(self, batch: Batch, features: Tensor) -> None:
        real = real_steps(batch.lengths, batch.targets.shape[1])
        logits = self.head(features).float()
        nats = F.cross_entropy(logits[real].cpu().double(), batch.targets[real].cpu(), reduction="none")
        self.nats += nats.sum()
        of_rows = torch.split(-nats.float(), batch.lengths.tolist())
        self.log_probabilities |= dict(zip(batch.rows.tolist(), (part.numpy() for part in of_rows), strict=True))
        predicted = logits.argmax(-1)
        wrong = (predicted != batch.targets) & real
        self.hits += int(real.sum() - wrong.sum())
        self.steps += int(real.sum())
        self.perfect += int((~wrong.any(1)).sum())
        self.rows += len(batch.rows)
        columns = batch.rows.tolist(), batch.lengths.tolist(), predicted.tolist(), batch.targets.tolist()
        for row, length, guesses, truth in zip(*columns, strict=True):
            self.labels[row] = guesses[:length], truth[:length]

    def result(self) -> Evaluation:
        metrics = {
            "loss": self.nats.item() / self.steps,
            "accuracy": self.hits / self.steps,
            "sequence_accuracy": self.perfect / self.rows,
        }
        sides = [[self.labels[row][side] for row in sorted(self.labels)] for side in (0, 1)]
        if self.marks_entities:
            predicted, true = ([[self.class_names[label] for label in row] for row in side] for side in sides)
            metrics |= entity_metrics(predicted, true)
        outputs = {name: np.concatenate(side) for name, side in zip(("predictions", "targets"), sides, strict=True)}
        outputs["log_probabilities"] = np.concatenate([self.log_probabilities[row] for row in sorted(self.labels)])
        return Evaluation(metrics, outputs | {"lengths": np.array([len(row) for row in sides[1]])})


def marks_entities(class_names: Sequence[str]) -> bool:
    """Whether labels follow the BIO scheme: all are O, B-<type> or I-<type>, and at least one is B-<type>."""
    return all(name == "O" or name.startswith(("B-", "I-")) for name in class_names) and any(
        name.startswith("B-") for name in class_names
    )


def entity_metrics(predicted: list[list[str]], true: list[list[str]]) -> dict[str, float]:
    """F1, precision and recall of entities; an entity is right if its type, first step and last step are.

    As in conlleval, an I- that does not continue an entity of its type begins one.

    Args:
        predicted: labels of each row, in the BIO scheme.
        true: true labels of each row, in the BIO scheme.

    Returns:
        ``entity_f1``, ``entity_precision``, ``entity_recall``, over the entities of all types together; 0 if there
        are none.

    Source: Tjong Kim Sang and De Meulder 2003, section 2.3; the script conlleval.
    """
    from seqeval.metrics.sequence_labeling import precision_recall_fscore_support

    precision, recall, f1, _ = precision_recall_fscore_support(true, predicted, average="micro", zero_division=0)
    return {"entity_f1": float(f1), "entity_precision": float(precision), "entity_recall": float(recall)}


class SequenceLabelling(Task):
    """Labelling of each step with one of C labels, by a linear layer and softmax cross-entropy over the real steps.

    Scores: ``loss`` (nats per step), ``accuracy`` (of steps), ``sequence_accuracy`` (sequences without a wrong step);
    if labels follow the BIO scheme, also ``entity_f1``, ``entity_precision`` and ``entity_recall``.

    Args:
        config: label smoothing of the training loss; scores do not use it.
        spec: names of the labels.
    """

    targets = Targets.step_labels
    causal = False
    pooled = False
    monitor = "loss"
    maximize = False
    shown = ("loss", "accuracy", "sequence_accuracy", "entity_f1")
    predictor = "seqtrain.tasks.labelling.predict:LabelPredictor"

    def __init__(self, config: SequenceLabellingConfig, spec: DataSpec):
        self.class_names = spec.class_names
        self.label_smoothing = config.label_smoothing

    def build_head(self, model: nn.Module) -> nn.Module:
        return linear_head(model, len(self.class_names))

    def loss(self, head: nn.Module, features: Tensor, batch: Batch) -> Tensor:
        real = real_steps(batch.lengths, batch.targets.shape[1])
        logits = head(features).float()
        return F.cross_entropy(logits[real], batch.targets[real], label_smoothing=self.label_smoothing, reduction="sum")

    def count(self, batch: Batch) -> Tensor:
        return batch.lengths.sum().float()

    def meter(self, head: nn.Module) -> Meter:
        return LabellingMeter(head, self.class_names)

    def baselines(self, data: Dataset) -> Table:
        """What is known in theory and, where steps are words, the scores of each word's most frequent label."""
        table: Table = {who: dict.fromkeys(("validation", "test"), scores) for who, scores in data.known_scores.items()}
        if isinstance(data, HasLabelledTokens) and "train" in data.sizes:
            table["most frequent tag"] = {split: each.metrics for split, each in self.score_frequencies(data).items()}
        return table

    def scored_baselines(self, data: Dataset) -> dict[str, dict[str, Evaluation]]:
        scored = {who: dict.fromkeys(("validation", "test"), Evaluation(s)) for who, s in data.known_scores.items()}
        if isinstance(data, HasLabelledTokens) and "train" in data.sizes:
            scored["most frequent tag"] = self.score_frequencies(data)
        return scored

    def score_frequencies(self, data: Dataset) -> dict[str, Evaluation]:
        """Scores, by split, of the label frequencies of train as predictions."""
        assert isinstance(data, HasLabelledTokens)
        frequencies = LabelFrequencies(*data.labelled_tokens("train"), self.class_names)
        scores = {}
        for split in data.sizes:
            if split != "train":
                tokens, _ = data.labelled_tokens(split)
                meter = self.meter(nn.Identity())
                for batch in data.eval_batches(split):
                    meter.update(batch, frequencies.log_probabilities([tokens[row] for row in batch.rows]))
                scores[split] = meter.result()
        return scores


class LabelFrequencies:
    """A baseline that predicts the label of a step from its token alone, by label frequencies.

    With n(w, c) steps of token w and label c, and N steps in all,

        p(c) = (n(c) + 1) / (N + C),    p(c | w) = (n(w, c) + p(c)) / (n(w) + 1).

    The most probable label is thus the most frequent one of the token; of equally frequent ones, the one that is most
    frequent over all tokens. For an unknown token it is the most frequent label of all tokens.

    Args:
        tokens: tokens of each row of train.
        labels: names of their labels.
        class_names: names of all C labels.
    """

    def __init__(self, tokens: list[list[str]], labels: list[list[str]], class_names: Sequence[str]):
        from scipy.sparse import csr_matrix

        classes = {name: i for i, name in enumerate(class_names)}
        self.numbers = {token: i for i, token in enumerate(dict.fromkeys(token for row in tokens for token in row))}
        at = [self.numbers[token] for row in tokens for token in row], [classes[c] for row in labels for c in row]
        # (W + 1, C), sparse, since there may be a thousand labels; the last row is for unknown tokens.
        self.counts = csr_matrix((np.ones(len(at[0])), at), shape=(len(self.numbers) + 1, len(classes)))
        total = np.bincount(at[1], minlength=len(classes))
        self.prior = (total + 1) / (total.sum() + len(classes))

    def log_probabilities(self, tokens: list[list[str]]) -> Tensor:
        """Log-probability of each label at each step of rows of tokens, (B, T, C), padded on the right."""
        index = [torch.tensor([self.numbers.get(token, len(self.numbers)) for token in row]) for row in tokens]
        padded = pad_sequence(index, batch_first=True)
        counts = self.counts[padded.flatten().numpy()].toarray()
        probabilities = (counts + self.prior) / (counts.sum(1, keepdims=True) + 1)
        return torch.from_numpy(np.log(probabilities)).view(*padded.shape, -1)
