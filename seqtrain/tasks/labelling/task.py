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
from seqtrain.data.base import Batch, Dataset
from seqtrain.data.spec import DataSpec
from seqtrain.data.tags.entities import EntityTags
from seqtrain.layers.masks import real_steps
from seqtrain.tasks.averages import joined, log_mean_exp, mean
from seqtrain.tasks.base import Evaluation, Meter, Table, Task, at_last_step, linear_head
from seqtrain.tasks.classification.metrics import class_scores
from seqtrain.tasks.labelling.statistics import label_accuracy, label_cross_entropy, sequence_accuracy
from seqtrain.tasks.statistics import Outputs
from seqtrain.tasks.tables import score_table


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

    taken_in = ("nats", "hits", "steps", "rows", "perfect", "labels", "log_probabilities", "probabilities")

    def __init__(self, head: nn.Module, class_names: Sequence[str]):
        self.head = head
        self.entity_tags = EntityTags.of(class_names)
        self.nats = torch.zeros((), dtype=torch.double)
        self.hits = self.steps = self.rows = self.perfect = 0
        self.labels: dict[int, tuple[list[int], list[int]]] = {}
        """Predicted and true labels of the real steps of each row."""
        self.log_probabilities: dict[int, np.ndarray] = {}
        """Log-probabilities, in nats, of the true labels of each row."""
        self.probabilities: dict[int, np.ndarray] = {}
        """Probability of each label at the steps of each row, (T, C)."""

    def update(self, batch: Batch, features: Tensor) -> None:
        real = real_steps(batch.lengths, batch.targets.shape[1])
        logits = self.head(features).float()
        log_probabilities = logits[real].cpu().double().log_softmax(-1)
        nats = F.nll_loss(log_probabilities, batch.targets[real].cpu(), reduction="none")
        self.nats += nats.sum()
        rows, lengths = batch.rows.tolist(), batch.lengths.tolist()
        for kept, values in ((self.log_probabilities, -nats), (self.probabilities, log_probabilities.exp())):
            kept |= zip(rows, (part.numpy() for part in torch.split(values.float(), lengths)), strict=True)
        predicted = logits.argmax(-1)
        wrong = (predicted != batch.targets) & real
        self.hits += int(real.sum() - wrong.sum())
        self.steps += int(real.sum())
        self.perfect += int((~wrong.any(1)).sum())
        self.rows += len(batch.rows)
        columns = rows, lengths, predicted.tolist(), batch.targets.tolist()
        for row, length, guesses, truth in zip(*columns, strict=True):
            self.labels[row] = guesses[:length], truth[:length]

    def result(self) -> Evaluation:
        metrics = {
            "loss": self.nats.item() / self.steps,
            "accuracy": self.hits / self.steps,
            "sequence_accuracy": self.perfect / self.rows,
        }
        rows = sorted(self.labels)
        predicted, true = (np.concatenate([self.labels[row][side] for row in rows]) for side in (0, 1))
        lengths = np.array([len(self.labels[row][0]) for row in rows])
        details = {}
        if self.entity_tags is not None:
            scores, of_types = entity_scores(self.entity_tags, predicted, true, lengths)
            metrics |= scores
            details = {"entities": of_types} if of_types else {}
        outputs = {"predictions": predicted, "targets": true}
        for name, kept in (("log_probabilities", self.log_probabilities), ("probabilities", self.probabilities)):
            outputs[name] = np.concatenate([kept[row] for row in rows])
        return Evaluation(metrics, outputs | {"lengths": lengths}, details=details)


