"""Pages of tasks other than classification, from constructed outputs without a source."""

import numpy as np
import pytest

from seqtrain.config.task import MultilabelConfig, SequenceLabellingConfig, SequenceRegressionConfig
from seqtrain.data.spec import DataSpec
from seqtrain.pages.html import whole
from seqtrain.tasks.base import Task
from seqtrain.tasks.inspecting.material import Material, Rival, Section
from seqtrain.tasks.labelling import inspect as labelling
from seqtrain.tasks.labelling.task import SequenceLabelling
from seqtrain.tasks.multilabel import inspect as multilabel
from seqtrain.tasks.multilabel.task import MultilabelClassification
from seqtrain.tasks.regression import inspect as regression
from seqtrain.tasks.regression.task import SequenceRegression
from tests.html_page import Page


def page_of(sections: list[Section]) -> Page:
    parts = [part for section in sections for part in [f"<h2>{section.heading}</h2>", *section.parts]]
    return Page.of(whole("page", parts))


def material(task: Task, spec: DataSpec, outputs: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> Material:
    return Material("gru", "test", spec, task, outputs, rival=Rival("rnn", task, outputs | other))


def test_labels_of_steps() -> None:
    """Two sequences of 3 and 2 steps; the second step of the first, and both of the second are wrong."""
    spec = DataSpec(class_names=["O", "PER", "LOC"], class_counts=[10, 5, 5])
    guesses, targets = np.array([0, 1, 2, 0, 0]), np.array([0, 2, 2, 1, 2])
    probabilities = np.where(np.eye(3)[guesses] > 0, 0.8, 0.1)
    outputs = {
        "probabilities": probabilities,
        "targets": targets,
        "lengths": np.array([3, 2]),
        "rows": np.array([7, 9]),
    }
    right = {"probabilities": np.where(np.eye(3)[targets] > 0, 0.8, 0.1)}
    task = SequenceLabelling(SequenceLabellingConfig(), spec)
    page = page_of(labelling.inspect(material(task, spec, outputs, right)))
    assert "3 of 5 steps of test are wrong: 60.0 %" in page.text and "2 of 2 sequences have an error" in page.text
    assert "3 steps only gru has wrong, 0 only rnn; 0 both." in page.text
    first, second = page.cards["Sequences with the largest loss"]
    assert "2 of 2 steps wrong" in first and "row 9" in first and "(PER, predicted O)" in first
    assert "1 of 3 steps wrong" in second and "(LOC, predicted PER)" in second
    by_class = {row[0]: row[2:4] for row in page.table("Error by class")}
    assert by_class == {"O": ["1", "0"], "PER": ["1", "1"], "LOC": ["3", "2"]}
    assert [row[:3] for row in page.table("By place in the sequence")] == [
        ["1", "2", "1"],
        ["2", "2", "2"],
        ["3", "1", "0"],
    ]


def test_sets_of_labels() -> None:
    spec = DataSpec(class_names=["a", "b"], class_counts=[2, 2], num_rows=4)
    targets = np.array([[1, 0], [1, 1], [0, 0]], dtype=bool)
    predictions = np.array([[1, 0], [0, 1], [1, 0]], dtype=bool)
    outputs = {
        "targets": targets,
        "predictions": predictions,
        "losses": np.array([0.1, 0.5, 0.9]),
        "rows": np.arange(3),
    }
    task = MultilabelClassification(MultilabelConfig(), spec)
    page = page_of(multilabel.inspect(material(task, spec, outputs, {"predictions": targets})))
    assert "2 of 3 rows of test have a wrong set of labels" in page.text
    assert "Of 3 labels 1 are missed; 1 are predicted that do not apply." in page.text
    assert "2 rows only gru has wrong, 0 only rnn" in page.text
    first, second, _ = page.cards["Rows with the largest loss"]
    assert first.startswith("missed: -; extra: a; right: -; loss 0.9 row 2")
    assert second.startswith("missed: a; extra: -; right: b; loss 0.5 row 1")
    assert page.table("Error by class") == [
        ["a", "2", "1", "1", "0.500", "0.500", "0.500"],
        ["b", "1", "0", "0", "1.000", "1.000", "1.000"],
    ]


def test_numbers() -> None:
    targets = np.linspace(0, 1, 12)
    predictions = targets + np.where(np.arange(12) == 5, 2.0, 0.1)
    outputs = {"targets": targets, "predictions": predictions, "rows": np.arange(12) + 100}
    task = SequenceRegression(SequenceRegressionConfig(), DataSpec())
    page = page_of(regression.inspect(material(task, DataSpec(), outputs, {"predictions": targets})))
    mse = np.mean((predictions - targets) ** 2)
    assert f"12 rows of test: mse {mse:.4g}" in page.text and "too high on average" in page.text
    assert "Half of the squared error is in 1 rows (8.3 %)." in page.text
    assert "gru is nearer to the target in 0.0 % of the rows" in page.text
    assert page.table("Worst rows")[0] == ["105", f"{targets[5]:.5g}", f"{predictions[5]:.5g}", "2"]
    bins = page.table("Error by target")
    assert len(bins) == 6 and [float(row[2]) for row in bins] == pytest.approx([0.1, 0.1, 1.05, 0.1, 0.1, 0.1])
