"""Which runs share a table, their labels, and the content of the tables."""

import csv
import io
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqtrain.commands.compare import compare
from seqtrain.comparison.figures import spread
from seqtrain.comparison.grouping import distinguishing, format_value, short_names
from seqtrain.comparison.metrics import column_decimals, width_decimals
from seqtrain.comparison.report import build_report
from seqtrain.comparison.text import group_csv, markdown, terminal
from seqtrain.errors import ConfigError, RunError
from tests.html_page import Page, stands_alone

MakeRun = Callable[..., Path]
Classifier = Callable[[np.ndarray], dict[str, Any]]


def test_seeds_of_a_configuration_are_one_row(make_run: MakeRun, tmp_path: Path) -> None:
    values = {0: 0.70, 1: 0.74, 2: 0.78}
    for seed, value in values.items():
        make_run(
            f"gru{seed}", seed=seed, scores={"accuracy": value}, seconds=10 + seed, options={"data.path": f"/{seed}"}
        )
    make_run("rnn", model="rnn", scores={"accuracy": 0.9}, parameters=500)
    (table,) = build_report([str(tmp_path)]).tables
    assert [row.name for row in table.rows] == ["rnn", "gru"]
    best, other = table.rows
    assert other.mean("accuracy") == pytest.approx(0.74) and other.deviation("accuracy") == pytest.approx(0.04)
    assert best.deviation("accuracy") is None and (best.parameters, other.seconds) == (500, 11)
    assert table.split == "test" and table.ranked == "accuracy" and table.maximize
    text = terminal(build_report([str(tmp_path)]))
    assert "0.7400 ± 0.0400" in text and "docstrings, classification, test of 100 rows" in text


def test_labels_have_only_what_differs(make_run: MakeRun, tmp_path: Path) -> None:
    for model, lr, hidden in (("gru", 0.002, 64), ("gru", 0.004, 64), ("rnn", 0.002, 32)):
        make_run(f"{model}{lr}", model=model, options={"trainer.lr": lr, "model.hidden_size": hidden})
    (table,) = build_report([str(tmp_path)]).tables
    assert {row.name for row in table.rows} == {"model=gru lr=0.002", "model=gru lr=0.004", "model=rnn lr=0.002"}
    make_run("wide", model="gru", options={"trainer.lr": 0.002, "model.hidden_size": 128})
    (table,) = build_report([str(tmp_path)]).tables
    assert "model=gru hidden_size=128 lr=0.002" in {row.name for row in table.rows}


@pytest.mark.parametrize("metric", ["coverage", "conformal_coverage"])
def test_no_one_is_best_in_coverage(make_run: MakeRun, tmp_path: Path, metric: str) -> None:
    make_run("run", task="forecasting", scores={metric: 0.9, "mse": 0.5})
    assert build_report([str(tmp_path)]).tables[0].ranked == "mse"
    with pytest.raises(ConfigError, match=f"metric={metric}: neither more nor less of it is better; known: mse"):
        build_report([str(tmp_path)], metrics=[metric])


def test_names_of_keys() -> None:
    options: list[dict[str, Any]] = [
        {"model.name": "a", "model.dropout": 0.1, "model.embedding.dropout": 0.1, "task.name": "x", "seed": 1},
        {"model.name": "a", "model.dropout": 0.2, "model.embedding.dropout": 0.3, "task.name": "x", "seed": 1.0},
    ]
    keys = distinguishing(options)
    assert keys == ["model.dropout", "model.embedding.dropout"]
    assert short_names(keys) == {"model.dropout": "model.dropout", "model.embedding.dropout": "embedding.dropout"}
    assert short_names(["model.name", "trainer.lr"]) == {"model.name": "model", "trainer.lr": "lr"}
    values = [None, True, 1e-05, [1, 2], "/some/where/glove.txt", "bf16"]
    assert [format_value(v) for v in values] == ["null", "true", "1e-05", "[1,2]", "glove.txt", "bf16"]


