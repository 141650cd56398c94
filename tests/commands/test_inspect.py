"""The page on the errors of a run, by the real command, against the stored predictions."""

import csv
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from seqtrain.commands.inspect import inspect
from seqtrain.commands.train import train
from seqtrain.config.root import Config
from seqtrain.errors import RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import write_json
from seqtrain.runs.records import HealthRecord
from seqtrain.tasks.classification import inspect as sections
from seqtrain.tasks.forecasting.task import Forecasting
from tests.conftest import write_reviews
from tests.html_page import Page, stands_alone

Compose = Callable[..., Config]
Run = Callable[..., subprocess.CompletedProcess[str]]


def same_predictions(page: Page, run: Path, split: str) -> np.ndarray:
    """Wrong rows of the stored predictions; checks that the summary has their number."""
    with np.load(run / f"predictions/{split}.npz") as outputs:
        wrong: np.ndarray = outputs["probabilities"].argmax(1) != outputs["targets"]
    assert f"{wrong.sum()} of {len(wrong)} rows of {split} are wrong: {100 * wrong.mean():.1f} %" in page.text
    return wrong


def finished(config: Config, path: Path) -> Path:
    run = RunDirectory.claim(path, exact=True)
    with run.recording_outcome():
        train(config, run)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, small: Compose, composed: Compose) -> Path:
    """Two runs on reviews, and one on a series."""
    folder = tmp_path_factory.mktemp("inspect")
    (folder / "reviews").mkdir()
    write_reviews(folder / "reviews/train.csv", 120, seed=1)
    write_reviews(folder / "reviews/test.csv", 60, seed=2)
    for name, model in (("attention", "gru_attn"), ("plain", "rnn")):
        options = [f"data.path={folder / 'reviews'}", "trainer.max_steps=20", f"model={model}"]
        finished(small(*options), folder / name)
    sizes = ["data.length=400", "data.lookback=24", "data.horizon=6", "trainer.max_steps=5", "trainer.figures=false"]
    finished(composed("data=sine", "model=nlinear", *sizes, "device=cpu"), folder / "sine")
    return folder


