"""A run that starts from another: which weights it takes, what it refuses, and what it records."""

import csv
import json
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import seqtrain
from seqtrain.commands.check_resume import check_resume
from seqtrain.commands.evaluate import evaluate
from seqtrain.commands.session import Session, start
from seqtrain.commands.train import resume, train
from seqtrain.comparison.report import build_report
from seqtrain.config.root import Config
from seqtrain.data.base import Batch
from seqtrain.data.description import DataDescription
from seqtrain.errors import ConfigError, DataError, Interrupted, RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import read_record
from seqtrain.runs.records import Initial, Results
from seqtrain.training.checkpoint import load_checkpoint
from seqtrain.training.ranks import SOLO
from seqtrain.training.trainer import Trainer
from tests.conftest import write_reviews

Compose = Callable[..., Config]
Weights = dict[str, Tensor]

QUICK = ["device=cpu", "trainer.max_steps=2", "trainer.warmup_steps=0", "trainer.figures=false",
         "trainer.baselines=false"]  # fmt: skip
SMALL = ["model.kernel=torch", "model.hidden_size=6", "model.embedding.embed_dim=5", *QUICK]
TEXTS = ["data=text_files", "data.min_count=1", "data.vocab_size=60", *SMALL]
SERIES = ["data=sine", "data.length=400", "data.lookback=24", "data.horizon=6", "model.kernel=torch", "model.hidden_size=6",
          "model.embedding.embed_dim=5", *QUICK]  # fmt: skip


def trained(config: Config, folder: Path) -> Path:
    """A finished run in a folder."""
    train(config, RunDirectory.claim(folder, exact=True))
    return folder


def best(run: Path) -> tuple[Weights, Weights]:
    """The best weights of the model and of the head of a run."""
    directory = RunDirectory(run)
    content = load_checkpoint(directory.checkpoint_path("best"), directory.id)
    return content["model"], content["head"]


def started(config: Config, folder: Path) -> Session:
    return start(config, RunDirectory.claim(folder, exact=True), SOLO)


def same(module: torch.nn.Module, weights: Weights) -> set[str]:
    """Names of the weights that are equal bit by bit."""
    return {name for name, tensor in module.state_dict().items()
            if name in weights and torch.equal(tensor, weights[name])}  # fmt: skip


def record(run: Path) -> Initial:
    return read_record(Initial, RunDirectory(run).init_path)


