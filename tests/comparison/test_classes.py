"""Differences within classes, and figures that do not make noise look large."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqtrain.commands.compare import compare
from seqtrain.comparison.classes import class_table
from seqtrain.comparison.figures import (
    cost_figure,
    curve_figure,
    difference_figure,
    least_span,
    score_figure,
    widened,
)
from seqtrain.comparison.report import build_report
from tests.html_page import Page

MakeRun = Callable[..., Path]
Classifier = Callable[[np.ndarray], dict[str, Any]]
NAMES = {"class_names": ["no", "yes"]}


def test_classes_of_two_configurations(make_run: MakeRun, classifier: Classifier, tmp_path: Path) -> None:
    """Class 0 is the even rows. The first has all of class 0, and 3/5 of class 1; the second half and 3/5 of them."""
    rows = np.arange(200)
    first = (rows % 2 == 0) | (rows % 10 < 6)
    second = np.where(rows % 2 == 0, rows % 4 == 0, rows % 10 < 6)
    make_run("a0", model="gru", spec=NAMES, **classifier(first))
    make_run("a1", model="gru", seed=1, spec=NAMES, **classifier(first | (rows % 10 == 7)))
    make_run("b", model="rnn", spec=NAMES, **classifier(second))
    (table,) = build_report([str(tmp_path)]).tables
    found = class_table(table)
    assert found is not None
    assert [group.label for group in found.groups] == ["gru", "rnn"] and found.rows.tolist() == [100, 100]
    assert found.shares == pytest.approx(np.array([[1.0, 0.7], [0.5, 0.6]]))
    (differences,) = found.differences
    assert differences.value == pytest.approx([0.5, 0.1]) and differences.shown.tolist() == [True, True]
    compare([str(tmp_path)], output=str(tmp_path / "page.html"))
    page = Page.of((tmp_path / "page.html").read_text())
    (classes,) = [each for tables in page.tables.values() for each in tables if each[0][0] == "class"]
    assert classes[1:] == [["no", "100", "100.0", "50.0*"], ["yes", "100", "70.0", "60.0*"]]
    assert page.links == ["a0", "a1", "b"]  # environment.json is not there, and no command


def test_without_classes_or_a_second_configuration(make_run: MakeRun, classifier: Classifier, tmp_path: Path) -> None:
    make_run("a", model="gru", **classifier(np.arange(50) % 3 > 0))
    make_run("b", model="rnn", **classifier(np.arange(50) % 4 > 0))
    assert class_table(build_report([str(tmp_path)]).tables[0]) is None  # data.json has no names of classes
    assert class_table(build_report([str(tmp_path / "a")]).tables[0]) is None
    make_run("c", task="forecasting", scores={"mse": 0.5})
    assert class_table(build_report([str(tmp_path / "c")]).tables[0]) is None


def test_axes_are_as_wide_as_noise(make_run: MakeRun, classifier: Classifier, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for seed in range(2):
        for model in ("gru", "rnn"):
            make_run(f"{model}{seed}", model=model, seed=seed, **classifier(rng.random(100) < 0.8))
    (table,) = build_report([str(tmp_path)]).tables
    (difference,) = table.pairs[0].differences
    span = least_span(table, "accuracy")
    assert span == pytest.approx(max(0.05, difference.upper - difference.lower))
    low, high = score_figure(table, "accuracy").axes[0].get_xlim()  # type: ignore[union-attr]
    assert high - low >= span - 1e-9
    assert widened(0.2, 0.3, 0.4) == pytest.approx((0.05, 0.45)) and widened(0.2, 0.3, 0.05) == (0.2, 0.3)
    table.pairs = []
    assert least_span(table, "accuracy") == 0.05
    for row in table.rows:
        row.scores["loss"] = [2.0]
    assert least_span(table, "loss") == pytest.approx(0.2)


def test_no_charts_of_two_points(make_run: MakeRun, classifier: Classifier, tmp_path: Path) -> None:
    for i, model in enumerate(("gru", "rnn")):
        make_run(model, model=model, seconds=10 * i, curve={1: 0.3, 3: 0.5}, **classifier(np.arange(100) % (3 + i) > 0))
    (table,) = build_report([str(tmp_path)]).tables
    assert len(table.pairs[0].differences) == 1
    assert score_figure(table, "accuracy") is None and curve_figure(table, "accuracy") is None
    assert difference_figure(table, table.pairs[0]) is None
    assert cost_figure(table, "accuracy", "seconds") is None
