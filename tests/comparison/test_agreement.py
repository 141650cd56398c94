"""The agreement of attention between seeds: against definitions, by hand, and in the report."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from seqtrain.comparison.agreement import AGREEMENT, agreement, rank_correlation
from seqtrain.comparison.page import page
from seqtrain.comparison.report import Table, build_report
from seqtrain.comparison.text import markdown, terminal
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.explanation import Explanation, Interval, MethodScores
from seqtrain.runs.json_files import write_json

MakeRun = Callable[..., Path]


def test_equals_their_definitions() -> None:
    """Entropy of the mean less the mean of the entropies, and Pearson's correlation of mean ranks."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        p, q = rng.dirichlet(np.full(9, 0.3), 2).round(3)  # with zeros and equal weights
        a, b = p / p.sum(), q / q.sum()
        divergence = entropy((a + b) / 2, base=2) - (entropy(a, base=2) + entropy(b, base=2)) / 2
        assert agreement(p, q) == pytest.approx(1 - divergence)
        assert agreement(p, q) == pytest.approx(1 - jensenshannon(p, q, base=2) ** 2)
        assert agreement(p, 3.7 * p) == pytest.approx(1)
        ranks = [((x[:, None] > x).sum(1) + (x[:, None] >= x).sum(1) + 1) / 2 for x in (p, q)]
        assert rank_correlation(p, q) == pytest.approx(np.corrcoef(*ranks)[0, 1])


def test_by_hand() -> None:
    assert agreement(np.array([0.0, 1.0]), np.array([1.0, 0.0])) == 0
    assert agreement(np.array([0.2, 0.8]), np.array([0.1, 0.4])) == pytest.approx(1)
    assert rank_correlation(np.array([0.1, 0.2, 0.7]), np.array([0.3, 0.33, 0.37])) == pytest.approx(1)
    assert rank_correlation(np.array([0.5, 0.5]), np.array([0.3, 0.7])) is None


def explained(run: Path, **attention: Any) -> None:
    """Write an explanation of a run."""
    directory = RunDirectory(run)
    some = Interval(0.1, 0.0, 0.2)
    scores = MethodScores(some, some, some, some, [0.5], [0.5], [0.5])
    step = directory.status.best["step"]
    assert step is not None
    about: dict[str, Any] = {"step": int(step), "split": "test", "rows": 2, "removal": "delete", "score": "p"}
    found = Explanation(**about, whole=0.9, fractions=[0.5], methods={"attention": scores}, **attention)
    write_json(directory.explanation_path, asdict(found))


def table_of(folder: Path) -> Table:
    (table,) = build_report([str(folder)]).tables
    return table


def test_table_of_seeds(make_run: MakeRun, tmp_path: Path) -> None:
    """Of three seeds two agree, on both rows; of the other configuration there is one run."""
    first, second, third, alone = (
        make_run(name, model=model, seed=seed)
        for name, model, seed in (("a", "gru", 0), ("b", "gru", 1), ("c", "gru", 2), ("d", "lstm", 0))
    )
    for run in (first, second, alone):
        explained(run, numbers=[3, 8], attention=[[0.25, 0.75, 0.0], [1.0]])
    explained(third, numbers=[3, 8], attention=[[0.0, 0.0, 1.0], [1.0]])
    table = table_of(tmp_path)
    header, cells = table.agreement
    assert header[1:] == ["runs", "rows", "agreement", "rank correlation"]
    # The ranks 2, 3, 1 and 1.5, 1.5, 3 correlate by -sqrt(3) / 2. Rows of one step do not count.
    assert cells == ["gru", "3", "2", "0.333", f"{(1 - 2 * 3**0.5 / 2) / 3:.3f}"]
    report = build_report([str(tmp_path)])
    assert AGREEMENT in terminal(report) and "rank correlation" in markdown(report)
    assert AGREEMENT in page(report, [str(tmp_path)], tmp_path)


@pytest.mark.parametrize(
    "other",
    [
        {},  # of an earlier version
        {"numbers": [3, 9], "attention": [[0.5, 0.5], [1.0]]},
        {"numbers": [3, 8], "attention": [[0.5, 0.5, 0.0], [1.0]]},
        {"numbers": [3, 8], "attention": [[0.0, 0.0], [1.0]]},
        {"numbers": [3, 8], "attention": [[0.5, 0.5]]},
    ],
)
def test_attention_of_other_rows_is_not_compared(make_run: MakeRun, tmp_path: Path, other: dict[str, Any]) -> None:
    explained(make_run("a", seed=0), numbers=[3, 8], attention=[[0.5, 0.5], [1.0]])
    explained(make_run("b", seed=1), **other)
    table = table_of(tmp_path)
    assert not table.agreement
    assert table.notes[-1] == "gru: no agreement of attention: run seqtrain explain again, on the same rows"