@pytest.fixture(scope="module")
def classifier(composed: Compose, reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of the small reviews."""
    config = composed(*TEXTS, f"data.path={reviews}", "model=gru_attn")
    return trained(config, tmp_path_factory.mktemp("classifier") / "run")


@pytest.fixture(scope="module")
def stars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Other reviews, with other labels; 7 rows of test are in train of the small reviews."""
    folder = tmp_path_factory.mktemp("stars")
    write_reviews(folder / "other.csv", 120, seed=5)
    with (folder / "other.csv").open() as file:
        rows = [[row["text"], "five" if row["label"] == "pos" else "one"] for row in csv.DictReader(file)]
    (folder / "other.csv").unlink()
    for split, part in (("train", rows[:90]), ("test", rows[90:])):
        with (folder / f"{split}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["text", "label"], *part])
    return folder


def test_all_weights_of_the_same_classes(composed: Compose, classifier: Path, reviews: Path, tmp_path: Path) -> None:
    config = composed(*TEXTS, f"data.path={reviews}", "model=gru_attn", f"init={classifier}", "seed=1")
    session = started(config, tmp_path / "run")
    model, head = best(classifier)
    assert same(session.built.model, model) == model.keys() and same(session.built.head, head) == head.keys()
    initial = record(tmp_path / "run")
    assert initial.taken == initial.parameters == session.built.num_parameters and initial.fresh == []
    (origin,) = initial.runs
    assert (origin.option, origin.path, origin.id) == ("init", str(classifier), RunDirectory(classifier).id)
    assert (origin.data, origin.task, origin.model) == ("text_files", "classification", "gru_attn")
    assert origin.fingerprint == DataDescription.read(classifier / "data.json").fingerprint and origin.runs == []


@pytest.mark.parametrize(
    ("takes", "fresh"),
    [
        ("all", ["head"]),
        ("encoder", ["pooling", "head"]),
        ("embedding", ["encoder", "pooling", "head"]),
    ],
)
def test_another_label_set(
    composed: Compose, classifier: Path, stars: Path, tmp_path: Path, takes: str, fresh: list[str]
) -> None:
    overrides = [*TEXTS, f"data.path={stars}", "model=gru_attn", "data.vocab_size=100"]
    session = started(composed(*overrides, f"init={classifier}", f"init_takes={takes}"), tmp_path / "run")
    model, head = best(classifier)
    parts = tuple(f"{part}." for part in fresh)
    assert same(session.built.model, model) == {name for name in model if not name.startswith(parts)}
    assert not same(session.built.head, head) and record(tmp_path / "run").fresh == fresh
    assert (tmp_path / "run/tokenizer.json").read_bytes() == (classifier / "tokenizer.json").read_bytes()
    assert session.data.spec.class_names == ["five", "one"]
    assert any("data.vocab_size=100" in note for note in session.data.notes)
    plain = started(composed(*overrides), tmp_path / "plain")
    assert torch.equal(plain.built.head.weight, session.built.head.weight)  # type: ignore[arg-type]  # drawn alike


def test_several_labels_a_row(composed: Compose, classifier: Path, stars: Path, tmp_path: Path) -> None:
    config = composed(*TEXTS, f"data.path={stars}", "model=gru_attn", f"init={classifier}", "task=multilabel",
                      "data.label_separator=pipe")  # fmt: skip
    session = started(config, tmp_path / "run")
    assert record(tmp_path / "run").fresh == ["head"] and session.data.spec.vocab_size == 28


def test_tags(composed: Compose, classifier: Path, tmp_path: Path) -> None:
    (tmp_path / "tags.conll").write_text("".join(f"The D\nfilm N\nwas V\nbad{i} A\n\n" for i in range(40)))
    config = composed("data=tagging_files", f"data.path={tmp_path / 'tags.conll'}", *SMALL, "model=gru",
                      f"init={classifier}", "init_takes=encoder")  # fmt: skip
    session = started(config, tmp_path / "run")
    model, _ = best(classifier)
    names = {name for name in model if name.startswith(("embedding.", "encoder."))}
    assert same(session.built.model, model) == names
    (batch,) = session.data.eval_batches("test")
    vocabulary = {name: i for i, name in enumerate(session.data.token_names())}
    assert batch.inputs[0].tolist() == [vocabulary["the"], vocabulary["film"], vocabulary["was"], 1]


def test_a_run_is_trained_resumed_scored_and_compared(
    composed: Compose, classifier: Path, stars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = tmp_path / "origin"
    shutil.copytree(classifier, origin)
    config = composed(*TEXTS, f"data.path={stars}", "model=gru_attn", f"init={origin}", "trainer.max_steps=4",
                      "trainer.eval_every=2")  # fmt: skip
    whole = trained(config, tmp_path / "whole")
    stopped = RunDirectory.claim(tmp_path / "stopped", exact=True)
    step = Trainer.train_step

    def stop(self: Trainer, group: Sequence[Batch]) -> None:
        if self.progress.step == 2:  # after an evaluation, which saves
            raise Interrupted(signal.SIGTERM)
        step(self, group)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_step", stop)
        with pytest.raises(Interrupted):
            train(config, stopped)
    shutil.rmtree(origin)
    resume(config, config, stopped)
    for one, other in zip(best(whole), best(stopped.path), strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert Results.read(stopped.results_path).remarks["init"].startswith("776 of 802 parameters from gru_attn")
    assert seqtrain.load(whole, device="cpu").predict(["a great film"])[0] in ("five", "one")
    scores = evaluate(config, config, stopped)
    assert scores["accuracy"] == Results.read(stopped.results_path).scores["gru_attn"]["test"]["accuracy"]
    plain = trained(composed(*TEXTS, f"data.path={stars}", "model=gru_attn", "trainer.max_steps=4",
                             "trainer.eval_every=2", "data.vocab_size=30"), tmp_path / "plain")  # fmt: skip
    report = build_report([str(whole), str(plain)])
    labels = {row.name for table in report.tables for row in table.rows}
    assert labels == {f"vocab_size=60 init=origin:{RunDirectory(classifier).id[:8]}", "vocab_size=30 init=null"}
