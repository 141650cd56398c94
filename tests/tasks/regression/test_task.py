from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from seqtrain.commands.evaluate import evaluate
from seqtrain.commands.train import train
from seqtrain.config.root import Config
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