def test_a_size_stands_for_what_it_sets(make_run: MakeRun, tmp_path: Path) -> None:
    def made(name: str, width: int, lr: float, size: str | None) -> Path:
        return make_run(name, options={"model.hidden_size": width, "trainer.lr": lr, "size": size})

    def labels() -> set[str]:
        (table,) = build_report([str(tmp_path)]).tables
        assert {"model.hidden_size", "trainer.lr"} <= set(table.keys)
        return {row.name for row in table.rows}

    made("small", 64, 0.01, "small")
    made("base", 128, 0.006, "base")
    assert labels() == {"size=small", "size=base"}
    other = made("other", 128, 0.3, "base")
    assert labels() == {"size=small lr=0.01", "size=base lr=0.006", "size=base lr=0.3"}
    shutil.rmtree(other)
    made("by hand", 256, 0.02, None)
    assert "hidden_size=256 lr=0.02" in labels()


def test_badges_are_moved_apart() -> None:
    rng = np.random.default_rng(0)
    for count in (1, 2, 8):
        values = rng.normal(size=count).tolist()
        moved = spread(values, 0.5)
        assert np.argsort(moved).tolist() == np.argsort(values).tolist()
        assert (np.diff(sorted(moved)) >= 0.5 - 1e-9).all()
        assert np.mean(moved) == pytest.approx(np.mean(values))
    assert spread([0.0, 1.0, 3.0], 0.5) == [0.0, 1.0, 3.0]
    assert spread([1.0, 1.0], 0.5) == [0.75, 1.25]


def test_decimals() -> None:
    assert [column_decimals([v]) for v in (0.79, 0.0001, 91.2, 12345.0, 0.0, math.inf)] == [4, 6, 2, 0, 4, 4]
    assert [width_decimals(w) for w in (1.6, 0.31, 22.0, 0.0)] == [1, 2, 0, 4]


def test_a_key_of_a_later_version_has_its_default(make_run: MakeRun, tmp_path: Path) -> None:
    """A run older than an option has the same configuration as a run with the option's default."""
    old = make_run("old", seed=0)
    make_run("new", seed=1)
    text = (old / "config.yaml").read_text()
    assert "  max_grad_norm: 1.0\n" in text
    (old / "config.yaml").write_text(text.replace("  max_grad_norm: 1.0\n", ""))
    (table,) = build_report([str(tmp_path)]).tables
    assert [len(row.scores["accuracy"]) for row in table.rows] == [2]


def test_other_data_is_another_table(make_run: MakeRun, classifier: Classifier, tmp_path: Path) -> None:
    make_run("a", model="gru", **classifier(np.arange(100) % 3 > 0))
    make_run("b", model="rnn", **classifier(np.arange(100) % 4 > 0) | {"fingerprint": "e" * 32})
    make_run("c", model="lstm", **classifier(np.arange(80) % 4 > 0))
    report = build_report([str(tmp_path)])
    assert len(report.tables) == 3 and not any(table.pairs for table in report.tables)
    assert "differ in data, validation size, test size" in report.warnings[0]
    headings = [table.heading for table in report.tables]
    assert "data fingerprint ffffffff" in headings[0] and "data fingerprint eeeeeeee" in headings[1]
    assert "test of 100 rows" in headings[0] and "test of 80 rows" in headings[2]
    assert terminal(report).startswith("warning: the runs differ in")


