"""Statistics of stored predictions equal the scores that tasks report, on the whole split and on resamples."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support
from sklearn.metrics import f1_score
from torch import nn

from seqtrain.comparison.metrics import metric_of, statistics_of
from seqtrain.config import registry
from seqtrain.config.task import (
    ForecastingConfig,
    ForecastLoss,
    LanguageModellingConfig,
    MultilabelConfig,
    SequenceLabellingConfig,
    SequenceRegressionConfig,
)
from seqtrain.data.base import Batch
from seqtrain.data.corpus.dataset import SegmentBatch
from seqtrain.data.series.batch import ForecastBatch
from seqtrain.data.spec import DataSpec
from seqtrain.tasks.base import Evaluation, Task
from seqtrain.tasks.classification.task import ClassificationMeter
from seqtrain.tasks.forecasting.task import Forecasting
from seqtrain.tasks.labelling.task import SequenceLabelling
from seqtrain.tasks.language.heads import SoftmaxHead
from seqtrain.tasks.language.task import LanguageModelling
from seqtrain.tasks.multilabel.task import MultilabelClassification
from seqtrain.tasks.regression.task import SequenceRegression
from seqtrain.tasks.statistics import Statistic

rng = np.random.default_rng(0)
TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def classified(num_classes: int = 4) -> Evaluation:
    meter = ClassificationMeter(nn.Identity())
    for rows in (np.arange(40), np.arange(40, 60)):
        targets = torch.from_numpy(rng.integers(0, num_classes - 1, len(rows)))  # the last class never occurs
        batch = Batch(torch.zeros(len(rows), 1), targets, torch.ones(len(rows)), rows, len(rows))
        meter.update(batch, torch.from_numpy(rng.normal(size=(len(rows), num_classes))).float())
    return meter.result()


def regressed() -> Evaluation:
    task = SequenceRegression(SequenceRegressionConfig(), DataSpec())
    meter = task.meter(nn.Identity())
    targets = torch.from_numpy(rng.normal(size=30)).float()
    batch = Batch(torch.zeros(30, 1), targets, torch.ones(30), np.arange(30), 30)
    meter.update(batch, torch.from_numpy(rng.normal(size=(30, 1))).float())
    return meter.result()


def labelled(logits_of: dict[int, torch.Tensor] | None = None) -> tuple[Evaluation, DataSpec]:
    spec = DataSpec(class_names=TAGS)
    meter = SequenceLabelling(SequenceLabellingConfig(), spec).meter(nn.Identity())
    for rows in (np.array([3, 0, 2]), np.array([1, 4])):  # batches need not come in the order of the rows
        lengths = torch.from_numpy(rng.integers(1, 8, len(rows)))
        targets = torch.from_numpy(rng.integers(0, len(TAGS), (len(rows), 8)))
        logits = torch.from_numpy(rng.normal(size=(len(rows), 8, len(TAGS)))).float()
        logits += 2 * nn.functional.one_hot(targets, len(TAGS))
        meter.update(Batch(torch.zeros_like(targets), targets, lengths, rows, int(lengths.sum())), logits)
        if logits_of is not None:
            logits_of |= {row: logits[i, : lengths[i]] for i, row in enumerate(rows.tolist())}
    return meter.result(), spec


def sets_chosen() -> Evaluation:
    spec = DataSpec(class_names=["a", "b", "c"], class_counts=[1, 2, 3], num_rows=4)
    meter = MultilabelClassification(MultilabelConfig(), spec).meter(nn.Identity())
    for rows in (np.arange(20, 50), np.arange(20)):
        targets = torch.from_numpy(rng.random((len(rows), 3)) < 0.4)
        batch = Batch(torch.zeros(len(rows), 1), targets, torch.ones(len(rows)), rows, len(rows))
        meter.update(batch, torch.from_numpy(rng.normal(size=(len(rows), 3))).float())
    return meter.result()


def read_on() -> Evaluation:
    spec = DataSpec(vocab_size=11, segment_length=6)
    task = LanguageModelling(LanguageModellingConfig(tie_weights=False), spec)
    head = SoftmaxHead(5, 11, None, None)
    meter = task.meter(head)
    positions = torch.arange(1, 25).view(4, 6)
    targets = torch.from_numpy(rng.integers(0, 11, (4, 6)))
    batch = SegmentBatch(targets, targets, torch.full((4,), 6), np.arange(4), 24, positions=positions)
    with torch.no_grad():
        meter.update(batch, torch.from_numpy(rng.normal(size=(4, 6, 5))).float())
    return meter.result()


class AsItIs(nn.Module):
    """A head whose features are the forecasts."""

    def forward(self, features: torch.Tensor, batch: Batch) -> torch.Tensor:
        return features


def forecast(loss: ForecastLoss, missing: bool) -> tuple[Evaluation, np.ndarray]:
    """Scores of 12 windows, and their targets, NaN where not observed."""
    truth = np.zeros((12, 3, 2))
    S, C, P = 3, 2, {ForecastLoss.mse: 1, ForecastLoss.gaussian: 2, ForecastLoss.quantile: 5}[loss]
    spec = DataSpec(
        num_features=C, num_targets=C, lookback=4, horizon=S, naive_errors=np.ones((2, 1, C)).tolist(),
        target_names=["a", "b"],
    )  # fmt: skip
    task = Forecasting(ForecastingConfig(loss=loss), spec)
    meter = task.meter(AsItIs())
    for rows in (np.arange(6, 12), np.arange(6)):
        values = torch.from_numpy(rng.normal(size=(6, S, C, P))).float()
        forecasts = values.abs() + 0.1 if loss is ForecastLoss.gaussian else values.sort(-1).values
        targets = torch.from_numpy(rng.normal(size=(6, S, C))).float()
        observed = torch.from_numpy(rng.random((6, S, C)) < 0.7) if missing else None
        if observed is not None:
            targets[~observed] = torch.nan
        batch = ForecastBatch(
            torch.zeros(6, 4, C), targets, torch.full((6,), 4), rows, 24, future=torch.zeros(6, S, 0),
            observed=observed, truth=targets.numpy().astype(np.float64), series=torch.zeros(6, dtype=torch.long),
        first_step=torch.zeros(6, dtype=torch.long),
            centre=np.zeros((6, C)), scale=np.ones((6, C)),
        )  # fmt: skip
        meter.update(batch, forecasts)
        truth[rows] = targets.numpy()
    return meter.result(), truth


def resampled(kind: str) -> dict[str, Callable[..., Statistic]]:
    """The metrics of a kind of task that have a statistic."""
    return {name: each.statistic for name, each in statistics_of(kind).metrics.items() if each.statistic is not None}


def statistics(kind: str, result: Evaluation, spec: DataSpec | None = None) -> dict[str, Statistic]:
    """Every statistic of a kind of task whose metric the result has."""
    described = asdict(spec or DataSpec())
    return {
        metric: read(result.outputs, described) for metric, read in resampled(kind).items() if metric in result.metrics
    }


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("loss", [ForecastLoss.mse, ForecastLoss.gaussian, ForecastLoss.quantile])
def test_forecasts(loss: ForecastLoss, missing: bool) -> None:
    result, truth = forecast(loss, missing)
    found = statistics("forecasting", result)
    assert set(found) == {"mse", "mae", "rmse"} | (set() if loss is ForecastLoss.mse else {"crps"})
    for metric, statistic in found.items():
        assert statistic.value() == pytest.approx(result.metrics[metric], rel=1e-5), metric
    point = result.outputs["forecasts"][..., 2 if loss is ForecastLoss.quantile else 0]
    errors = {"squared_errors": (point - truth) ** 2, "absolute_errors": abs(point - truth), "observed": truth == truth}
    for name, expected in errors.items():  # window by window, in the order of the rows
        np.testing.assert_allclose(result.outputs[name], np.nansum(expected, axis=(1, 2)), rtol=1e-5)


def test_log_probabilities_of_labels_stand_with_their_steps() -> None:
    logits: dict[int, torch.Tensor] = {}
    result, _ = labelled(logits)
    rows = torch.cat([logits[row] for row in range(5)]).double().log_softmax(-1).numpy()
    expected = rows[np.arange(len(rows)), result.outputs["targets"]]
    np.testing.assert_allclose(result.outputs["log_probabilities"], expected, atol=1e-5)


def test_scores_of_the_whole_split_are_those_that_tasks_report() -> None:
    labels, spec = labelled()
    results: dict[str, tuple[Evaluation, DataSpec | None]] = {
        "classification": (classified(), None),
        "multilabel": (sets_chosen(), None),
        "sequence_regression": (regressed(), None),
        "sequence_labelling": (labels, spec),
        "language_modelling": (read_on(), None),
    }
    for kind, (result, described) in results.items():
        found = statistics(kind, result, described)
        assert set(found) == set(resampled(kind)), kind
        for metric, statistic in found.items():
            assert statistic.value() == pytest.approx(result.metrics[metric], rel=1e-5), (kind, metric)


def test_macro_f1_of_resamples_is_scikit_learns() -> None:
    result = classified()
    statistic = statistics("classification", result)["macro_f1"]
    guesses, targets = result.outputs["probabilities"].argmax(1), result.outputs["targets"]
    for _ in range(20):
        rows = rng.integers(0, 60, size=int(rng.integers(2, 60)))
        expected = f1_score(targets[rows], guesses[rows], average="macro", zero_division=0)
        assert statistic.scores(statistic.terms[rows].mean(axis=0)) == pytest.approx(expected)


def test_entity_f1_and_accuracy_of_resampled_sequences() -> None:
    """Examples are whole sequences, also in a resample; longer ones count for more steps."""
    result, spec = labelled()
    outputs = result.outputs
    ends = np.cumsum(outputs["lengths"])[:-1]
    names = np.array(TAGS, dtype=object)
    sides = [np.split(outputs[side], ends) for side in ("predictions", "targets")]
    found = statistics("sequence_labelling", result, spec)
    for _ in range(20):
        rows = rng.integers(0, 5, size=5)
        guessed, true = ([names[side[row]].tolist() for row in rows] for side in sides)
        f1 = precision_recall_fscore_support(true, guessed, average="micro", zero_division=0)[2]
        means = {metric: statistic.terms[rows].mean(axis=0) for metric, statistic in found.items()}
        assert found["entity_f1"].scores(means["entity_f1"]) == pytest.approx(f1)
        hits = np.concatenate([sides[0][row] == sides[1][row] for row in rows])
        assert found["accuracy"].scores(means["accuracy"]) == pytest.approx(hits.mean())


def test_a_missing_output_is_named() -> None:
    with pytest.raises(KeyError, match="log_probabilities"):
        resampled("sequence_labelling")["loss"]({"lengths": np.ones(2, dtype=int)}, {})


def test_every_task_is_known_and_the_better_direction_is_its_own() -> None:
    assert all(resampled(kind) for kind in registry.REGISTRY["task"])
    for kind, entry in registry.REGISTRY["task"].items():
        task: Any = entry.load()
        assert issubclass(task, Task)
        assert metric_of(task.monitor, kind).maximize == task.maximize
        assert task.monitor in resampled(kind)
