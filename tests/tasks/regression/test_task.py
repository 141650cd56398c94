from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from seqtrain.commands.evaluate import evaluate
from seqtrain.commands.train import train
from seqtrain.config.root import Config
from seqtrain.config.series_classes import SeriesClassesConfig
from seqtrain.config.task import SequenceRegressionConfig
from seqtrain.data.base import Batch
from seqtrain.data.spec import DataSpec
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import read_json
from seqtrain.tasks.regression.task import SequenceRegression
from tests.outputs import stored_outputs

Compose = Callable[..., Config]


def batch(targets: list[float], rows: list[int]) -> Batch:
    count = len(targets)
    return Batch(torch.zeros(count, 3, 2), torch.tensor(targets), torch.full((count,), 3), np.array(rows), 3 * count)


@torch.no_grad()
def test_loss_and_scores_worked_by_hand() -> None:
    task = SequenceRegression(SequenceRegressionConfig(), DataSpec(num_features=2))
    head = nn.Linear(1, 1)
    with torch.no_grad():
        head.weight.fill_(2.0), head.bias.fill_(1.0)
    features = torch.tensor([[0.0], [1.0]])  # predicts 1 and 3
    one = batch([2.0, 3.0], [1, 0])
    assert task.loss(head, features, one).item() == 1.0 and task.count(one).item() == 2
    meter = task.meter(head)
    meter.update(one, features)
    meter.update(batch([2.0], [2]), torch.tensor([[2.0]]))  # predicts 5
    result = meter.result()
    assert result.metrics == pytest.approx({"mse": 10 / 3, "mae": 4 / 3})
    assert result.outputs["predictions"].tolist() == [3.0, 1.0, 5.0]
    assert result.outputs["targets"].tolist() == [3.0, 2.0, 2.0]


@torch.no_grad()
def test_numbers_are_scaled_in_the_loss_and_not_in_the_scores() -> None:
    task = SequenceRegression(SequenceRegressionConfig(), DataSpec(num_features=1, target_centre=100, target_scale=20))
    head, features = nn.Identity(), torch.tensor([[0.5], [-1.0]])  # predicts 110 and 80
    one = batch([120.0, 80.0], [0, 1])
    assert task.loss(head, features, one).item() == 0.25
    meter = task.meter(head)
    meter.update(one, features)
    result = meter.result()
    assert result.outputs["predictions"].tolist() == [110, 80] and result.metrics == {"mse": 50, "mae": 5}


def test_numbers_far_from_zero_are_learned_and_evaluated_on_other_files(composed: Compose, tmp_path: Path) -> None:
    """The mean of a series, in thousands: a model that starts at 0 would need far more steps."""
    for split, seed, unit in (("train", 0, 1000), ("validation", 1, 1000), ("test", 2, 1000), ("other", 3, 500)):
        values = np.random.default_rng(seed).normal(size=(30, 1)).repeat(3, 1)
        lines = [f"{','.join(map(str, row))}:{unit * (row.mean() + 5)}" for row in values]
        (tmp_path / f"{split}.ts").write_text("@targetLabel true\n@data\n" + "\n".join(lines) + "\n")
    config = composed(
        "data=series_classes", "task=sequence_regression", f"data.path={tmp_path}", "model=gru", "device=cpu",
        "model.hidden_size=8", "model.embedding.embed_dim=8", "trainer.max_steps=80", "trainer.lr=0.02",
        "trainer.figures=false",
    )  # fmt: skip
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    train(config, run)
    scores = read_json(run.results_path)["scores"]
    assert scores["gru"]["test"]["mse"] < 0.1 * scores["mean of train"]["test"]["mse"]
    assert isinstance(config.data, SeriesClassesConfig)
    other = replace(config, data=replace(config.data, path=str(tmp_path / "other.ts")))
    assert evaluate(config, other, run, other_data=True)["mae"] > 500  # numbers of another unit do not change the model


def test_train_and_evaluate(composed: Compose, tmp_path: Path) -> None:
    config = composed(
        "data=adding", "data.length=8", "data.num_eval=100", "model=gru", "model.hidden_size=16", "device=cpu",
        "model.embedding.embed_dim=8", "trainer.max_steps=150", "trainer.lr=0.01",
    )  # fmt: skip
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    best = train(config, run)
    scores = read_json(run.results_path)["scores"]
    assert scores["predicting the mean"]["test"]["mse"] == pytest.approx(1 / 6)
    assert best == scores["gru"]["validation"]["mse"] < 0.1
    assert evaluate(config, config, run) == scores["gru"]["test"]
    assert stored_outputs(run.predictions_path)["predictions"].shape == (100,)