def test_other_tasks_and_vocabularies_are_other_tables(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("a")
    for name, size in {"b": 100, "c": 200}.items():
        spec = {"targets": "next token", "vocab_size": size}
        make_run(name, task="language_modelling", scores={"loss": 2.0}, spec=spec)
    report = build_report([str(tmp_path)])
    assert len(report.tables) == 3
    assert "vocabulary 200" in report.tables[2].heading and "language modelling" in report.tables[2].heading


def test_other_seasons_are_other_tables(make_run: MakeRun, tmp_path: Path) -> None:
    for name, season in {"a": 24, "b": 24, "c": 168}.items():
        make_run(name, model=name, task="forecasting", spec={"targets": "future", "season": season})
    report = build_report([str(tmp_path)])
    assert [len(table.rows) for table in report.tables] == [2, 1] and "differ in season" in report.warnings[0]


def test_unfinished_and_damaged_runs_are_named_and_not_averaged(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("sweep/good", scores={"accuracy": 0.5})
    make_run("sweep/failed", state="failed", scores={"accuracy": 0.1})
    make_run("sweep/running", state="running", seed=1)
    broken = {name: make_run(f"sweep/{name}", seed=3) for name in ("cut", "empty", "list", "nodata", "noconfig")}
    (broken["cut"] / "results.json").write_text('{"model": "gru", "sco')
    (broken["empty"] / "results.json").write_text("{}")
    (broken["list"] / "config.yaml").write_text("- 1\n")
    (broken["nodata"] / "data.json").unlink()
    (broken["noconfig"] / "config.yaml").unlink()
    (tmp_path / "sweep/notes").mkdir()
    report = build_report([str(tmp_path)])
    (table,) = report.tables
    assert table.rows[0].scores["accuracy"] == [0.5]
    assert {(run.path.name, run.state) for run in report.unfinished} == {("failed", "failed"), ("running", "killed")}
    assert len(report.warnings) == 5 and all("ignored" in line for line in report.warnings)
    text = terminal(report)
    for part in (
        "failed",
        "RunError: loss is nan",
        "no process is writing",
        "results.json: is not valid JSON",
        "'scores' is missing",
    ):
        assert part in text or part.replace("scores", "model") in text, part
    (tmp_path / "sweep/good/status.json").write_text("{")
    report = build_report([str(tmp_path)])
    assert not report.tables and "There is no finished run." in terminal(report)


def test_directories(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("sweep/one")
    for named in ([str(run)], [str(tmp_path / "sweep")], [str(tmp_path)], [str(run), str(tmp_path)]):
        (table,) = build_report(named).tables
        assert len(table.groups[0].runs) == 1
    with pytest.raises(ConfigError, match="no such directory"):
        build_report([str(tmp_path / "none")])
    with pytest.raises(ConfigError, match="config.yaml: is a file"):
        build_report([str(run / "config.yaml")])
    (tmp_path / "empty/deep/deeper").mkdir(parents=True)
    with pytest.raises(RunError, match="contains no run"):
        build_report([str(tmp_path / "empty")])


def test_a_repeated_run_counts_once(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("old", scores={"accuracy": 0.1}, started="2026-01-01T00:00:00+0000")
    make_run("new", scores={"accuracy": 0.9}, started="2026-01-02T00:00:00+0000")
    (table,) = build_report([str(tmp_path)]).tables
    assert table.rows[0].scores["accuracy"] == [0.9]
    assert "old: ignored" in table.notes[0] and "seed (0)" in table.notes[0]


def test_baselines_stand_below_and_must_agree(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("a", model="gru", baselines={"majority": {"accuracy": 0.2}, "bayes": {"accuracy": 0.6}})
    make_run("b", model="rnn", baselines={"majority": {"accuracy": 0.2}, "bayes": {"accuracy": 0.7}})
    (table,) = build_report([str(tmp_path)]).tables
    assert [row.name for row in table.baselines] == ["majority", "bayes (of gru)", "bayes (of rnn)"]
    assert table.notes[0] == "bayes: the runs disagree on the score of this baseline, although their data is the same"


def test_runs_without_test_or_with_other_metrics(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("a", splits=("validation",), scores={"accuracy": 0.6, "new_metric": 3.0})
    old = make_run("b", model="rnn", splits=("validation",), scores={"accuracy": 0.7})
    results = json.loads((old / "results.json").read_text())
    for key in ("shown", "monitor", "maximize"):  # as earlier versions wrote it
        del results[key]
    (old / "results.json").write_text(json.dumps(results))
    (table,) = build_report([str(tmp_path)]).tables
    assert table.split == "validation" and table.ranked == "accuracy"
    assert [row.name for row in table.rows] == ["rnn", "gru"] and table.metrics == ["accuracy"]
    with pytest.raises(ConfigError, match="split=test: no run has scores on it; known: validation"):
        build_report([str(tmp_path)], split="test")
    with pytest.raises(ConfigError, match="metric=acuracy: no run has it; did you mean accuracy"):
        build_report([str(tmp_path)], metrics=["acuracy"])
    (table,) = build_report([str(tmp_path)], metrics=["new_metric"]).tables
    assert [row.mean("new_metric") for row in table.rows] == [3.0, None] and not table.maximize


def test_scores_that_are_no_numbers(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("a", scores={"accuracy": math.nan, "macro_f1": 0.5})
    make_run("b", model="rnn", scores={"accuracy": 0.5, "macro_f1": math.inf})
    assert "NaN" in (run / "results.json").read_text()
    for format in ("terminal", "markdown", "csv", "html"):
        compare([str(tmp_path)], format=format, output=str(tmp_path / "out.txt"))
    (table,) = build_report([str(tmp_path)]).tables
    assert [row.name for row in table.rows] == ["rnn", "gru"]


def test_markdown_and_csv(make_run: MakeRun, classifier: Classifier, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for model, share in {"gru_attn": 0.9, "rnn": 0.5}.items():
        for seed in (0, 1):
            run = classifier(rng.random(200) < share)
            baselines = {"majority, class": {"accuracy": 0.5}}
            make_run(f"{model}{seed}", model=model, seed=seed, options={"trainer.lr": 0.1}, baselines=baselines, **run)
    report = build_report([str(tmp_path)])
    lines = markdown(report).splitlines()
    assert "| gru\\_attn | 2 |" in "\n".join(lines) and "| --- | ---: |" in "\n".join(lines)
    assert len({line.count(" | ") for line in lines if line.startswith("|")}) == 1
    rows = list(csv.DictReader(io.StringIO(group_csv(report))))
    assert [row["group"] for row in rows] == ["gru_attn", "rnn", "majority, class"]
    assert rows[0]["model.name"] == "gru_attn" and rows[2]["is_baseline"] == "true" and rows[2]["accuracy_sd"] == ""
    table = report.tables[0]
    assert float(rows[0]["accuracy"]) == table.rows[0].mean("accuracy")
    compare([str(tmp_path)], output=str(tmp_path / "out.csv"))
    (pair,) = csv.DictReader(io.StringIO((tmp_path / "out-pairs.csv").read_text()))
    assert (pair["better"], pair["worse"], pair["is_shown"], pair["examples"]) == ("gru_attn", "rnn", "true", "200")
    assert float(pair["lower"]) < float(pair["difference"]) < float(pair["upper"])


def test_the_page_stands_alone(make_run: MakeRun, classifier: Classifier, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i, model in enumerate(("gru", "a<b", "lstm")):
        for seed in (0, 1):
            run = classifier(rng.random(200) < 0.9 - 0.1 * i)
            curve = {step: 0.5 + 0.01 * step + 0.01 * seed for step in range(1, 6)}
            baselines = {"majority": {"accuracy": 0.85}, "far & away": {"accuracy": -50.0}}
            make_run(f"{i}{seed}", model=model, seed=seed, baselines=baselines, curve=curve, seconds=5.0 * (i + 1),
                     parameters=1000 * (i + 1), **run)  # fmt: skip
    make_run("failed", state="failed")
    path = tmp_path / "page.html"
    compare([str(tmp_path)], output=str(path))
    text = path.read_text()
    page = Page.of(text)
    assert stands_alone(text)
    assert page.tags.count("svg") == 5 and page.tags.count("table") == 5
    assert "a<b" in page.text and "far & away" in page.text and "Too far away" in page.text
    assert "gru beats a<b by" in page.text and "loss is nan" in page.text
    compare([str(tmp_path)], output=str(tmp_path / "again.html"))
    assert (tmp_path / "again.html").read_text() == text, "the same runs give the same page"
