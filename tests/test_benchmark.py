"""scripts/benchmark through its command line, on the embedded texts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "benchmark"


@pytest.mark.slow
def test_contestants_are_alike_and_all_are_timed(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "docstrings-gru", "processes-docstrings", "--steps", "2", "--repeats", "2"]
    result = subprocess.run([*command, "--threads", "1", "--out", str(tmp_path)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout == (tmp_path / "table.md").read_text()
    cases = json.loads((tmp_path / "times.json").read_text())["cases"]
    classifiers, processes = cases["docstrings-gru, cpu"], cases["processes-docstrings, cpu"]
    assert {"seqtrain", "PyTorch, padded, bucketed", "PyTorch, packed, shuffled"} <= classifiers.keys()
    assert len({times["parameters"] for times in classifiers.values()}) == 1
    for times in classifiers.values():
        assert len(times["seconds"]) == 2 and min(times["seconds"]) > 0
        assert [work["steps"] for work in times["work"]] == [2, 2]
        assert all(0 < work["tokens"] <= work["places"] for work in times["work"])
    # Two processes share the very batches that one has.
    assert processes["2 processes of 1 thread"]["work"] == processes["1 process of 1 thread"]["work"]
    assert (tmp_path / "plot.png").stat().st_size > 0


def test_wrong_arguments_are_named() -> None:
    for arguments, message in (
        (["imdb"], "imdb: no such case; known: limits, "),
        (["etth1", "--steps", "0"], "at least 1"),
    ):
        result = subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True)
        assert result.returncode == 2 and message in result.stderr
