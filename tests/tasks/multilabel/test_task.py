"""Loss and weights by hand, and a run from training to prediction."""

import json
import logging
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import csv
from torch import nn

import seqtrain
from seqtrain.commands.build import check_model
from seqtrain.commands.compare import compare
from seqtrain.commands.evaluate import evaluate
from seqtrain.commands.predict import predict
from seqtrain.commands.train import resume, train
from seqtrain.config.loading import from_yaml, to_config, to_yaml
from seqtrain.config.migrations import FORMAT
from seqtrain.config.root import Config
from seqtrain.config.task import MultilabelConfig
from seqtrain.data.base import Batch
from seqtrain.data.spec import DataSpec
from seqtrain.errors import ConfigError, DataError, RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import read_json
from seqtrain.tasks.multilabel.baselines import baseline_log_odds
from seqtrain.tasks.multilabel.task import MultilabelClassification
from tests.outputs import stored_outputs

Compose = Callable[..., Config]

WORDS = {"bill": ["invoice", "pay", "money"], "neg": ["bad", "awful", "poor"], "rush": ["now", "urgent", "fast"]}
OTHERS = ["the", "a", "film", "plot", "actor", "scene", "was", "and", "with", "of", "music", "story", "ending", "it"]


def messages(count: int, seed: int) -> list[dict[str, Any]]:
    """Texts with a word for each of their labels, of which there may be none."""
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        labels = [name for name in WORDS if rng.random() < 0.4]
        words = rng.choices(OTHERS, k=rng.randint(3, 12)) + [rng.choice(WORDS[name]) for name in labels]
        rows.append({"text": " ".join(rng.sample(words, len(words))), "label": labels})
    return rows


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train.jsonl (240 rows) and test.jsonl (60 rows)."""
    folder = tmp_path_factory.mktemp("letters")
    for split, count in (("train", 240), ("test", 60)):
        lines = [json.dumps(row) + "\n" for row in messages(count, seed=count)]
        (folder / f"{split}.jsonl").write_text("".join(lines))
    return folder


@pytest.fixture(scope="module")
def compose_letters(small: Compose, letters: Path) -> Compose:
    def composer(*overrides: str) -> Config:
        return small("task=multilabel", f"data.path={letters}", "model=gru", "trainer.lr=0.02", *overrides)

    return composer


Finished = tuple[Config, RunDirectory]


@pytest.fixture(scope="module")
def finished(compose_letters: Compose, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    config = compose_letters("trainer.epochs=4", "trainer.baselines=true", "trainer.figures=true")
    run = RunDirectory.claim(tmp_path_factory.mktemp("multilabel") / "run", exact=True)
    train(config, run)
    return config, run


def batch(targets: list[list[int]], rows: list[int]) -> Batch:
    count = len(targets)
    applies = torch.tensor(targets, dtype=torch.bool)
    return Batch(torch.zeros(count, 3, dtype=torch.long), applies, torch.full((count,), 3), np.array(rows), 3 * count)


SPEC = DataSpec(class_names=["a", "b"], class_counts=[30, 10], num_rows=40)


def task_of(**options: Any) -> MultilabelClassification:
    return MultilabelClassification(MultilabelConfig(**options), SPEC)


@torch.no_grad()
def test_loss_and_scores_worked_by_hand() -> None:
    task, logits = task_of(), torch.tensor([[2.0, -1.0], [0.0, 3.0]])
    one = batch([[1, 0], [0, 1]], [1, 0])
    nats = np.log1p(np.exp([[-2.0, -1.0], [0.0, -3.0]]))
    assert task.loss(nn.Identity(), logits, one).item() == pytest.approx(nats.sum(), rel=1e-6)
    assert task.count(one).item() == 4  # the mean is over rows and classes
    meter = task.meter(nn.Identity())
    meter.update(one, logits)
    result = meter.result()
    assert result.metrics["loss"] == pytest.approx(nats.mean())
    assert result.outputs["losses"] == pytest.approx(nats.mean(1)[::-1])
    assert result.outputs["targets"].tolist() == [[False, True], [True, False]]
    assert result.outputs["predictions"].tolist() == [[True, True], [True, False]]
    assert result.metrics["subset_accuracy"] == 0.5 and result.metrics["micro_f1"] == pytest.approx(4 / 5)


@torch.no_grad()
def test_weights_and_smoothing() -> None:
    """torch's pos_weight: of the rows that have the label."""
    logits, one = torch.tensor([[2.0, -1.0]]), batch([[1, 1]], [0])
    weighted = task_of(class_weights={"b": 3, "a": 1}).loss(nn.Identity(), logits, one).item()
    assert weighted == pytest.approx(np.log1p(np.exp(-2)) + 3 * np.log1p(np.exp(1)), rel=1e-6)
    assert task_of(class_weights="balanced").class_weights.tolist() == pytest.approx([10 / 30, 30 / 10])
    smooth = task_of(label_smoothing=0.2).loss(nn.Identity(), logits, one).item()
    p = 1 / (1 + np.exp([-2.0, 1.0]))
    assert smooth == pytest.approx(-(0.9 * np.log(p) + 0.1 * np.log(1 - p)).sum(), rel=1e-5)
    with pytest.raises(ConfigError, match="class 'b' has no weight"):
        task_of(class_weights={"a": 1})


