"""Differences between configurations, with intervals, from run directories."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqtrain.comparison.pairs import resampling_line, sentence
from seqtrain.comparison.report import Table, build_report

MakeRun = Callable[..., Path]
Classifier = Callable[[np.ndarray], dict[str, Any]]


def the_table(tmp_path: Path, *metrics: str) -> Table:
    """The only table of the runs in a folder."""
    report = build_report([str(tmp_path)], metrics=metrics)
    assert not report.warnings
    (table,) = report.tables
    return table


def test_seeds_are_averaged_example_by_example(make_run: MakeRun, classifier: Classifier, tmp_path: Path) -> None:
    """Two seeds against one, with a second implementation of the interval."""
    rng = np.random.default_rng(0)
    hits = {("gru", 0): 0.80, ("gru", 1): 0.84, ("rnn", 0): 0.70}
    right = {run: rng.random(400) < share for run, share in hits.items()}
    for (model, seed), each in right.items():
        make_run(f"{model}{seed}", model=model, seed=seed, **classifier(each))
    (pairs,) = the_table(tmp_path).pairs
    (difference,) = pairs.differences
    assert (difference.better.label, difference.worse.label) == ("gru", "rnn")
    each_example = (right["gru", 0] + 0.0 + right["gru", 1]) / 2 - right["rnn", 0]
    assert difference.value == pytest.approx(each_example.mean())
    draws = rng.integers(0, 400, size=(10_000, 400))
    expected = np.percentile(each_example[draws].mean(axis=1), [2.5, 97.5])
    np.testing.assert_allclose([difference.lower, difference.upper], expected, atol=0.004)
    assert (pairs.examples, pairs.block, pairs.unit) == (400, 1, "rows")
    text = sentence(difference, pairs)
    assert text.startswith(f"gru beats rnn by {100 * difference.value:.1f} points of accuracy, 95 % interval ")
    deviation = 100 * abs(right["gru", 0].mean() - right["gru", 1].mean()) / np.sqrt(2)
    assert text.endswith(f" (2 and 1 seeds, sd {deviation:.1f} and -)")
    assert "10,000 resamples of the 400 test rows. They cover which examples are in test" in resampling_line(pairs)


def test_a_difference_that_chance_explains_is_not_shown(
    make_run: MakeRun, classifier: Classifier, tmp_path: Path
) -> None:
    right = np.arange(100) % 4 > 0
    other = right.copy()
    other[[1, 2, 4, 8]] = [False, False, True, False]
    make_run("a", model="gru", **classifier(right))
    make_run("b", model="rnn", **classifier(other))
    (pairs,) = the_table(tmp_path).pairs
    (difference,) = pairs.differences
    assert not difference.is_shown and difference.lower < 0 < difference.value
    assert sentence(difference, pairs).startswith("no clear difference between gru and rnn: ")


def test_equal_predictions(make_run: MakeRun, classifier: Classifier, tmp_path: Path) -> None:
    for model in ("gru", "rnn"):
        make_run(model, model=model, **classifier(np.arange(50) % 3 > 0))
    (pairs,) = the_table(tmp_path).pairs
    (difference,) = pairs.differences
    assert (difference.value, difference.lower, difference.upper, difference.is_shown) == (0, 0, 0, False)


def test_every_pair_and_several_metrics(make_run: MakeRun, classifier: Classifier, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for model, share in {"rnn": 0.6, "gru": 0.9, "lstm": 0.7}.items():
        run = classifier(rng.random(300) < share)
        outputs = run["predictions"]
        guesses = outputs["probabilities"].argmax(1)
        f1 = np.mean(
            [2 * np.sum((guesses == c) & (outputs["targets"] == c)) / (np.sum(guesses == c) + 150) for c in (0, 1)]
        )
        run["scores"] |= {"macro_f1": float(f1)}
        make_run(model, model=model, **run)
    table = the_table(tmp_path, "macro_f1", "accuracy")
    assert [pairs.metric for pairs in table.pairs] == ["macro_f1", "accuracy"]
    for pairs in table.pairs:
        found = [(d.better.label, d.worse.label) for d in pairs.differences]
        assert found == [("gru", "lstm"), ("gru", "rnn"), ("lstm", "rnn")]
        assert len(pairs.with_best) == 2
        assert all(d.lower < d.value < d.upper for d in pairs.differences)


def language_model(nats: np.ndarray) -> dict[str, Any]:
    mean = float(nats.mean())
    predictions = {"rows": np.arange(1, len(nats) + 1), "log_probabilities": (-nats).astype(np.float32)}
    scores = {"loss": mean, "perplexity": float(np.exp(mean))}
    return {"task": "language_modelling", "scores": scores, "predictions": predictions, "size": len(nats) + 1}


def test_language_models_are_compared_in_nats_and_by_ratio(make_run: MakeRun, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    base = 4 + np.repeat(rng.normal(size=100), 20)  # the topic of a text lasts for several tokens
    make_run("a", model="lstm", **language_model(base))
    make_run("b", model="gru", **language_model(base + 0.1 + np.repeat(rng.normal(size=100) * 0.3, 20)))
    table = the_table(tmp_path)
    (pairs,) = table.pairs
    (difference,) = pairs.differences
    assert not table.maximize and pairs.block > 10
    text = sentence(difference, pairs)
    ratio = 100 * (1 - np.exp(-difference.value))
    assert f"lstm beats gru by {difference.value:.3f} nats" in text and text.endswith(" (one seed each)")
    assert "nats per token" in text and f"; perplexity {ratio:.1f} % lower" in text
    assert f"in blocks of {pairs.block} neighbours" in resampling_line(pairs)
    # 100 topics of 20 tokens: the error of the mean is that of 100 draws, not of 2,000
    half = (difference.upper - difference.lower) / 2
    assert half == pytest.approx(1.96 * 0.3 / np.sqrt(100), rel=0.35)


def test_windows_are_resampled_in_blocks_of_at_least_the_horizon(make_run: MakeRun, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for model, error in {"gru": 1.0, "rnn": 1.3}.items():
        squared, observed = error * rng.chisquare(12, size=300), np.full(300, 12.0)
        scores = {"mse": float(squared.sum() / observed.sum())}
        predictions = {"rows": np.arange(300), "squared_errors": squared, "observed": observed}
        make_run(model, model=model, task="forecasting", scores=scores, predictions=predictions, size=300,
                 spec={"horizon": 24})  # fmt: skip
    (pairs,) = the_table(tmp_path).pairs
    assert pairs.block == 24 and pairs.differences[0].better.label == "gru"
    assert "Test has only 12 such blocks" in resampling_line(pairs)


def test_many_examples_are_resampled_in_blocks(
    make_run: MakeRun, classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqtrain.comparison.bootstrap.MAX_BLOCKS", 200)
    rng = np.random.default_rng(5)
    right = {model: rng.random(500) < share for model, share in {"gru": 0.8, "rnn": 0.7}.items()}
    for model, each in right.items():
        make_run(model, model=model, **classifier(each))
    (pairs,) = the_table(tmp_path).pairs
    assert pairs.block == 3 and "in blocks of 3 neighbours. They" in resampling_line(pairs)
    (difference,) = pairs.differences
    error = (right["gru"] * 1.0 - right["rnn"]).std() / np.sqrt(500)
    assert difference.upper - difference.lower == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_predictions_that_do_not_fit_are_left_out_by_name(
    make_run: MakeRun, classifier: Classifier, tmp_path: Path
) -> None:
    rng = np.random.default_rng(4)
    runs = {name: classifier(rng.random(60) < 0.7) for name in ("a", "b", "c", "d", "e", "f")}
    runs["b"]["predictions"]["rows"] = np.arange(1, 61)
    runs["c"]["scores"] = {"accuracy": 0.123}
    runs["d"]["predictions"] = None
    del runs["e"]["predictions"]["targets"]
    for name, run in runs.items():
        make_run(name, model=f"m{name}", **run)
    (tmp_path / "f/predictions/test.npz").write_bytes(b"PK\x03\x04 not a zip")
    make_run("g", model="mg", **classifier(rng.random(60) < 0.7))
    table = the_table(tmp_path)
    assert len(table.rows) == 7
    (pairs,) = table.pairs
    assert {label for d in pairs.differences for label in (d.better.label, d.worse.label)} == {"ma", "mg"}
    notes = {Path(note.split(":")[0]).relative_to(tmp_path).parts[0]: note for note in table.notes}
    assert set(notes) == {"b", "c", "d", "e", "f"}
    assert "predictions of other rows than most" in notes["b"]
    assert "but it reports 0.123" in notes["c"]
    assert "no such file" in notes["d"]
    assert "targets is not a file in the archive" in notes["e"]
    assert "cannot be read" in notes["f"]


def test_seeds_without_predictions_are_not_counted(make_run: MakeRun, classifier: Classifier, tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    hits = {
        (model, seed): rng.random(200) < share for model, share in {"gru": 0.9, "rnn": 0.6}.items() for seed in range(3)
    }
    for (model, seed), each in hits.items():
        make_run(f"{model}{seed}", model=model, seed=seed, **classifier(each))
    (tmp_path / "gru2/predictions/test.npz").unlink()
    (pairs,) = the_table(tmp_path).pairs
    deviations = [100 * np.std([hits[m, s].mean() for s in range(n)], ddof=1) for m, n in (("gru", 2), ("rnn", 3))]
    text = sentence(pairs.differences[0], pairs)
    assert text.endswith(f" (2 and 3 seeds, sd {deviations[0]:.1f} and {deviations[1]:.1f})")


def test_why_there_are_no_pairs(make_run: MakeRun, classifier: Classifier, tmp_path: Path) -> None:
    for model in ("gru", "rnn"):
        run = classifier(np.arange(50) % 3 > 0)
        run["scores"]["auroc"] = 0.8
        make_run(model, model=model, **run)
    table = the_table(tmp_path, "auroc")
    assert not table.pairs and "metric= may be accuracy, loss, macro_f1" in table.notes[0]
    (table,) = build_report([str(tmp_path)], split="validation").tables
    assert not table.pairs and "on test only" in table.notes[0]
