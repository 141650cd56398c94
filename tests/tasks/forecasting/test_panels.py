"""Panels with odd series, trained for a few steps from the options to the scores."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seqtrain.commands.train import train
from seqtrain.config.root import Config
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import read_json

Compose = Callable[..., Config]
Scores = dict[str, dict[str, dict[str, float]]]


@pytest.fixture
def scores(composed: Compose, tmp_path: Path) -> Callable[..., Scores]:
    """Trains for four steps on series of 60 days, and gives the scores by method, split and metric."""

    def run(series: dict[str, np.ndarray], *overrides: str) -> Scores:
        days = pd.date_range("2021-01-01", periods=60, freq="D")
        frame = pd.concat([pd.DataFrame({"id": name, "date": days, "y": y}) for name, y in series.items()])
        frame.to_csv(tmp_path / "t.csv", index=False)
        config = composed(
            "model=nlinear", "data=series_files", f"data.path={tmp_path / 't.csv'}", "data.lookback=7",
            "data.horizon=3", "data.id_column=id", "data.targets=[y]", "device=cpu", "trainer.max_steps=4",
            "trainer.figures=false", *overrides,
        )  # fmt: skip
        directory = RunDirectory.claim(tmp_path / "run", exact=True)
        train(config, directory)
        found: Scores = read_json(directory.results_path)["scores"]
        return found

    return run


def test_a_product_that_never_sold(scores: Callable[..., Scores]) -> None:
    """Its errors count as they are; the errors of the other one are those it would have alone."""
    y = np.random.default_rng(0).normal(50, 5, 60)
    found = scores({"a": y, "z": np.zeros(60)})["last value"]["test"]
    errors = np.concatenate([abs(y[t : t + 3] - y[t - 1]) for t in range(48, 58)])
    assert found["original_mae"] == pytest.approx(errors.mean() / 2)
    assert found["mae"] == pytest.approx(errors.mean() / y[:42].std() / 2)
    assert found["mase"] == pytest.approx(errors.mean() / abs(y[7:42] - y[:35]).mean())


def test_a_single_series_that_is_constant(scores: Callable[..., Scores]) -> None:
    found = scores({"a": np.full(60, 0.1)})
    assert "mase" not in found["nlinear"]["test"]
    assert found["last value"]["test"]["original_mae"] == 0 and np.isfinite(found["nlinear"]["test"]["mse"])


def test_the_last_steps_of_every_series(scores: Callable[..., Scores]) -> None:
    random = np.random.default_rng(0)
    series = {"a": random.normal(50, 5, 60), "b": random.normal(9, 1, 60)}
    sizes = ["data.train_size=null", "data.validation_size=3", "data.test_size=3"]
    found = scores(series, *sizes)["last value"]["test"]
    assert found["original_mae"] == pytest.approx(np.mean([abs(y[57:] - y[56]).mean() for y in series.values()]))