def test_a_run_and_its_results(finished: Finished, capsys: pytest.CaptureFixture[str]) -> None:
    config, run = finished
    results = read_json(run.results_path)
    scores = results["scores"]
    assert list(scores) == ["gru", "class frequencies", "NB-weighted 1-2-gram logistic regression"]
    assert set(scores["gru"]["test"]) == set(results["shown"]) and results["monitor"] == "loss"
    assert scores["gru"]["test"]["micro_f1"] > 0.7 > scores["class frequencies"]["test"]["micro_f1"]
    assert scores["gru"]["validation"]["loss"] == read_json(run.status_path)["best"]["val/loss"]
    assert set(results["against_baselines"]) == set(scores) - {"gru"}
    details = results["details"]["gru"]["test"]["classes"]
    assert set(results["details"]) == set(scores)
    saved = read_json(run.path / "thresholds.json")
    assert {name: part["threshold"] for name, part in details.items()} == saved["thresholds"]
    assert saved["step"] == results["best_step"] and "optimistic" in results["thresholds"]
    capsys.readouterr()
    for split in ("validation", "test"):
        assert evaluate(config, config, run, split=split) == pytest.approx(scores["gru"][split], abs=1e-9)
        assert "optimistic" in json.loads(capsys.readouterr().out)["thresholds"]


def test_thresholds_are_those_of_validation_and_never_of_test(
    compose_letters: Compose, letters: Path, finished: Finished, tmp_path: Path
) -> None:
    """Another test split changes nothing of the model and its thresholds."""
    folder = tmp_path / "letters"
    folder.mkdir()
    (folder / "train.jsonl").write_bytes((letters / "train.jsonl").read_bytes())
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in messages(60, seed=99)))
    config = compose_letters("trainer.epochs=4", f"data.path={folder}")
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    train(config, run)
    assert (run.path / "thresholds.json").read_text() == (finished[1].path / "thresholds.json").read_text()


def test_a_finished_run_can_be_resumed(finished: Finished, tmp_path: Path) -> None:
    config, run = finished
    before = read_json(run.results_path)
    thresholds = (run.path / "thresholds.json").read_text()
    (run.path / "thresholds.json").unlink()
    with pytest.raises(RunError, match="thresholds.json: is missing; choose thresholds again by seqtrain resume="):
        seqtrain.load(run.path)
    saved = to_config(from_yaml(run.config_path))
    resume(saved, saved, run)
    assert read_json(run.results_path) == before and (run.path / "thresholds.json").read_text() == thresholds


def test_damaged_thresholds(finished: Finished) -> None:
    _, run = finished
    path = run.path / "thresholds.json"
    content = path.read_text()
    unsigned = read_json(path)
    try:
        for damage, message in (
            ("{", "is not valid JSON .*; choose thresholds again"),
            ('{"step": 1, "thresholds": {"a": 0.5}}', "does not belong to checkpoints/best.pt"),
            (content.replace('"rush"', '"other"'), "has changed since it was written"),
            (json.dumps(unsigned).replace('"rush"', '"other"'), "does not belong"),
            ('{"step": 1}', "'thresholds' is missing"),
        ):
            path.write_text(damage)
            with pytest.raises(RunError, match=f"thresholds.json: {message}"):
                seqtrain.load(run.path)
    finally:
        path.write_text(content)


