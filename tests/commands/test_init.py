"""A run that starts from another: which weights it takes, what it refuses, and what it records."""

import csv
import json
import random
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
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
SERIES = ["model=gru", "data=sine", "data.length=400", "data.lookback=24", "data.horizon=6", *SMALL]
DOCUMENTS = ["data=text_documents", "model=gru", "data.min_count=1", "data.vocab_size=60", "data.batch_size=4",
             "data.bptt_len=16", "data.validation_size=0.1", *SMALL]  # fmt: skip
CORPUS = ["data=text_corpus", "model=lstm", "data.tokenizer=word", "data.batch_size=2", "data.bptt_len=8", *SMALL]


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
    config = composed("model=gru_attn", *TEXTS, f"data.path={reviews}")
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
    config = composed("model=gru_attn", *TEXTS, f"data.path={reviews}", f"init={classifier}", "seed=1")
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
    assert seqtrain.load(whole, device="cpu").predict(["a great film"])[0].label in ("five", "one")
    scores = evaluate(config, config, stopped)
    assert scores["accuracy"] == Results.read(stopped.results_path).scores["gru_attn"]["test"]["accuracy"]
    plain = trained(composed(*TEXTS, f"data.path={stars}", "model=gru_attn", "trainer.max_steps=4",
                             "trainer.eval_every=2", "data.vocab_size=30"), tmp_path / "plain")  # fmt: skip
    report = build_report([str(whole), str(plain)])
    labels = {row.name for table in report.tables for row in table.rows}
    assert labels == {f"vocab_size=60 init=origin:{RunDirectory(classifier).id[:8]}", "vocab_size=30 init=null"}


def test_a_chain_of_runs(composed: Compose, classifier: Path, stars: Path, reviews: Path, tmp_path: Path) -> None:
    """The third run knows of the rows of the first, through the second, when the first is gone."""
    first = tmp_path / "first"
    shutil.copytree(classifier, first)
    second = trained(composed(*TEXTS, f"data.path={stars}", "model=gru_attn", f"init={first}"), tmp_path / "second")
    shutil.rmtree(first)
    again = tmp_path / "again"
    again.mkdir()
    rows = (reviews / "train.csv").read_text().splitlines()
    (again / "train.csv").write_text((stars / "train.csv").read_text())
    (again / "test.csv").write_text("\n".join([rows[0], *rows[1:6], *rows[8:10]]).replace("pos", "five").replace(
        "neg", "one"))  # fmt: skip
    config = composed(*TEXTS, f"data.path={again}", "model=gru_attn", f"init={second}")
    with pytest.raises(DataError, match=r"init=.*/second: its weights were trained on \d of 7 rows of test, and train "
                       "itself has 0: scores"):  # fmt: skip
        started(config, tmp_path / "refused")
    twice = "\n".join([rows[0], *rows[1:20], *rows[1:20]])  # so that none is in validation alone
    (again / "train.csv").write_text(twice.replace("pos", "five").replace("neg", "one"))
    started(config, tmp_path / "third")
    initial = record(tmp_path / "third")
    assert [run.id for run in initial.runs[0].runs] == [RunDirectory(classifier).id]
    assert initial.seen["test"] <= 7 and "which started from" in str(initial.runs[0])


