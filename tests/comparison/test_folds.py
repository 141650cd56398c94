"""Folds of one experiment in a comparison: one line, with mean and deviation over them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqtrain.commands.compare import compare
from seqtrain.comparison.report import build_report
from seqtrain.comparison.text import terminal

MakeRun = Callable[..., Path]
Classifier = Callable[[np.ndarray], dict[str, Any]]
OF = "e" * 64


def fold_options(fold: int, folds: int = 3) -> dict[str, Any]:
    """What a fold is to ``make_run``: its own train and validation, and the data of all."""
    return {"options": {"data.folds": folds, "data.fold": fold}, "fingerprint": f"{fold}" * 32, "folds_of": OF}


@pytest.fixture
def two_models(make_run: MakeRun, classifier: Classifier, tmp_path: Path) -> Path:
    """Three folds of two models on the same test rows; the last fold has one row less of validation."""
    for model, wrong in (("gru", 2), ("rnn", 20)):
        for fold in range(3):
            hits = np.arange(60) >= wrong + fold
            baselines = {"naive Bayes": {"accuracy": 0.5 + fold / 10}}
            sizes = {"validation_size": 33 - (fold == 2)}
            make_run(f"{model}{fold}", model=model, baselines=baselines, **sizes, **fold_options(fold),
                     **classifier(hits))  # fmt: skip
    return tmp_path


def test_folds_are_one_line_with_mean_and_deviation(two_models: Path) -> None:
    (table,) = build_report([str(two_models)]).tables
    assert [(row.name, len(row.group.runs) if row.group else 0) for row in table.rows] == [("gru", 3), ("rnn", 3)]
    assert table.rows[0].mean("accuracy") == pytest.approx(57 / 60)
    assert table.rows[0].deviation("accuracy") == pytest.approx(1 / 60)
    (baseline,) = table.baselines  # one line, with the score of each fold
    assert baseline.scores["accuracy"] == pytest.approx([0.5, 0.6, 0.7]) and not table.notes
    text = terminal(build_report([str(two_models)]))
    assert "± is the standard deviation over folds." in text and "0.6000 ± 0.1000" in text
    assert "(3 folds each, sd 1.7 and 1.7)" in text and "which examples are in test, not folds." in text
    text = terminal(build_report([str(two_models)], split="validation"))
    assert "validation of 32 to 33 rows" in text and "no intervals of differences: they are computed on test" in text


def test_other_test_rows_are_not_paired(two_models: Path, make_run: MakeRun, classifier: Classifier) -> None:
    other = classifier(np.arange(60) >= 1)
    other["predictions"]["rows"] = np.arange(60) + 5
    path = make_run("lstm0", model="lstm", **fold_options(0), **other)
    (table,) = build_report([str(two_models)]).tables
    assert f"{path}: has predictions of other rows than most; not among the pairs" in table.notes
    assert {d.worse.label for d in table.pairs[0].differences} == {"rnn"}
    assert "lstm: has runs of data.fold=0 only, of 3 folds" in table.notes


def test_other_folds_are_other_data(two_models: Path, make_run: MakeRun) -> None:
    for fold in range(2):
        make_run(f"two{fold}", size=60, **(fold_options(fold, folds=2) | {"folds_of": "a" * 64}))
    make_run("plain", size=60)
    report = build_report([str(two_models)])
    assert [len(table.rows) for table in report.tables] == [2, 1, 1]
    assert report.warnings[0].startswith("the runs differ in data, ") and "folds" in report.warnings[0]


def test_repetitions_and_seeds(two_models: Path, make_run: MakeRun, classifier: Classifier) -> None:
    again = classifier(np.arange(60) >= 2)
    make_run("newer", started="2026-02-01T00:00:00+0000", **fold_options(0), **again)
    (table,) = build_report([str(two_models)]).tables
    assert any("has the same configuration and seed (0) and fold (0) and is newer" in note for note in table.notes)
    make_run("seed1", seed=1, **fold_options(0), **again)
    (table,) = build_report([str(two_models)]).tables
    assert len(table.rows[0].scores["accuracy"]) == 4 and table.repeats == "seeds and folds"
    assert "(4 and 3 runs, sd" in terminal(build_report([str(two_models)]))


def test_the_page_has_the_fold_of_each_run(two_models: Path, tmp_path: Path) -> None:
    compare([str(two_models)], output=str(tmp_path / "page.html"))
    page = (tmp_path / "page.html").read_text()
    assert ">seed<" in page and ">fold<" in page