def test_the_last_checkpoint_has_no_thresholds(
    finished: Finished, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    config, run = finished
    caplog.set_level(logging.INFO)
    evaluate(config, config, run, checkpoint="last")
    assert "has no thresholds of its own; labels are chosen from 0.5 on" in caplog.text
    assert "thresholds" not in json.loads(capsys.readouterr().out)


def test_predictions(finished: Finished, tmp_path: Path) -> None:
    config, run = finished
    model: Any = seqtrain.load(run.path)
    rows = [json.loads(line) for line in (Path(config.data.path) / "test.jsonl").read_text().splitlines()]  # type: ignore[attr-defined]
    stored = stored_outputs(run.predictions_path)
    results = model.predict([row["text"] for row in rows])
    np.testing.assert_allclose(
        [list(result.probabilities.values()) for result in results], stored["probabilities"], atol=1e-5
    )
    for result, chosen in zip(results, stored["predictions"], strict=True):
        assert result.labels == [name for name, yes in zip(model.class_names, chosen, strict=True) if yes]
    assert model.predict([]) == [] and model.predict_probabilities([]).shape == (0, 3)
    source = tmp_path / "new.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in [*rows[:5], {"text": " ", "label": ["x"]}]))
    predict(config, config, run, str(source), str(tmp_path / "p.jsonl"))
    lines = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert [line["prediction"] for line in lines] == [*(result.labels for result in results[:5]), None]
    assert lines[0]["p_rush"] == pytest.approx(results[0].probabilities["rush"], abs=1e-5)
    source = tmp_path / "new.csv"
    csv.write_csv(pa.table({"text": [row["text"] for row in rows[:5]]}), source)
    predict(config, config, run, str(source), str(tmp_path / "p.csv"))
    written = csv.read_csv(tmp_path / "p.csv", convert_options=csv.ConvertOptions(strings_can_be_null=False))
    assert written["prediction"].to_pylist() == ["|".join(result.labels) for result in results[:5]]


def test_a_class_whose_name_has_the_separator(compose_letters: Compose, tmp_path: Path) -> None:
    rows = [{"text": f"text {i}", "label": ["a|b"] if i % 2 else ["c"]} for i in range(20)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = compose_letters(f"data.path={tmp_path / 'a.jsonl'}", "trainer.max_steps=1")
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    train(config, run)
    with pytest.raises(DataError, match=r"class 'a\|b' contains '\|'"):
        predict(config, config, run, str(tmp_path / "a.jsonl"), str(tmp_path / "p.tsv"))


def test_compare(
    finished: Finished, compose_letters: Compose, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    train(compose_letters("trainer.max_steps=2", "task.class_weights={bill: 1, neg: 2, rush: 1.5}"), run)
    capsys.readouterr()
    compare([str(finished[1].path), str(run.path)], metric="micro_f1,macro_f1,loss,subset_accuracy")
    printed = " ".join(capsys.readouterr().out.split())
    assert "points of micro_f1" in printed and "Intervals: paired bootstrap" in printed


def test_the_task_reaches_the_data(composed: Compose) -> None:
    check_model(composed("task=multilabel", "data=text_files"))
    check_model(composed("task=multilabel", "data=imdb"))
    with pytest.raises(
        ConfigError, match="predicts the set of labels of a sequence, but data=docstrings has its class"
    ):
        check_model(composed("task=multilabel"))
    with pytest.raises(ConfigError, match="model=nlinear: predicts the future only"):
        check_model(composed("task=multilabel", "data=text_files", "model=nlinear"))


def test_weights_by_names_with_dots_come_back(compose_letters: Compose, tmp_path: Path) -> None:
    config = compose_letters("task.class_weights={bill.of.sale: 1, neg: 2.5}")
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    (tmp_path / "status.json").write_text(json.dumps({"format": FORMAT}))
    assert to_config(from_yaml(tmp_path / "config.yaml")) == config
    assert config.task.class_weights == {"bill.of.sale": 1, "neg": 2.5}  # type: ignore[attr-defined]


def test_baselines_of_classes_that_cannot_be_learned() -> None:
    texts = ["good film", "bad film", "good plot", "bad plot"] * 5
    applies = np.array([[i % 2 == 0, True, i == 3] for i in range(20)])
    log_odds = baseline_log_odds(texts, applies, {"test": ["good", "bad", "other"]})
    frequencies = log_odds["class frequencies"]["test"]
    assert frequencies == pytest.approx(np.log([[10.5 / 10.5, 20.5 / 0.5, 1.5 / 19.5]] * 3))
    regression = log_odds["NB-weighted 1-2-gram logistic regression"]["test"]
    assert regression[0, 0] > 0 > regression[1, 0] and regression[:, 1] == pytest.approx(frequencies[:, 1])
    nothing = baseline_log_odds(["a", "b"], np.eye(2, dtype=bool), {"test": ["c"]})
    assert nothing["NB-weighted 1-2-gram logistic regression"]["test"].tolist() == [[0, 0]]
