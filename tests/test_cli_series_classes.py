"""Labelled series through the real command line: training, scores, predictions, an ensemble, a comparison."""

import csv
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.archives import waves, write_archive, write_pair

Run = Callable[..., subprocess.CompletedProcess[str]]

SMALL = [
    "data=series_classes", "data.path=Waves", "model=gru_fcn", "model.filters=[16,16]", "model.kernel_sizes=[8,5]",
    "model.hidden_size=8", "model.embedding.embed_dim=4", "model.kernel=torch", "device=cpu",
    "trainer.max_steps=30", "trainer.eval_every=15", "trainer.warmup_steps=5", "trainer.lr=0.02",
    "trainer.figures=false", "trainer.probe=false",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, run_in: Callable[[Path], Run]) -> Path:
    """Where the commands run: an archive, and a run on it."""
    folder = tmp_path_factory.mktemp("series")
    write_pair(folder / "Waves", 60, unequal=True)
    result = run_in(folder)(*SMALL, "hydra.run.dir=run")
    assert result.returncode == 0, result.stderr
    for who in ("gru_fcn", "majority class", "1-NN Euclidean", "MiniRocket + ridge"):
        assert who in result.stdout, result.stdout
    return folder


@pytest.fixture
def seqtrain(folder: Path, run_in: Callable[[Path], Run]) -> Run:
    return run_in(folder)


def test_classes_are_learned(seqtrain: Run, folder: Path) -> None:
    scores = json.loads((folder / "run" / "results.json").read_text())["scores"]
    assert scores["gru_fcn"]["test"]["accuracy"] > 0.9 > scores["majority class"]["test"]["accuracy"]
    assert scores["MiniRocket + ridge"]["test"]["accuracy"] > 0.9
    result = seqtrain("eval", "run=run")
    assert json.loads(result.stdout)["accuracy"] == scores["gru_fcn"]["test"]["accuracy"]
    assert {p.name for p in (folder / "run").iterdir()} >= {"preparation.json", "data.json", "predictions"}


def test_predictions_for_archives_and_tables(seqtrain: Run, folder: Path) -> None:
    new = waves(12, 7, unequal=True)
    write_archive(folder / "new.ts", new)
    rows = [[i, *values[:, 0].tolist(), *[""] * (40 - len(values))] for i, (values, _) in enumerate(new)]
    with (folder / "new.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["label", *range(40)], *rows])
    found = {}
    for kind in ("ts", "csv"):
        result = seqtrain("predict", "run=run", f"input=new.{kind}", f"output={kind}.csv")
        assert result.returncode == 0, result.stderr
        found[kind] = list(csv.DictReader((folder / f"{kind}.csv").read_text().splitlines()))
    assert [row["prediction"] for row in found["ts"]] == [row["prediction"] for row in found["csv"]]
    assert [row["label"] for row in found["ts"]] == [label for _, label in new]
    assert sum(row["prediction"] == row["label"] for row in found["ts"]) > 9
    assert {"series", "p_low", "p_mid", "p_high"} <= set(found["ts"][0])


def test_an_ensemble_and_a_comparison(seqtrain: Run) -> None:
    other = seqtrain(*SMALL, "model=gru", "seed=1", "trainer.baselines=false", "hydra.run.dir=other",
                     "~model.filters", "~model.kernel_sizes")  # fmt: skip
    assert other.returncode == 1  # gru has no filters
    options = [option for option in SMALL if not option.startswith(("model=", "model.filters", "model.kernel_sizes"))]
    other = seqtrain(*options, "model=gru", "trainer.baselines=false", "hydra.run.dir=other")
    assert other.returncode == 0, other.stderr
    averaged = seqtrain("ensemble", "run", "other", "output=both")
    assert averaged.returncode == 0, averaged.stderr
    compared = seqtrain("compare", "run", "other", "both")
    assert compared.returncode == 0, compared.stderr
    assert "gru_fcn" in compared.stdout and "accuracy" in compared.stdout


def test_unlikely_labels(seqtrain: Run, folder: Path) -> None:
    result = seqtrain("label-errors", "run", "output=errors.csv")
    assert result.returncode == 0, result.stderr
    assert "data=series_classes has no texts, so that rows are named by their number" in result.stderr
    assert "among 12 rows of validation" in result.stdout and (folder / "errors.csv").is_file()


def test_faults_are_one_line(seqtrain: Run, folder: Path, fails: Callable[..., None]) -> None:
    (folder / "bad.ts").write_text("@classLabel true a b\n@data\n1,2,x:a\n3,4,5:b\n")
    fails(seqtrain("data=series_classes", "data.path=bad.ts"), "bad.ts: line 3", "'x' is not a number")
    fails(seqtrain("data=series_classes", "data.path=gone.ts"), "data.path", "no such file")
    fails(seqtrain(*SMALL, "data.missing=zero"), "data.missing", "interpolate")
    fails(seqtrain(*SMALL, "model.kernel_sizes=[3]"), "model.kernel_sizes=[3]: must be as many as model.filters (2)")
    fails(seqtrain("predict", "run=run", "input=-", "output=-"), "input=-: must be a .ts file")
    wide = write_archive(folder / "two.ts", waves(3, features=2))
    fails(seqtrain("predict", "run=run", f"input={wide}", "output=o.csv"), "two.ts", "have 2 features")