@pytest.fixture
def without_cleanlab(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the extra is not installed; its import takes seconds."""

    def suspects(*arguments: object) -> None:
        raise RunError("label-errors: needs the package cleanlab, which is not installed")

    monkeypatch.setattr(sections, "suspects", suspects)


def page_of(path: Path) -> Page:
    text = path.read_text()
    assert stands_alone(text) and 'name="viewport"' in text and "prefers-color-scheme: dark" in text
    return Page.of(text)


def test_classifier(folder: Path, run_in: Callable[[Path], Run]) -> None:
    done = run_in(folder)("inspect", "attention")
    assert done.returncode == 0 and not done.stdout, done.stderr
    path = folder / "attention/errors-test.html"
    assert "errors-test.html: written" in done.stderr
    page = page_of(path)
    wrong = same_predictions(page, folder / "attention", "test")
    assert "Errors of gru_attn on text_files, test" in page.text and page.links == ["."]
    assert "seqtrain " in page.text
    with np.load(folder / "attention/predictions/test.npz") as outputs:
        probabilities, targets, rows = (outputs[name] for name in ("probabilities", "targets", "rows"))
    with (folder / "reviews/test.csv").open() as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    first = np.flatnonzero(wrong)[probabilities[wrong].max(1).argmax()]
    card = page.cards["Most confident errors"][0]
    names = ("neg", "pos")
    assert card.startswith(f"{names[targets[first]]} taken for {names[1 - targets[first]]} with probability")
    assert f"row {rows[first]}" in card and texts[rows[first]] in card
    by_class = {row[0]: row for row in page.table("Error by class")}
    for number, name in enumerate(names):
        of = targets == number
        assert by_class[name][2:4] == [str(of.sum()), str((wrong & of).sum())]
    confused = {(row[0], row[1]): row[2] for row in page.table("Confusions")}
    assert confused.get(("pos", "neg"), "0") == str((wrong & (targets == 1)).sum())
    lengths = page.table("By length")
    assert sum(int(row[1]) for row in lengths) == 60 and sum(int(row[2]) for row in lengths) == wrong.sum()
    hardest = page.table("Hardest: the largest loss")[0]
    losses = -np.log(probabilities[np.arange(60), targets])
    assert hardest[0] == str(rows[losses.argmax()]) and hardest[3].startswith(texts[rows[losses.argmax()]][:40])
    assert "background:rgba(217,122,7," in path.read_text()
    assert "Labels that may be wrong" in page.text and "to look for changes" in page.text.lower()


@pytest.mark.usefixtures("without_cleanlab")
def test_two_runs_on_validation(folder: Path) -> None:
    runs = [str(folder / name) for name in ("attention", "plain")]
    page = page_of(inspect(runs, split="validation", output=str(folder / "two.html")))
    assert "cleanlab, which is not installed" in page.text and "data.folds=5" in page.text
    assert page.links == ["attention", "plain"]
    ours = same_predictions(page, folder / "attention", "validation")
    with np.load(folder / "plain/predictions/validation.npz") as outputs:
        theirs = outputs["probabilities"].argmax(1) != outputs["targets"]
        targets = outputs["targets"]
    only = (theirs & ~ours).sum(), (ours & ~theirs).sum(), (ours & theirs).sum()
    assert f"{only[0]} rows only gru_attn has right, {only[1]} only rnn; {only[2]} both have wrong." in page.text
    for true, predicted, first, second, *_ in page.table("Confusions that differ"):
        of = targets == ("neg", "pos").index(true)
        assert true != predicted and [int(first), int(second)] == [(each & of).sum() for each in (ours, theirs)]
    assert len(page.table("Classes that differ")) == 2
    assert len(page.cards.get("Right by gru_attn only", [])) == min(5, only[0])


def test_forecaster(folder: Path, run_in: Callable[[Path], Run]) -> None:
    done = run_in(folder)("inspect", "sine")
    assert done.returncode == 0, done.stderr
    page = page_of(folder / "sine/errors-test.html")
    with np.load(folder / "sine/predictions/test.npz") as outputs:
        mse = outputs["squared_errors"].sum() / outputs["observed"].sum()
        worst = (outputs["squared_errors"] / outputs["observed"]).max()
    assert f"windows of test, mse {mse:.4g}:" in page.text
    assert page.tags.count("svg") == 8  # six windows, by step, over time
    assert float(re.findall(r"mse of the window ([\d.e-]+)", page.text)[0]) == pytest.approx(worst, rel=1e-3)
    steps = page.table("Error by step of the horizon")
    assert [row[0] for row in steps] == list("123456")
    assert np.mean([float(row[2]) for row in steps]) == pytest.approx(mse, rel=1e-3)


@pytest.mark.usefixtures("without_cleanlab")
def test_a_source_that_is_gone_or_changed(folder: Path, tmp_path: Path) -> None:
    """The page says so, and has what the predictions tell."""
    source, output = folder / "reviews/test.csv", str(tmp_path / "page.html")
    content = source.read_text()
    try:
        write_reviews(source, 60, seed=3)
        changed = page_of(inspect([str(folder / "attention")], output=output))
        source.unlink()
        (folder / "reviews").rename(folder / "elsewhere")
        gone = page_of(inspect([str(folder / "attention")], output=output))
    finally:
        (folder / "elsewhere").rename(folder / "reviews")
        source.write_text(content)
    assert "the source of the data has changed since the run, and is not read" in changed.text
    assert "the source of the data cannot be read: " in gone.text
    for page in (changed, gone):
        same_predictions(page, folder / "attention", "test")
        assert "By length" not in page.tables and "row " in page.cards["Most confident errors"][0]


@pytest.mark.usefixtures("without_cleanlab")
def test_what_the_health_panel_said_is_there(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "plain", tmp_path / "plain")
    findings = {"forgets": "the recurrence forgets after 12 steps", "clips": "99 % of the steps were clipped"}
    record = HealthRecord(3, {"probe/memory/recurrence/encoder1": 12.5}, findings)
    write_json(RunDirectory(tmp_path / "plain").health_path, asdict(record))
    text = inspect([str(tmp_path / "plain")]).read_text()
    assert Page.of(text).table("Health") == [["probe/memory/recurrence/encoder1", "12.5"]]
    assert "<li>the recurrence forgets after 12 steps</li><li>99 % of the steps were clipped</li>" in text


def test_a_task_without_a_page_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of a plugin may be."""
    monkeypatch.setattr(Forecasting, "inspector", None)
    with pytest.raises(RunError, match="inspect has no page for task forecasting; it has one for classification, l"):
        inspect([str(folder / "sine")])


def test_refusals(folder: Path, run_in: Callable[[Path], Run], fails: Callable[..., None]) -> None:
    seqtrain = run_in(folder)
    fails(seqtrain("inspect"), "inspect: name at least one run")
    fails(seqtrain("inspect", "none"), ": error: none: no such directory")
    fails(seqtrain("inspect", "reviews"), ": error: reviews: is not the directory of a run")
    fails(seqtrain("inspect", "plain", "attention", "sine"), "takes one run or two, and 3 are named")
    fails(seqtrain("inspect", "plain", "sine"), "sine: differs from plain in data")
    fails(seqtrain("inspect", "plain", "split=train"), "split=train: must be one of test, validation")
    fails(seqtrain("inspect", "plain", "output=page.txt"), "output=page.txt: must end in .html")
    fails(seqtrain("inspect", "plain", "output=none/page.html"), "its folder does not exist")
    fails(seqtrain("inspect", "plain", "format=html"), "format=html: expected a run, split= or output=")