def entity_scores(
    tags: EntityTags, predicted: np.ndarray, true: np.ndarray, lengths: np.ndarray
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """F1, precision and recall of entities; an entity is right if its type, first step and last step are.

    Args:
        tags: what the labels mean.
        predicted: predicted labels of all steps, one row after another.
        true: true labels of all steps.
        lengths: number of steps of each row.

    Returns:
        ``entity_f1``, ``entity_precision`` and ``entity_recall`` over the entities of all types together; and, if
        labels have types, ``f1``, ``precision``, ``recall`` and ``support`` (number of true entities) of each type.
        Scores are 0 if there are no entities.

    Source: Tjong Kim Sang and De Meulder 2003, section 2.3.
    """
    guesses, truth = tags.find(predicted, lengths), tags.find(true, lengths)
    chosen = (guesses.types[guesses.shared(truth)], guesses.types[guesses.starts], truth.types[truth.starts])
    hits, guessed, support = (np.bincount(types, minlength=len(tags.type_names)).tolist() for types in chosen)
    overall = {f"entity_{name}": value for name, value in f_score(sum(hits), sum(guessed), sum(support)).items()}
    if tags.type_names == [""]:
        return overall, {}
    counts = zip(tags.type_names, hits, guessed, support, strict=True)
    return overall, {name: f_score(*part) | {"support": part[-1]} for name, *part in counts}


def f_score(hits: int, guessed: int, support: int) -> dict[str, float]:
    """F1, precision and recall from numbers of correct, predicted and true entities; 0 where there are none."""
    precision, recall = (hits / count if count else 0.0 for count in (guessed, support))
    return {
        "f1": 2 * precision * recall / (precision + recall) if hits else 0.0,
        "precision": precision,
        "recall": recall,
    }


class SequenceLabelling(Task):
    """Labelling of each step with one of C labels, by a linear layer and softmax cross-entropy over the real steps.

    Scores: ``loss`` (nats per step), ``accuracy`` (of steps), ``sequence_accuracy`` (sequences without a wrong step);
    if labels mark entities, in any scheme that ``EntityTags`` knows, also ``entity_f1``, ``entity_precision`` and
    ``entity_recall``.

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
    averages = {"probabilities": mean, "log_probabilities": log_mean_exp}
    predictor = "seqtrain.tasks.labelling.predict:LabelPredictor"
    inspector = "seqtrain.tasks.labelling.inspect:inspect"

    def __init__(self, config: SequenceLabellingConfig, spec: DataSpec):
        self.class_names = spec.class_names
        self.label_smoothing = config.label_smoothing

    def build_head(self, model: nn.Module) -> nn.Module:
        return linear_head(model, len(self.class_names))

    def loss(self, head: nn.Module, features: Tensor, batch: Batch) -> Tensor:
        real = real_steps(batch.lengths, batch.targets.shape[1])
        logits = head(features).float()
        return F.cross_entropy(logits[real], batch.targets[real], label_smoothing=self.label_smoothing, reduction="sum")

    def last_loss(self, head: nn.Module, features: Tensor, batch: Batch) -> Tensor:
        return self.loss(head, *at_last_step(features, batch))

    def count(self, batch: Batch) -> Tensor:
        return batch.lengths.sum().float()

    def meter(self, head: nn.Module) -> Meter:
        return LabellingMeter(head, self.class_names)

    def tables(self, evaluation: Evaluation) -> dict[str, str]:
        """Scores of each label and, where labels mark entities of several types, of each type."""
        scores = class_scores(evaluation.outputs["predictions"], evaluation.outputs["targets"], self.class_names)
        columns = ("precision", "recall", "f1", "support")
        tables = {"scores_by_class": score_table(scores, columns, "label")}
        if "entities" in evaluation.details:
            tables["scores_by_class/entities"] = score_table(evaluation.details["entities"], columns, "type")
        return tables

    def scored(self, parts: Sequence[tuple[Outputs, Dataset | None]], split: str) -> Evaluation:
        outputs = joined([outputs for outputs, _ in parts])
        outputs["predictions"] = outputs["probabilities"].argmax(1)
        statistics = {"loss": label_cross_entropy, "accuracy": label_accuracy, "sequence_accuracy": sequence_accuracy}
        metrics = {name: make(outputs, {}).value() for name, make in statistics.items()}
        tags, details = EntityTags.of(self.class_names), {}
        if tags is not None:
            steps = outputs["predictions"], outputs["targets"], outputs["lengths"]
            scores, of_types = entity_scores(tags, *steps)
            metrics |= scores
            details = {"entities": of_types} if of_types else {}
        return Evaluation(metrics, outputs, details=details)

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
