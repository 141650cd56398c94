"""seqtrain explain through the real command line, on data of which it is known what decides."""

import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
Fails = Callable[..., None]

SMALL = ["device=cpu", "trainer.figures=false", "trainer.probe=false", "trainer.baselines=false"]
TEXTS = [
    "data=text_files", "model=gru_attn", "model.kernel=torch", "model.hidden_size=12", "model.embedding.embed_dim=12",
    "data.batch_size=16", "data.min_count=1", "trainer.lr=0.02", "trainer.warmup_steps=2", "trainer.max_steps=60",
    *SMALL,
]  # fmt: skip
KEYS = {"red": "warm", "blue": "cold", "grey": "dull"}
"""The one word that tells, and the label it stands for. Texts without one have no label."""
LAG = 5
"""Each value of the series is 0.95 times the one so many steps before, and noise."""


def texts(count: int, rng: random.Random) -> str:
    """Texts with their labels, as jsonl; every fourth one has no label."""
    rows = []
    for i in range(count):
        words = rng.choices(["alpha", "beta", "gamma", "delta", "epsilon"], k=rng.randint(3, 12))
        keys = list(KEYS)[i % 4 : i % 4 + 1]
        words[:0] = keys
        rng.shuffle(words)
        rows.append(json.dumps({"text": " ".join(words), "label": [KEYS[key] for key in keys]}) + "\n")
    return "".join(rows)


def series(count: int, rng: random.Random) -> str:
    """A csv file."""
    values = [rng.gauss(0, 1) for _ in range(LAG)]
    for _ in range(count - LAG):
        values.append(0.95 * values[-LAG] + rng.gauss(0, 0.3))
    return "\n".join(["step,load", *(f"{t},{value:.5f}" for t, value in enumerate(values)), ""])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, run_in: Callable[[Path], Run]) -> Path:
    """Where the commands run: data, and the runs ``labels`` and ``forecast``."""
    folder, rng = tmp_path_factory.mktemp("explaining"), random.Random(0)
    for split, count in (("train", 240), ("test", 40)):
        (folder / f"{split}.jsonl").write_text(texts(count, rng))
    (folder / "series.csv").write_text(series(800, rng))
    window = ["data.lookback=12", "data.horizon=1", "data.time_column=step", "data.frequency=step"]
    runs = {
        "labels": [*TEXTS, "data.path=.", "task=multilabel"],
        "forecast": ["data=series_files", "model=linear", "data.path=series.csv", *window, "trainer.lr=0.02", *SMALL],
    }
    for name, options in runs.items():
        result = run_in(folder)(*options, f"hydra.run.dir={name}")
        assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture
def seqtrain(folder: Path, run_in: Callable[[Path], Run]) -> Run:
    return run_in(folder)


def lines(result: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def first(row: dict[str, Any], method: str) -> int:
    """The step that a method ranks first."""
    return max(range(len(row[method])), key=row[method].__getitem__)


def attributed(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def share_first(rows: list[dict[str, Any]], method: str, step: Callable[[dict[str, Any]], int]) -> float:
    """Share of the rows in which a method ranks a step first."""
    return sum(max(range(len(row[method])), key=row[method].__getitem__) == step(row) for row in rows) / len(rows)


def test_the_word_that_decides_a_label_comes_first(seqtrain: Run, folder: Path) -> None:
    result = seqtrain("explain", "run=labels", "output=labels.jsonl")
    assert result.returncode == 0, result.stderr
    assert "probability of the most probable label: 0." in result.stdout and "40 rows of test" in result.stdout
    rows = attributed(folder / "labels.jsonl")
    assert len(rows) == 40
    rows = [row for row in rows if not KEYS.keys().isdisjoint(row["tokens"])]

    def key(row: dict[str, Any]) -> int:
        (place,) = (place for place, word in enumerate(row["tokens"]) if word in KEYS)
        assert row["prediction"] == KEYS[row["tokens"][place]]
        return place

    for method in ("gradient_input", "integrated_gradients", "occlusion"):
        assert share_first(rows, method, key) > 0.9, method
    found = json.loads((folder / "labels" / "explanation.json").read_text())
    assert set(found["methods"]) == {"attention", "gradient_input", "integrated_gradients", "occlusion", "random"}
    assert all(each["faithfulness"]["lower"] > 0 for name, each in found["methods"].items() if name != "random")


def test_the_step_that_decides_a_forecast_comes_first(seqtrain: Run, folder: Path) -> None:
    result = seqtrain("explain", "run=forecast", "rows=50", "output=steps.jsonl")
    assert result.returncode == 0, result.stderr
    assert "attention is left out: the model has no attention" in result.stderr
    assert "movement of the forecast (scaled units)" in result.stdout and "removal: mean" in result.stdout
    rows = attributed(folder / "steps.jsonl")
    assert len(rows) == 50 and all(len(row["occlusion"]) == 12 and row["score"] >= 0 for row in rows)
    for method in ("gradient_input", "integrated_gradients", "occlusion"):
        assert share_first(rows, method, lambda row: 12 - LAG) > 0.8, method


def test_rows_from_stdin(seqtrain: Run, folder: Path) -> None:
    result = seqtrain("explain", "run=labels", "input=-", "output=-", stdin="alpha red\n\nbeta gamma blue delta\n")
    assert result.returncode == 0, result.stderr
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["tokens"] for row in rows] == [["alpha", "red"], ["beta", "gamma", "blue", "delta"]]
    assert [(row["row"], row["prediction"]) for row in rows] == [(0, "warm"), (2, "cold")]
    result = seqtrain("explain", "run=forecast", "input=-", "output=-", stdin=(folder / "series.csv").read_text())
    (row,) = [json.loads(line) for line in result.stdout.splitlines()]
    assert row["row"] == 0 and row["first_step"] == 800 and len(row["occlusion"]) == 12, result.stderr


def test_one_line_says_what_is_wrong(seqtrain: Run, fails: Fails, folder: Path) -> None:
    (folder / "named.csv").write_text("title,score\nalpha red,1\n")
    fails(seqtrain("explain", "run=labels", "input=named.csv"), "named.csv", "'text'", "title")
    bad = seqtrain("explain", "run=forecast", "input=named.csv", "methods=occlusion")
    fails(bad, "input=named.csv", "'step'", "title")
    fails(seqtrain("explain", "run=labels", "methods=attention,lime"), "'lime' is no method", "occlusion")
    fails(
        seqtrain("explain", "run=forecast", "input=series.csv", "methods=attention"),
        "the model has no attention",
        "forecast",
    )
    fails(seqtrain("explain", "run=labels", "rows=few"), "rows=few: must be a whole number")
    fails(seqtrain("explain", "input=named.csv"), "run")
