"""Two runs of November 2026, in ``tests/stored_runs``: later code evaluates, compares and resumes them."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from seqtrain.runs.json_files import read_json

Run = Callable[..., subprocess.CompletedProcess[str]]
STORED = Path(__file__).parent / "stored_runs"
HOME = "/home/someone/experiments"
"""Where their data was, by their configurations."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of all, since resuming writes, that finds its data in itself."""
    folder = shutil.copytree(STORED, tmp_path / "stored")
    for path in folder.glob("*/config.yaml"):
        path.write_text(path.read_text().replace(HOME, str(folder)))
    return folder


@pytest.mark.parametrize("name", ["classifier", "forecaster"])
def test_evaluated_and_resumed(folder: Path, run_in: Callable[[Path], Run], name: str) -> None:
    seqtrain = run_in(folder)
    model = read_json(folder / name / "results.json")["model"]
    stored = read_json(folder / name / "results.json")["scores"][model]["test"]
    result = seqtrain("eval", f"run={name}")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert {metric: found[metric] for metric in stored} == pytest.approx(stored, rel=1e-4, abs=1e-6)

    if name == "classifier":  # a forecaster's intervals are calibrated anew
        result = seqtrain(f"resume={name}")
        assert "already finished" in result.stderr and model in result.stdout, result.stderr
    result = seqtrain(f"resume={name}", "trainer.checkpoint_seconds=59")
    assert result.returncode == 0 and "resuming from step 20" in result.stderr, result.stderr
    again = read_json(folder / name / "results.json")["scores"][model]["test"]
    assert again == pytest.approx(stored, rel=1e-4, abs=1e-6)


def test_compared(folder: Path, run_in: Callable[[Path], Run]) -> None:
    result = run_in(folder)("compare", "classifier", "forecaster")
    assert result.returncode == 0, result.stderr
    assert "gru_attn" in result.stdout and "nlinear" in result.stdout