def test_rows_that_the_weights_have_seen_are_counted(composed: Compose, stars: Path, tmp_path: Path) -> None:
    """Three rows of test are in train of the first run, in other letters and with other blanks; two in train itself."""
    texts = {
        "first": [
            "A good film",
            "a bad film",
            "so dull",
            "so fine",
            "Never again!",
            "once more",
            "why not",
            "who knows",
        ],
        "train": ["a Good  film", "a bad<br />film", "new one", "new two", "new three", "new four", "new five", "six"],
        "test": [" a good film", "A BAD FILM", "unseen", "also unseen"],
    }
    more = {"first": [], "train": [], "test": ["so dull"]}
    for counted, folder in ((False, tmp_path / "equal"), (True, tmp_path / "more")):
        folder.mkdir()
        for split, rows in texts.items():
            content = [*rows, *(more[split] if counted else [])]
            lines = [f"{row},{'a' if i % 2 else 'b'}" for i, row in enumerate(content)]
            (folder / f"{split}.csv").write_text("\n".join(["text,label", *lines]))
    sizes = ["data.validation_size=2", "data.test_size=0", "data.split_seed=1", "data.html_breaks=true"]
    whole = ["data.validation_split=validation", *sizes]
    (tmp_path / "before").mkdir()
    shutil.copy(tmp_path / "more/first.csv", tmp_path / "before/train.csv")
    (tmp_path / "before/validation.csv").write_text("text,label\nnot here,a\nnor here,b\n")
    before = trained(composed("model=gru", *TEXTS, f"data.path={tmp_path / 'before'}", *whole), tmp_path / "run")
    for name in ("equal", "more"):
        shutil.copy(tmp_path / "before/validation.csv", tmp_path / name / "validation.csv")
        (tmp_path / name / "first.csv").unlink()
    new = ["model=gru", *TEXTS, *whole, f"init={before}"]
    session = started(composed(*new, f"data.path={tmp_path / 'equal'}"), tmp_path / "new")
    assert record(tmp_path / "new").seen == {"validation": 0, "test": 2}
    notes = DataDescription.read(tmp_path / "new/data.json").notes
    assert any(note.startswith("2 of 4 rows of test are among those that the weights of init=") for note in notes)
    assert any("train itself has 2 of them" in note for note in notes) and notes == session.data.notes
    with pytest.raises(DataError, match="trained on 3 of 5 rows of test, and train itself has 2: scores would be too"):
        started(composed(*new, f"data.path={tmp_path / 'more'}"), tmp_path / "refused")


