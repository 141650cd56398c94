"""Ensembles of runs: their scores, their directory, and the commands that take it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import seqtrain
from seqtrain.commands.ensemble import ensemble
from seqtrain.commands.label_errors import label_errors
from seqtrain.commands.members import evaluate_ensemble
from seqtrain.commands.predict import predict
from seqtrain.commands.train import train
from seqtrain.comparison.report import build_report
from seqtrain.config.loading import from_yaml, to_config
from seqtrain.config.root import Config
from seqtrain.errors import ConfigError, RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import read_json, write_json
from tests.outputs import stored_outputs

Compose = Callable[..., Config]
Run = Callable[..., Any]


def trained(config: Config, path: Path) -> RunDirectory:
    run = RunDirectory.claim(path, exact=True)
    train(config, run)
    return run


def evaluated(run: RunDirectory, split: str) -> dict[str, float]:
    """What ``eval`` computes of an ensemble."""
    config = to_config(from_yaml(run.config_path))
    return evaluate_ensemble(config, config, run, split=split)


@pytest.fixture(scope="module")
def two(small: Compose, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an ensemble of two classifiers, which are in a folder beside it."""
    folder = tmp_path_factory.mktemp("two")
    for seed in (0, 1):
        options = [f"seed={seed}", "model=gru", "trainer.max_steps=12", f"data.max_length={20 + seed}"]
        trained(small(*options), folder / "runs" / str(seed))
    ensemble([str(folder / "runs")], output=str(folder / "both"))
    return folder


def test_probabilities_are_averaged(two: Path) -> None:
    run = RunDirectory(two / "both")
    for split, rows in (("validation", 30), ("test", 80)):
        stored = [
            stored_outputs(path / "predictions" / f"{split}.npz") for path in (two / "runs/0", two / "runs/1", run.path)
        ]
        mean = (stored[0]["probabilities"] + stored[1]["probabilities"]) / 2
        np.testing.assert_allclose(stored[2]["probabilities"], mean, atol=1e-6)
        assert mean.shape == (rows, 2) and stored[2]["rows"].tolist() == stored[0]["rows"].tolist()
        scores = read_json(run.results_path)["scores"]["ensemble_of_2"][split]
        assert scores["accuracy"] == np.mean(mean.argmax(1) == stored[0]["targets"])
        assert evaluated(run, split) == pytest.approx(scores, abs=1e-6)
    texts = ["a good film", "bad", "a film of the year"]
    members = [seqtrain.load(two / "runs" / str(seed)) for seed in (0, 1)]
    expected = np.mean([member.predict_probabilities(texts) for member in members], axis=0)  # type: ignore[attr-defined]
    pool: Any = seqtrain.load(run.path)
    np.testing.assert_allclose(pool.predict_probabilities(texts), expected, rtol=1e-6)
    assert list(pool.predict(texts)[0].probabilities.values()) == pytest.approx(expected[0])


