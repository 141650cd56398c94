"""The temperature against scipy's minimum of the loss, and a run that has one, from training to prediction."""

import json
import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from torch import nn

import seqtrain
from seqtrain.commands.evaluate import evaluate
from seqtrain.commands.train import resume, train
from seqtrain.config.loading import from_yaml, to_config
from seqtrain.config.root import Config
from seqtrain.errors import RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import read_json
from seqtrain.tasks.classification.metrics import calibration_error
from seqtrain.tasks.classification.predict import ClassPredictor
from seqtrain.tasks.classification.task import ClassificationMeter
from seqtrain.tasks.classification.temperature import Temperature, best_temperature

Compose = Callable[..., Config]
Finished = tuple[Config, RunDirectory]


def logits_of(true_temperature: float, C: int, N: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Logits and classes drawn from the softmax of the logits divided by a temperature."""
    random = np.random.default_rng(C)
    logits = random.normal(0, 3, (N, C))
    noise = random.gumbel(size=(N, C))
    return logits, (logits / true_temperature + noise).argmax(1)


@pytest.mark.parametrize("C", [2, 7])
@pytest.mark.parametrize("true_temperature", [0.4, 1.0, 2.5])
def test_it_is_the_minimum_of_the_loss(C: int, true_temperature: float) -> None:
    logits, targets = logits_of(true_temperature, C)

    def loss(T: float) -> float:
        return float(-log_softmax(logits / T, axis=1)[np.arange(len(targets)), targets].mean())

    found = best_temperature(logits, targets)
    assert found is not None
    expected = minimize_scalar(loss, bounds=(0.01, 100), method="bounded", options={"xatol": 1e-10})
    assert found == pytest.approx(expected.x, rel=1e-6) and loss(found) <= expected.fun + 1e-15
    assert found == pytest.approx(true_temperature, rel=0.1)
    assert best_temperature(logits + 1e4, targets) == pytest.approx(found, rel=1e-6)  # a shift changes no softmax


def test_none_where_the_loss_has_no_minimum() -> None:
    logits, _ = logits_of(1, 3)
    assert best_temperature(logits, logits.argmax(1)) is None  # all correct: the colder, the likelier
    assert best_temperature(logits, logits.argmin(1)) is None  # worse than chance: the hotter, the likelier
    assert best_temperature(np.ones((4, 3)), np.array([0, 1, 2, 0])) is None


def test_scores_with_a_temperature() -> None:
    logits, targets = logits_of(2.5, 4)
    meters = [ClassificationMeter(nn.Identity(), scaling) for scaling in (None, Temperature(2.5, 3000, 0, 0, True))]
    for meter in meters:
        meter.logits, meter.targets = [torch.from_numpy(logits)], [torch.from_numpy(targets)]
        meter.rows = [np.arange(len(targets))]
    plain, scaled = (meter.result() for meter in meters)
    assert "calibration_error_before" not in plain.metrics
    assert scaled.metrics["calibration_error_before"] == plain.metrics["calibration_error"]
    assert scaled.metrics["calibration_error"] < plain.metrics["calibration_error"] / 3
    for same in ("accuracy", "macro_f1"):
        assert scaled.metrics[same] == plain.metrics[same]
    expected = np.exp(log_softmax(logits / 2.5, axis=1))
    assert scaled.outputs["probabilities"] == pytest.approx(expected, rel=1e-12)


@pytest.fixture(scope="module")
def finished(small: Compose, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    config = small("task.temperature=true", "model=gru", "trainer.epochs=1", "data.validation_size=0.3")
    run = RunDirectory.claim(tmp_path_factory.mktemp("temperature") / "run", exact=True)
    train(config, run)
    return config, run


def test_a_run_with_a_temperature(finished: Finished, reviews: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, run = finished
    results, saved = read_json(run.results_path), read_json(run.path / "temperature.json")
    scores, found = results["scores"]["gru"], saved["temperature"]
    assert saved["step"] == results["best_step"] and found["found"] and found["rows"] == 90
    assert results["remarks"] == ["temperature"] and f"divided by {found['value']:.4g}" in results["temperature"]
    validation = scores["validation"]
    assert validation["calibration_error"] == pytest.approx(found["error_after"], abs=1e-12)
    assert validation["calibration_error_before"] == pytest.approx(found["error_before"], abs=1e-12)
    assert validation["accuracy"] == read_json(run.status_path)["best"]["val/accuracy"]
    with np.load(run.predictions_path) as outputs:
        assert calibration_error(outputs["probabilities"], outputs["targets"]) == scores["test"]["calibration_error"]
        stored = outputs["probabilities"]
    capsys.readouterr()
    for split in ("validation", "test"):
        assert evaluate(config, config, run, split=split) == scores[split]
        assert json.loads(capsys.readouterr().out)["temperature"] == results["temperature"]
    predictor = cast(ClassPredictor, seqtrain.load(run.path, device="cpu"))
    texts = [line.rsplit(",", 1)[0] for line in (reviews / "test.csv").read_text().split("\n")[1:5]]
    assert predictor.predict_probabilities(texts) == pytest.approx(stored[:4], abs=1e-5)


def test_the_last_checkpoint_has_none(
    finished: Finished, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    config, run = finished
    caplog.set_level(logging.INFO)
    assert "calibration_error_before" not in evaluate(config, config, run, checkpoint="last")
    assert "checkpoint=last: has no temperature" in caplog.text
    assert "temperature" not in json.loads(capsys.readouterr().out)


def test_resuming_gives_or_takes_it(finished: Finished) -> None:
    """A finished run gets back a temperature that was lost, does without one, and gets one again: equal numbers."""
    _, run = finished
    results, path = read_json(run.results_path), run.path / "temperature.json"
    content = path.read_text()
    other = json.dumps({"step": 1, "temperature": read_json(path)["temperature"]})
    path.unlink()
    with pytest.raises(RunError, match=r"temperature.json: is missing, .*; fit the temperature again by seqtrain"):
        seqtrain.load(run.path)
    for damage, message in (
        (other, "does not belong to checkpoints/best.pt"),
        ('{"step": 1}', "'temperature' is missing"),
        ("{", "is not valid JSON"),
    ):
        path.write_text(damage)
        with pytest.raises(RunError, match=f"temperature.json: {message}"):
            seqtrain.load(run.path)
    for wanted in (True, False, True):
        saved = to_config(from_yaml(run.config_path))
        changed = to_config(from_yaml(run.config_path))
        changed.task.temperature = wanted  # type: ignore[attr-defined]
        resume(saved, changed, run)
        if wanted:
            assert read_json(run.results_path) == results and path.read_text() == content
        else:
            plain = read_json(run.results_path)
            assert plain["remarks"] == [] and "calibration_error_before" not in plain["scores"]["gru"]["test"]
            assert plain["scores"]["gru"]["test"]["accuracy"] == results["scores"]["gru"]["test"]["accuracy"]


def test_words() -> None:
    one = Temperature(1.25, 2500, 0.05, 0.01, found=True)
    assert one.remark() == (
        "logits are divided by 1.25, fitted on 2,500 rows of validation; calibration_error there 0.0500 before, "
        "0.0100 with it"
    )
    none = Temperature(**(asdict(one) | {"value": 1.0, "found": False}))
    assert none.remark() == "1, since the loss on the 2,500 rows of validation has no minimum at any other"