@pytest.fixture(scope="module")
def languages(composed: Compose, reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Language models of the small reviews, forwards and backwards, with one tokenizer."""
    folder = tmp_path_factory.mktemp("languages")
    (folder / "train.csv").write_text((reviews / "train.csv").read_text())
    overrides = [*DOCUMENTS, f"data.path={folder}"]
    return (trained(composed(*overrides), folder / "forward"),
            trained(composed(*overrides, "data.reverse=true"), folder / "backward"))  # fmt: skip


FIRST = "encoder.layers.0.forward_layer."


def test_a_language_model_in_each_direction(
    composed: Compose, languages: tuple[Path, Path], reviews: Path, tmp_path: Path
) -> None:
    forward, backward = (best(run)[0] for run in languages)
    overrides = ["model=gru_attn", *TEXTS, f"data.path={reviews}", f"init={languages[0]}"]
    one = started(composed(*overrides, "model.num_layers=2"), tmp_path / "one")
    weights = one.built.model.state_dict()
    taken = {"embedding.weight", *(name for name in forward if name.startswith(FIRST))}
    assert same(one.built.model, forward) & set(weights) == taken
    assert record(tmp_path / "one").fresh == ["encoder.layers.0.backward_layer", "encoder.layers.1", "pooling", "head"]
    both = started(composed(*overrides, f"init_backward={languages[1]}"), tmp_path / "both")
    assert same(both.built.model, forward) == taken
    turned = {name.replace("forward_layer", "backward_layer"): tensor for name, tensor in backward.items()}
    assert same(both.built.model, turned) == {n.replace("forward", "backward") for n in taken if n.startswith(FIRST)}
    initial = record(tmp_path / "both")
    assert [run.option for run in initial.runs] == ["init", "init_backward"] and initial.fresh == ["pooling", "head"]
    assert (tmp_path / "both/tokenizer.json").read_bytes() == (languages[0] / "tokenizer.json").read_bytes()
    single = started(composed(*overrides, "model.bidirectional=false", "model.pooling=last"), tmp_path / "single")
    assert same(single.built.model, forward) == forward.keys()
    assert record(tmp_path / "single").fresh == ["head"]


def test_a_language_model_on_another_text(composed: Compose, tmp_path: Path) -> None:
    """The vocabulary is that of the first text, and so is the softmax, whose rows are the vectors."""
    rng = random.Random(0)
    paths = []
    for name, words in (("one", "the owl sat in a tall old tree"), ("two", "the tree fell on an owl by night")):
        paths.append(tmp_path / f"{name}.txt")
        paths[-1].write_text("rare\n" + "\n".join(" ".join(rng.choices(words.split(), k=8)) for _ in range(200)))
    first = trained(composed(*CORPUS, "data.min_count=2", f"data.path={paths[0]}"), tmp_path / "first")
    session = started(composed(*CORPUS, f"data.path={paths[1]}", f"init={first}"), tmp_path / "second")
    model, head = best(first)
    assert same(session.built.model, model) == model.keys() and same(session.built.head, head) == head.keys()
    assert session.data.token_names() == json.loads((first / "tokenizer.json").read_text())["tokens"]
    assert record(tmp_path / "second").seen == {"validation": 0, "test": 0}


def test_a_forecaster_of_another_series(composed: Compose, tmp_path: Path) -> None:
    """Of another length all is taken; with another horizon, all but the map to its steps."""
    first = trained(composed(*SERIES, "model.window.norm=revin"), tmp_path / "first")
    model, head = best(first)
    overrides = [*SERIES, "model.window.norm=revin", f"init={first}"]
    other = started(composed(*overrides, "data.length=500"), tmp_path / "other")
    assert same(other.built.model, model) == model.keys() and same(other.built.head, head) == head.keys()
    further = started(composed(*overrides, "data.horizon=12"), tmp_path / "further")
    assert same(further.built.model, model) == model.keys() and same(further.built.head, head) == {"gain", "shift"}
    assert record(tmp_path / "further").fresh == ["head.linear"]
    with pytest.raises(ConfigError, match="embedding.weight is 5 x 1, and that of this model 5 x 3; take a run whose"):
        started(composed(*overrides, "data=lorenz"), tmp_path / "refused")


def test_a_cycle_is_taken_with_the_same_period_only(composed: Compose, tmp_path: Path) -> None:
    times = pd.date_range("2020-01-01", periods=500, freq="h")
    values = np.sin(np.arange(500) * 2 * np.pi / 24) + np.random.default_rng(0).normal(0, 0.1, 500)
    pd.DataFrame({"date": times, "load": values}).to_csv(tmp_path / "hours.csv", index=False)
    pd.DataFrame({"date": pd.date_range("2020-01-01", periods=500, freq="30min"), "load": values}).to_csv(
        tmp_path / "halves.csv", index=False
    )
    base = ["model=gru", "data=series_files", "data.lookback=24", "data.horizon=6", *SMALL]
    first = trained(composed(*base, f"data.path={tmp_path / 'hours.csv'}", "model.window.cycle=24"), tmp_path / "run")
    for name, cycle, taken in (("hours", 24, True), ("hours", 48, False), ("halves", 24, False)):
        overrides = [*base, f"data.path={tmp_path / f'{name}.csv'}", f"model.window.cycle={cycle}", f"init={first}"]
        folder = tmp_path / f"{name}{cycle}"
        session = started(composed(*overrides), folder)
        assert ("cycle.values" in same(session.built.head, best(first)[1])) == taken, (name, cycle)
        assert record(folder).fresh == ([] if taken else ["head.cycle"])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("init=nowhere", "init=.*nowhere: no such directory"),
        ("init={reviews}", r"init=.*: is not the directory of a run \(no config.yaml in it\)"),
        ("init=", "init='': must be the directory of a run, or null"),
        ("init={classifier} model=lstm", "model.cell=lstm: init=.*/run has gru; set it to this, or init_takes=emb"),
        (
            "init={classifier} model=self_attn model.embedding.embed_dim=8",
            "is of kind self_attention, and init=.*recur",
        ),
        ("init={classifier} model.hidden_size=8", r"model.hidden_size=8: the weights of .* set model.hidden_size=6$"),
        ("init={classifier} model.embedding.embed_dim=4", "set model.embedding.embed_dim=5$"),
        (
            "init={classifier} data=text_corpus",
            "has a tokenizer of labelled texts, and data=text_corpus needs",
        ),
        (
            "init={classifier} data=sine",
            "has a tokenizer of labelled texts, and data=sine needs no tok",
        ),
        ("init_backward={classifier}", "init_backward=.*: must be null without init="),
        (
            "init={classifier} init_backward={classifier}",
            "was trained on texts read forwards; take a run",
        ),
        (
            "init={forward} init_backward={backward} model.bidirectional=false",
            "this model reads in one direction",
        ),
        ("init={backward}", "was trained with data.reverse=true; give it as init_backward="),
        (
            "init={classifier} init_backward={backward}",
            "init_backward=.*: has another tokenizer than init=",
        ),
        ("init={classifier} model.embedding.path=x.txt", "model.embedding.path='x.txt': must be null with init="),
    ],
)
def test_what_does_not_fit_is_one_line(
    composed: Compose,
    classifier: Path,
    languages: tuple[Path, Path],
    reviews: Path,
    tmp_path: Path,
    overrides: str,
    message: str,
) -> None:
    names = {"classifier": classifier, "reviews": reviews, "forward": languages[0], "backward": languages[1]}
    given = overrides.format(**names).split()
    series, corpus = "data=sine" in given, "data=text_corpus" in given
    base = [*TEXTS, f"data.path={reviews}"] if not series and not corpus else SERIES if series else CORPUS
    if "model=self_attn" in given:
        base = [each for each in base if not each.startswith("model.hidden")]
    with pytest.raises((ConfigError, RunError), match=message) as raised:
        started(composed("model=gru", *base, *given), tmp_path / "new")
    assert "\n" not in str(raised.value)


def test_an_unfinished_run_and_other_tokenizers(
    composed: Compose, classifier: Path, reviews: Path, tmp_path: Path
) -> None:
    shutil.copytree(classifier, tmp_path / "run")
    RunDirectory(tmp_path / "run").update_status(state="interrupted")
    config = composed("model=gru_attn", *TEXTS, f"data.path={reviews}", f"init={tmp_path / 'run'}")
    with pytest.raises(RunError, match=r"init=.*: is interrupted, not finished; continue it by resume=.*/run"):
        started(config, tmp_path / "new")
    RunDirectory(tmp_path / "run").update_status(state="finished")
    (tmp_path / "run/seen.npy").write_bytes((tmp_path / "run/seen.npy").read_bytes()[:-1])
    with pytest.raises(RunError, match=r"seen.npy: cannot be read \(its checksum differs\)"):
        started(config, tmp_path / "other")


def test_rows_that_are_not_known(composed: Compose, classifier: Path, stars: Path, tmp_path: Path) -> None:
    """A run of an earlier version, whose data is gone."""
    shutil.copytree(classifier, tmp_path / "run")
    described = json.loads((tmp_path / "run/data.json").read_text())
    del described["seen_crc32"], described["crc32"]
    (tmp_path / "run/data.json").write_text(json.dumps(described | {"fingerprint": "of other data"}))
    config = composed("model=gru_attn", *TEXTS, f"data.path={stars}", f"init={tmp_path / 'run'}")
    session = started(config, tmp_path / "new")
    assert any("cannot be counted: of init=" in note for note in session.data.notes)
    assert record(tmp_path / "new").seen == {} and not (tmp_path / "new/seen.npy").exists()


def test_resuming_is_exact(composed: Compose, classifier: Path, stars: Path, tmp_path: Path) -> None:
    config = composed("model=gru_attn", *TEXTS, f"data.path={stars}", f"init={classifier}", "model.wide=ngrams")
    assert check_resume(config, 2, tmp_path) > 50
