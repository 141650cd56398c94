"""The table at the end of a run, and what it says of the baselines."""

from typing import Any

import numpy as np
import pytest

from seqtrain.commands.final_table import final_table
from seqtrain.comparison.baselines import against_baselines
from seqtrain.runs.records import Results


def results(**changes: Any) -> Results:
    def both(**scores: float) -> dict[str, dict[str, float]]:
        return {"validation": scores, "test": {name: value + 0.01 for name, value in scores.items()}}

    base: dict[str, Any] = {
        "model": "gru", "parameters": 9, "monitor": "accuracy", "maximize": True, "best_step": 7,
        "shown": ["loss", "accuracy", "macro_f1", "auroc", "calibration_error"],
        "directions": {"loss": False, "accuracy": True, "macro_f1": True, "auroc": True, "calibration_error": False},
        "scores": {
            "gru": both(loss=0.31, accuracy=0.9, macro_f1=0.89, auroc=0.95, calibration_error=0.04),
            "majority class": both(accuracy=0.5, macro_f1=0.33, calibration_error=0.0),
            "NB-weighted 1-2-gram logistic regression": both(accuracy=0.92, macro_f1=0.92, auroc=0.97),
        },
    }  # fmt: skip
    return Results(**base | changes)


@pytest.mark.parametrize("width", [60, 72, 80, 100, 160])
def test_it_fits_the_width(width: int) -> None:
    lines = final_table(results(scoring="word " * 30), width).splitlines()
    assert max(map(len, lines)) <= width
    assert "accuracy" in lines[0] and "val" in lines[1] and "test" in lines[1], "the monitored metric is always there"


def test_the_terminal_sets_the_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    assert max(map(len, final_table(results()).splitlines())) <= 70


def test_columns_and_marks() -> None:
    header, splits, gru, majority, regression, legend, *_ = final_table(results(), 100).splitlines()
    assert header.split() == ["accuracy", "loss", "macro_f1"], "the monitored metric first, then those that have room"
    assert gru.split() == ["gru", "0.9000", "0.9100", "0.3100*", "0.3200*", "0.8900", "0.9000"]
    assert majority.split()[2:] == ["0.5000", "0.5100", "-", "-", "0.3300", "0.3400"]
    assert regression.split()[-6:] == ["0.9200*", "0.9300*", "-", "-", "0.9200*", "0.9300*"]
    assert legend == "* the best of its column; results.json has all metrics"
    alone = results(scores={"gru": results().scores["gru"]})
    assert "*" not in final_table(alone, 100)


def test_the_verdict_follows_the_intervals() -> None:
    intervals = {"a": [0.1, 0.3], "b": [-0.1, 0.2], "c": [-0.3, -0.1], "d": [0.01, 0.2], "e": [0.2, 0.3]}
    text = final_table(results(against_baselines=intervals), 200).splitlines()[-1]
    said = "gru on test accuracy: beats a, d and e; no clear difference from b; does not beat c"
    assert text == f"{said} (paired 95 % intervals)"
    for nothing in (results(), results(against_baselines={})):
        assert "beat" not in final_table(nothing, 100) and "difference" not in final_table(nothing, 100)


def test_intervals_of_a_clear_and_an_unclear_difference() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, 400)

    def right(share: float, seed: int) -> dict[str, Any]:
        hits = np.random.default_rng(seed).random(400) < share
        return {"probabilities": np.eye(2)[np.where(hits, targets, 1 - targets)], "targets": targets}

    model = right(0.8, 1)
    others = {"worse": right(0.6, 2), "alike": right(0.8, 3), "better": right(0.95, 4), "bare": {}}
    others["of other rows"] = others["worse"] | {"targets": 1 - targets}
    others["shorter"] = {"probabilities": model["probabilities"][1:]} | {"targets": targets[1:]}
    found = against_baselines("classification", "accuracy", True, model, others, {})
    assert list(found) == ["worse", "alike", "better"], "no interval without scores of the same rows"
    assert found["worse"][0] > 0 and found["better"][1] < 0 and found["alike"][0] < 0 < found["alike"][1]
    accuracies = [np.mean(each["probabilities"].argmax(1) == targets) for each in (model, others["worse"])]
    difference = accuracies[0] - accuracies[1]
    assert found["worse"][0] < difference < found["worse"][1]
    loss = against_baselines("classification", "loss", False, model, {"worse": others["worse"]}, {})
    assert 0 < loss["worse"][0] < loss["worse"][1]
    assert against_baselines("of a plugin", "score", True, model, others, {}) == {}
