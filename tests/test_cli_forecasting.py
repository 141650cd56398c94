"""Forecasting through the real command line."""

import csv
import json
import math
import shutil
import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

Result = subprocess.CompletedProcess[str]
Run = Callable[..., Result]
Fails = Callable[..., None]

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
def folder(tmp_path_factory: pytest.TempPathFactory, run_in: Callable[[Path], Run]) -> Path:
    """Where the commands run: hours.csv, and a run on it in ``run``."""
    folder = tmp_path_factory.mktemp("forecasting")
    (folder / "hours.csv").write_text(hours(600))
    result = run_in(folder)(*SMALL, "data.path=hours.csv", "task.conformal=0.9", "hydra.run.dir=run")
    assert result.returncode == 0, result.stderr
    assert "seasonal naive (24 steps)" in result.stdout and "beats last value" in result.stdout
    assert "conformal: intervals of level 0.9, from 55 windows of validation" in result.stdout
    return folder


@pytest.fixture
def seqtrain(folder: Path, run_in: Callable[[Path], Run]) -> Run:
    return run_in(folder)


def test_predict_goes_on_where_the_file_ends(seqtrain: Run, folder: Path) -> None:
    result = seqtrain("predict", "run=run", "input=hours.csv", "output=forecast.csv")
    assert result.returncode == 0, result.stderr
    with (folder / "forecast.csv").open() as file:
        rows = list(csv.DictReader(file))
    expected = list(csv.DictReader(hours(606).splitlines()))[-6:]
    assert [row["date"] for row in rows] == [row["date"] for row in expected]
    assert all(abs(float(a["load"]) - float(b["load"])) < 1 for a, b in zip(rows, expected, strict=True))
    assert all(float(row["load_lower"]) < float(row["load"]) < float(row["load_upper"]) for row in rows)
    piped = seqtrain("predict", "run=run", "input=-", stdin=(folder / "hours.csv").read_text())
    assert piped.returncode == 0, piped.stderr
    lines = [json.loads(line) for line in piped.stdout.splitlines()]
    assert [str(line["load"]) for line in lines] == [row["load"] for row in rows]


def test_backtest_rolls_over_the_split(seqtrain: Run, fails: Fails, folder: Path) -> None:
    scores = json.loads(seqtrain("eval", "run=run").stdout)
    assert scores["conformal"] == "intervals of level 0.9, from 55 windows of validation"
    assert 0.5 < scores["conformal_coverage"] <= 1 and scores["conformal_width"] > 0
    result = seqtrain("backtest", "run=run", "output=rows.csv")
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout)
    assert summary.pop("origins") == scores.pop("size") == 115 and summary.pop("stride") == 1 and summary == scores
    assert len((folder / "rows.csv").read_text().splitlines()) == 1 + 115 * 6
    result = seqtrain("backtest", "run=run", "split=validation", "stride=10", "data.path=hours.csv")
    fails(result, "split=validation: must be one of test")


def test_lost_intervals_are_calibrated_anew(seqtrain: Run, fails: Fails, folder: Path) -> None:
    shutil.copytree(folder / "run", folder / "copy")
    (folder / "copy/conformal.json").unlink()
    fails(seqtrain("predict", "run=copy", "input=hours.csv"), "conformal.json: is missing", "seqtrain resume=copy")
    assert seqtrain("resume=copy", "trainer.baselines=false", "data.eval_batch_size=4").returncode == 0
    assert (folder / "copy/conformal.json").read_text() == (folder / "run/conformal.json").read_text()


def test_wrong_histories(seqtrain: Run, fails: Fails) -> None:
    def history(text: str) -> Result:
        return seqtrain("predict", "run=run", "input=-", stdin=text)

    fails(history(hours(10)), "input=-: has 10 rows", "data.lookback=24")
    fails(history(hours(99).replace("date", "when")), "input=-: has no column 'date' (data.time_column)", "when")
    fails(
        history(hours(99).replace("02 00:00:00", "02 00:30:00")),
        "input=-: line 26: 2020-01-02 00:30",
        "the frequency is h (of the run)",
    )
    fails(seqtrain("backtest", "run=run", "stride=two"), "stride=two: must be a whole number")


REFUSED = {
    "a series shorter than a window": (
        [hours(40)], ["train has 28 rows", "data.lookback=24 + data.horizon=6 need 30", "lower one of them"],
    ),
    "a test range without a window": (
        [hours(600), "data.test_size=4"], ["test has 4 rows", "data.horizon=6 must lie in it", "data.test_size"],
    ),
    "a variable that is unknown in train": (
        [hours(600).replace("\n", ",\n").replace("load,", "load,flat"), "data.missing=mask",
         "data.targets=[load,flat]"],
        ["variable 'flat': has no known value in any row of train", "data.targets", "data.scaler=none"],
    ),
    "a column that is no number": (
        [hours(600).replace("\n", ",here\n").replace("load,here", "load,place"), "data.targets=[load,place]"],
        ["file.csv: line 2: column 'place': 'here' is not a finite number", "data.targets"],
    ),
    "a value that is no number": (
        [hours(600).replace("01 06:00:00,60.0", "01 06:00:00,60 kW")],
        ["file.csv: line 8: column 'load': '60 kW' is not a finite number (1 in all)"],
    ),
    "a value that is missing": (
        [hours(600).replace("01 06:00:00,60.0", "01 06:00:00,")],
        ["file.csv: line 8: 1 values are missing, the first one of 'load' at 2020-01-01", "data.missing=interpolate"],
    ),
    "a date that is none": (
        [hours(600).replace("2020-01-01 07:00:00", "soon")],
        ["file.csv: line 9: column 'date' (data.time_column): 'soon' cannot be read as a time", "2016-07-31 23:00"],
    ),
    "dates that are none": (
        [hours(600).replace("2020", "year")], ["'year-01-01 00:00:00' cannot be read as a time (600 in all)"],
    ),
    "a target that the file lacks": (
        [hours(600), "data.targets=[laod]"], ["has no column 'laod' (data.targets)", "did you mean load?"],
    ),
    "no horizon": ([hours(600), "data.horizon=0"], ["data.horizon=0: must be at least 1"]),
    "no lookback": ([hours(600), "data.lookback=-1"], ["data.lookback=-1: must be at least 1"]),
    "too few windows for the level": (
        [hours(600), "task.conformal=0.999"],
        ["task.conformal=0.999: needs 999 windows of validation, which has 55", "at most 0.9821"],
    ),
    "a level that is none": ([hours(600), "task.conformal=90"], ["task.conformal=90.0: must be above 0 and below 1"]),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_one_line(tmp_path: Path, run_in: Callable[[Path], Run], fails: Fails, name: str) -> None:
    (text, *options), parts = REFUSED[name]
    (tmp_path / "file.csv").write_text(text)
    fails(run_in(tmp_path)(*SMALL, "data.path=file.csv", "hydra.run.dir=run", *options), *parts)
    assert not (tmp_path / "run/metrics.jsonl").exists(), "an error before training"