def test_the_table(two: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    ensemble([str(two / "runs")], output=str(tmp_path / "again"))
    table = capsys.readouterr().out
    assert "validation of 30 rows" in table and "test of 80 rows" in table and "10,000 resamples" in table
    lines = [line.split() for line in table.partition("test of 80 rows")[2].splitlines() if line]
    assert [line[0] for line in lines[1:4]] == ["ensemble_of_2", "max_length=20", "max_length=21"]
    scores = [read_json(two / "runs" / str(seed) / "results.json")["scores"]["gru"]["test"] for seed in (0, 1)]
    assert float(lines[2][2]) == pytest.approx(scores[0]["accuracy"], abs=1e-3)


def test_compare_shows_it_as_one_run(two: Path) -> None:
    (table,) = build_report([str(two)]).tables
    (row,) = (row for row in table.rows if "ensemble_of_2" in row.name)
    assert row.parameters == 2 * read_json(two / "runs/0/results.json")["parameters"] and row.group is not None
    assert "seed" in row.group.runs[0].options and "data.max_length" not in row.group.runs[0].options
    assert not table.notes and len(table.pairs[0].differences) == 3


def test_members_that_are_not_what_they_were(two: Path, tmp_path: Path) -> None:
    shutil.copytree(two, tmp_path / "two")
    run, member = RunDirectory(tmp_path / "two/both"), tmp_path / "two/runs/1"
    assert evaluated(run, "test") == evaluated(RunDirectory(two / "both"), "test")  # moved as a whole
    write_json(member / "status.json", read_json(member / "status.json") | {"id": "0" * 32})
    with pytest.raises(RunError, match=r"its member \.\./runs/1 is another run now \(its id differs\); make the"):
        evaluated(run, "test")
    shutil.rmtree(member)
    with pytest.raises(RunError, match=r"its member \.\./runs/1 is not there; move it back, or make the ensemble"):
        seqtrain.load(run.path)
    record = read_json(run.ensemble_path)
    write_json(run.ensemble_path, record | {"members": [record["members"][0] | {"step": 999}]})
    with pytest.raises(RunError, match=r"runs/0: was trained further since it became a member"):
        seqtrain.load(run.path)


def test_runs_that_do_not_fit(two: Path, small: Compose, tmp_path: Path) -> None:
    other = trained(small("data.split_seed=5", "model=gru", "trainer.max_steps=1"), tmp_path / "other")
    with pytest.raises(RunError, match=r"other: differs from .*runs/0 in data \(fingerprint .* and fingerprint"):
        ensemble([str(two / "runs/0"), str(other.path)])
    with pytest.raises(RunError, match=r"1 finished runs are there, and 2 are needed"):
        ensemble([str(two / "runs/0")])
    with pytest.raises(RunError, match=r"both: is an ensemble itself; give its members"):
        ensemble([str(two / "both"), str(two / "runs")])
    with pytest.raises(RunError, match=r"already holds a run"):
        ensemble([str(two / "runs")], output=str(two / "both"))
    with pytest.raises(RunError, match=r"resume=.*both: is an ensemble, which eval, predict and compare take"):
        RunDirectory.open(str(two / "both"), "resume")
    config = to_config(from_yaml(two / "both/config.yaml"))
    with pytest.raises(ConfigError, match=r"checkpoint=last: must be one of best"):
        evaluate_ensemble(config, config, RunDirectory(two / "both"), checkpoint="last")


def test_outputs_that_were_not_stored_are_computed(two: Path, tmp_path: Path) -> None:
    shutil.copytree(two / "runs", tmp_path / "runs")
    (tmp_path / "runs/1/predictions/validation.npz").unlink()
    run = ensemble([str(tmp_path / "runs")], output=str(tmp_path / "both"))
    scores = [read_json(path / "results.json")["scores"] for path in (run.path, two / "both")]
    assert scores[0]["ensemble_of_2"]["validation"] == pytest.approx(scores[1]["ensemble_of_2"]["validation"])


@pytest.fixture(scope="module")
def folds(small: Compose, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run for each of three folds of one file, whose texts have other labels in eight rows."""
    folder = tmp_path_factory.mktemp("folds")
    rows = [
        ("good fine" if i % 2 else "bad poor", "neg" if (i % 2 == 0) != (i % 30 == 7) else "pos") for i in range(240)
    ]
    lines = [f"word{i % 7} {text} word{i % 11},{label}\n" for i, (text, label) in enumerate(rows)]
    (folder / "texts.csv").write_text("text,label\n" + "".join(lines))
    for fold in range(3):
        options = ["data.folds=3", f"data.fold={fold}", "model=gru", "trainer.epochs=4", "data.test_size=0.2"]
        trained(small(*options, f"data.path={folder / 'texts.csv'}"), folder / "runs" / str(fold))
    return folder


def test_validation_of_folds_is_out_of_fold(folds: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run = ensemble([str(folds / "runs")], output=str(tmp_path / "all"))
    assert "Out of fold: each row is scored by the members that were not trained on it" in capsys.readouterr().out
    own = stored_outputs(run.predictions_of("validation"))
    stored = [stored_outputs(folds / "runs" / str(fold) / "predictions/validation.npz") for fold in range(3)]
    for name in ("rows", "probabilities"):
        np.testing.assert_allclose(own[name], np.concatenate([each[name] for each in stored]))
    assert len(set(own["rows"])) == 192
    scores = read_json(run.results_path)["scores"]["ensemble_of_3"]
    assert scores["validation"]["accuracy"] == np.mean(own["probabilities"].argmax(1) == own["targets"])
    assert evaluated(run, "validation") == pytest.approx(scores["validation"])
    assert evaluated(run, "test") == pytest.approx(scores["test"])
    with pytest.raises(ConfigError, match=r"split=train: the members are of several folds"):
        evaluated(run, "train")
    (table,) = build_report([str(folds / "runs"), str(run.path)]).tables
    assert [len(row.group.runs) for row in table.rows if row.group] in ([1, 3], [3, 1]) and not table.notes


def test_wrong_labels_are_listed(folds: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    label_errors([str(folds / "runs")], output=str(tmp_path / "errors.csv"))
    out = capsys.readouterr().out
    found = pd.read_csv(tmp_path / "errors.csv")
    pool = set(
        np.concatenate([stored_outputs(f)["rows"] for f in folds.glob("runs/*/predictions/validation.npz")]).tolist()
    )
    wrong = {row for row in range(7, 240, 30) if row in pool}
    assert set(found["row"]) <= wrong and len(found) >= len(wrong) / 2 >= 2
    assert f"{len(found)} unlikely labels among 192 rows of train, out of 3 folds" in out
    row = found.iloc[0]
    line = (folds / "texts.csv").read_text().splitlines()[row["row"] + 1]
    assert line == f"{row['text']},{row['label']}" and row["place"].endswith(f"texts.csv: line {row['row'] + 2}")
    assert row["likely_label"] != row["label"] and row["p_likely"] > 0.5 > row["p_label"]
    label_errors([str(folds / "runs/0")])
    assert "rows of train that are in fold 0 of 3" in capsys.readouterr().out


def test_label_errors_without_the_source(folds: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    shutil.copytree(folds / "runs", tmp_path / "runs")
    source = folds / "texts.csv"
    content = source.read_text()
    try:
        source.write_text(content.replace("word3", "word4"))
        assert "text" not in label_errors([str(tmp_path / "runs")]).column_names
        assert "and are left out: its contents have changed since the run" in caplog.text
        source.unlink()
        table = label_errors([str(tmp_path / "runs")])
        assert table.column_names == ["row", "label", "likely_label", "p_label", "p_likely"]
        assert "cannot be read from the source, and are left out:" in caplog.text
    finally:
        source.write_text(content)


def tags(folder: Path) -> list[str]:
    lines = "".join(f"word{i % 9} B-X\nmore I-X\nend{i % 4} O\n\n" for i in range(60))
    (folder / "tags.conll").write_text(lines)
    return ["data=tagging_files", f"data.path={folder / 'tags.conll'}", "model=gru"]


def sets(folder: Path) -> list[str]:
    rows = [{"text": f"word{i % 5} word{i % 3}", "label": [["a"], ["a", "b"], []][i % 3]} for i in range(90)]
    (folder / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ["data=text_files", f"data.path={folder / 'texts.jsonl'}", "task=multilabel", "model=gru"]


def corpus(folder: Path) -> list[str]:
    text = "".join(f"the cat number {i % 13} sat on the mat number {i % 7}\n" for i in range(150))
    (folder / "text.txt").write_text(text)
    sizes = ["data.bptt_len=10", "data.batch_size=4", "data.tokenizer=word", "model.embedding.embed_dim=6"]
    return ["data=text_corpus", f"data.path={folder / 'text.txt'}", "model=lstm", *sizes]


def series(folder: Path, *options: str) -> list[str]:
    random = np.random.default_rng(0)
    names = np.repeat(["a", "b", "c", "d"], 80)
    values = random.poisson(20 + 10 * np.sin(np.arange(320) / 3))
    frame = pd.DataFrame({"shop": names, "date": np.tile(np.arange(80), 4), "sold": values})
    frame.to_csv(folder / "series.csv", index=False)
    sizes = ["data.lookback=6", "data.horizon=2", "data.id_column=shop", "model=nlinear"]
    return ["data=series_files", f"data.path={folder / 'series.csv'}", *sizes, *options]


KINDS: dict[str, Callable[[Path], list[str]]] = {
    "tags": tags,
    "sets": sets,
    "corpus": corpus,
    "numbers": lambda folder: ["data=adding", "data.num_eval=30", "data.length=6", "model=gru"],
    "points": lambda folder: series(folder, "task.conformal=0.8"),
    "counts": lambda folder: series(folder, "task.loss=negative_binomial", "data.scaler=mean"),
    "folds": lambda folder: series(folder, "task.loss=gaussian"),
}
NEW: dict[str, Any] = {
    "tags": [["word1", "more"], ["end2"]],
    "sets": ["word1 word2", "word3"],
    "corpus": ["the cat number 3 sat on the mat"],
    "numbers": [[[0.5, 1.0], [0.25, 0.0]]],
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_task(composed: Compose, tmp_path: Path, kind: str) -> None:
    options = [*KINDS[kind](tmp_path), "trainer.max_steps=3", "trainer.baselines=false", "trainer.figures=false"]
    options += ["device=cpu"] + ([] if "model=nlinear" in options else ["model.hidden_size=6"])
    for seed in (0, 1):
        more = ["data.folds=2", f"data.fold={seed}"] if kind == "folds" else [f"seed={seed}"]
        trained(composed(*options, *more), tmp_path / "runs" / str(seed))
    run = ensemble([str(tmp_path / "runs")], output=str(tmp_path / "both"))
    (scores,) = read_json(run.results_path)["scores"].values()
    monitor = read_json(run.results_path)["monitor"]
    members = [read_json(tmp_path / f"runs/{seed}/results.json")["scores"] for seed in (0, 1)]
    for split in ("validation", "test"):
        assert evaluated(run, split) == pytest.approx(scores[split], rel=1e-4)
        own = [next(iter(each.values()))[split][monitor] for each in members]
        assert scores[split][monitor] <= np.mean(own) + 1e-6  # convex in the outputs; of folds it is their mean
        assert len(build_report([str(tmp_path)], split=split).tables) == 1
    pool = seqtrain.load(run.path)
    source = tmp_path / "series.csv"
    if kind in NEW:
        results = pool.predict(NEW[kind])
        single = [seqtrain.load(tmp_path / f"runs/{seed}").predict(NEW[kind]) for seed in (0, 1)]
        if kind == "numbers":
            assert results[0].value == pytest.approx((single[0][0].value + single[1][0].value) / 2)
        if kind == "corpus":
            mean = np.logaddexp(*(each[0].log_probabilities for each in single)) - np.log(2)
            assert results[0].log_probabilities == pytest.approx(mean)
    else:
        forecast = pool.predict(str(source))[0].values["sold"]
        first, other = (seqtrain.load(tmp_path / f"runs/{seed}").predict(str(source))[0] for seed in (0, 1))
        points = [each.values["sold"]["forecast"] for each in (first, other)]
        np.testing.assert_allclose(forecast["forecast"], np.mean(points, axis=0), rtol=1e-4)
        assert "lower" in forecast
        config = to_config(from_yaml(run.config_path))
        predict(config, config, run, str(source), str(tmp_path / "out.csv"))
        assert len(pd.read_csv(tmp_path / "out.csv")) == 8


def test_on_the_command_line(two: Path, run_in: Callable[[Path], Run], fails: Callable[..., None]) -> None:
    run = run_in(two)
    result = run("ensemble", "runs", "output=third")
    assert result.returncode == 0 and "ensemble_of_2" in result.stdout and result.stderr.endswith("ensemble: third\n")
    result = run("predict", "run=third", "input=-", stdin="a good film\n")
    assert set(json.loads(result.stdout)) == {"text", "prediction", "p_neg", "p_pos"}
    fails(run("resume=third"), "resume=third: is an ensemble, which eval, predict and compare take")
