"""Forecasting through the real command line."""

import csv
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[bytes]]

SMALL = [
    "data=series_files", "model=nlinear", "data.lookback=24", "data.horizon=6", "device=cpu", "trainer.lr=0.01",
    "trainer.epochs=10", "trainer.figures=false",
]  # fmt: skip


def hours(count: int) -> str:
    """A csv file of a sine around 50."""
    first = datetime(2020, 1, 1)
    rows = (f"{first + timedelta(hours=t)},{50 + 10 * math.sin(math.pi / 12 * t)}" for t in range(count))
    return "\n".join(["date,load", *rows, ""])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands run: hours.csv, and a run on it in ``run``."""
    folder = tmp_path_factory.mktemp("forecasting")
    (folder / "hours.csv").write_text(hours(600))
    result = run_in(folder)(*SMALL, "data.path=hours.csv", "hydra.run.dir=run")
    assert result.returncode == 0, result.stderr.decode()
    assert b"seasonal naive (24 steps)" in result.stdout and b"beats last value" in result.stdout
    return folder


def run_in(folder: Path) -> Run:
    """Run the command in a folder."""

    def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        environment = {k: v for k, v in os.environ.items() if k != "HYDRA_FULL_ERROR"} | {"PYTHONIOENCODING": "utf-8"}
        command = [sys.executable, "-m", "seqtrain", *arguments]
        return subprocess.run(command, cwd=folder, input=stdin, capture_output=True, timeout=120, env=environment)

    return run


@pytest.fixture
def seqtrain(folder: Path) -> Run:
    return run_in(folder)


def fails(result: subprocess.CompletedProcess[bytes], *parts: str) -> None:
    """Exit code 1 and one line on stderr that has all parts."""
    assert result.returncode == 1, result.stderr.decode()
    lines = result.stderr.decode().strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("seqtrain: error: "), result.stderr.decode()
    for part in parts:
        assert part in lines[0], lines[0]


def test_predict_goes_on_where_the_file_ends(seqtrain: Run, folder: Path) -> None:
    result = seqtrain("predict", "run=run", "input=hours.csv", "output=forecast.csv")
    assert result.returncode == 0, result.stderr.decode()
    with (folder / "forecast.csv").open() as file:
        rows = list(csv.DictReader(file))
    expected = list(csv.DictReader(hours(606).splitlines()))[-6:]
    assert [row["date"] for row in rows] == [row["date"] for row in expected]
    assert all(abs(float(a["load"]) - float(b["load"])) < 1 for a, b in zip(rows, expected, strict=True))
    piped = seqtrain("predict", "run=run", "input=-", stdin=(folder / "hours.csv").read_bytes())
    assert piped.returncode == 0, piped.stderr.decode()
    lines = [json.loads(line) for line in piped.stdout.splitlines()]
    assert [str(line["load"]) for line in lines] == [row["load"] for row in rows]


def test_backtest_rolls_over_the_split(seqtrain: Run, folder: Path) -> None:
    scores = json.loads(seqtrain("eval", "run=run").stdout)
    result = seqtrain("backtest", "run=run", "output=rows.csv")
    assert result.returncode == 0, result.stderr.decode()
    summary = json.loads(result.stdout)
    assert summary.pop("origins") == scores.pop("size") == 115 and summary.pop("stride") == 1 and summary == scores
    assert len((folder / "rows.csv").read_text().splitlines()) == 1 + 115 * 6
    result = seqtrain("backtest", "run=run", "split=validation", "stride=10", "data.path=hours.csv")
    fails(result, "split=validation: must be one of test")


def test_wrong_histories(seqtrain: Run) -> None:
    def history(text: str) -> subprocess.CompletedProcess[bytes]:
        return seqtrain("predict", "run=run", "input=-", stdin=text.encode())

    fails(history(hours(10)), "input=-: has 10 rows", "data.lookback=24")
    fails(history(hours(99).replace("date", "when")), "input=-: has no column 'date' (data.time_column)", "when")
    fails(history(hours(99).replace("02 00:00:00", "02 00:30:00")), "input=-: 2020-01-02 00:30", "the frequency is h")
    fails(seqtrain("backtest", "run=run", "stride=two"), "stride=two: must be a whole number")
