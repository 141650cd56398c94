"""Texts without labels that join the training batches: where they are found, their order, and what is left out."""

import csv
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from seqtrain.commands.build import build_data, check_model
from seqtrain.commands.session import resume_from_checkpoint, start
from seqtrain.commands.train import train
from seqtrain.config.root import Config
from seqtrain.data.text.classification import TextClassification
from seqtrain.data.text.unlabelled import JoinedBatch, UnlabelledTexts
from seqtrain.errors import ConfigError, DataError, RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.training.ranks import SOLO
from tests.conftest import write_reviews

Compose = Callable[..., Config]

VAT = "task.virtual_adversarial=1"


def texts_in(path: Path) -> list[str]:
    with path.open() as file:
        return [row["text"] for row in csv.DictReader(file)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """All splits, and a file unsup.csv: two of its texts are in test, one in validation, one is empty."""
    made = tmp_path / "reviews"
    made.mkdir()
    write_reviews(made / "train.csv", 60, seed=1)
    write_reviews(made / "validation.csv", 20, seed=2)
    write_reviews(made / "test.csv", 20, seed=3)
    texts = {split: texts_in(made / f"{split}.csv") for split in ("validation", "test")}
    with (made / "unsup.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["text", "label"], [f"  {texts['test'][0].upper()} ", -1], [texts["test"][4], -1]])
        writer.writerows(
            [[texts["validation"][0], -1], ["", -1], *([f"the film {'was ' * i}good", -1] for i in range(40))]
        )
    return made


def dataset(config: Config) -> TextClassification:
    data = build_data(config)
    assert isinstance(data, TextClassification)
    data.prepare_training()
    return data


def unlabelled(data: TextClassification) -> UnlabelledTexts:
    assert data.unlabelled is not None
    return data.unlabelled


@pytest.mark.parametrize("given", ["split", "file", "folder", "lines", "documents"])
def test_where_they_are(small: Compose, folder: Path, given: str) -> None:
    texts = texts_in(folder / "unsup.csv")
    (folder / "lines.txt").write_text("\n".join(texts) + "\n")
    (folder.parent / "more").mkdir()
    (folder.parent / "documents").mkdir()
    (folder.parent / "more/part.csv").write_bytes((folder / "unsup.csv").read_bytes())
    for number, text in enumerate(texts):
        (folder.parent / f"documents/{number:02}.txt").write_text(text)
    names = {"split": "unsup", "file": str(folder / "unsup.csv"), "folder": str(folder.parent / "more"),
             "lines": str(folder / "lines.txt"), "documents": str(folder.parent / "documents")}  # fmt: skip
    data = dataset(small(f"data.path={folder}", VAT, f"data.unlabelled={names[given]}"))
    assert "unlabelled: 41 texts; 2 others are dropped, since test has them; 1 are in validation too" in data.notes
    seen = data.row_digests("train")  # by which a run that starts from this one knows what its weights have seen
    assert seen is not None and len(seen) == data.sizes["train"] + 41
    assert len(unlabelled(data).rows.lengths) == 41


def test_order(small: Compose, folder: Path) -> None:
    """Every text once a turn, in batches as large as those of train, by seed, epoch and position."""
    config = small(f"data.path={folder}", VAT, "data.unlabelled=unsup", "data.batch_size=16")
    data = dataset(config)
    texts = unlabelled(data)
    first = [batch.rows for batch in islice(texts.batches(0), 6)]
    assert [len(rows) for rows in sorted(first, key=len)] == [9, 9, 16, 16, 16, 16]
    for turn in (first[:3], first[3:]):
        assert sorted(np.concatenate(turn)) == list(range(41))
    assert not np.array_equal(np.concatenate(first[:3]), np.concatenate(first[3:]))
    later = [batch.rows for batch in islice(texts.batches(0, 4), 2)]
    assert all(map(np.array_equal, later, first[4:]))
    assert not np.array_equal(
        np.concatenate([batch.rows for batch in islice(texts.batches(1), 3)]), np.concatenate(first[:3])
    )
    batches = list(data.train_batches(0))
    assert len(batches) == data.num_batches(0) == 4
    for number, batch in enumerate(batches):
        assert isinstance(batch, JoinedBatch) and batch.unlabelled is not None
        assert np.array_equal(batch.unlabelled.rows, first[number])
    plain = dataset(small(f"data.path={folder}", "data.batch_size=16"))
    for batch, other in zip(batches, plain.train_batches(0), strict=True):
        assert torch.equal(batch.inputs, other.inputs) and not isinstance(other, JoinedBatch)
    assert plain.fingerprint == data.fingerprint


def test_other_sizes_of_batches(small: Compose, folder: Path) -> None:
    options = [f"data.path={folder}", VAT, "data.unlabelled=unsup"]
    data = dataset(small(*options, "data.unlabelled_batch_size=5"))
    assert {len(batch.rows) for batch in islice(unlabelled(data).batches(0), 9)} == {5, 1}
    data = dataset(small(*options, "data.batch_tokens=90", "data.max_length=40"))
    batches = list(islice(unlabelled(data).batches(0), 12))
    assert all(batch.inputs.numel() <= 90 for batch in batches) and max(batch.lengths.max() for batch in batches) == 40


def test_a_trained_model_needs_them_only_to_go_on(small: Compose, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "unsup.csv"
    other.write_bytes((folder / "unsup.csv").read_bytes())
    config = small(
        f"data.path={folder}", VAT, f"data.unlabelled={other}", "trainer.max_steps=2", "trainer.eval_every=1"
    )
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    train(config, run)
    resume_from_checkpoint(config, run, SOLO)
    other.write_text("text,label\na good film,-1\n")
    with pytest.raises(RunError, match="the data has changed since this run started"):
        resume_from_checkpoint(config, run, SOLO)
    other.unlink()
    assert build_data(config, trained=run.path).sizes["test"] == 20
    with pytest.raises(DataError, match=r"unsup\.csv: is no split of .*reviews, and no file or folder; give a split"):
        resume_from_checkpoint(config, run, SOLO)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["data.unlabelled=unsup"],
            r"^data\.unlabelled=unsup: only task\.virtual_adversarial learns from texts without ",
        ),
        (
            [VAT, "data.unlabelled=nowhere"],
            r"^data\.unlabelled=nowhere: is no split of \S+, and no file or folder; give",
        ),
        ([VAT, "data.unlabelled=test"], r"^data\.unlabelled=test: has no text that is not empty and not in test"),
        (
            [VAT, "data.unlabelled=unsup", "data.unlabelled_batch_size=0"],
            r"^data\.unlabelled_batch_size=0: must be at ",
        ),
    ],
)
def test_what_cannot_be(small: Compose, folder: Path, tmp_path: Path, options: list[str], message: str) -> None:
    with pytest.raises((ConfigError, DataError), match=message):
        start(small(f"data.path={folder}", *options), RunDirectory.claim(tmp_path / "run", exact=True), SOLO)


def test_contradictions_are_found_before_data_is_read(small: Compose, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="only task.virtual_adversarial"):
        check_model(small(f"data.path={tmp_path / 'missing'}", "data.unlabelled=unsup"))
    with pytest.raises(DataError, match=r"^data\.unlabelled=unsup: is no split of"):
        check_model(small(f"data.path={tmp_path}", "data.unlabelled=unsup", VAT))


def test_a_split_in_two_formats_is_refused(small: Compose, folder: Path) -> None:
    (folder / "unsup.jsonl").write_text('{"text": "good"}\n')
    with pytest.raises(DataError, match=r"split 'unsup' is there twice \(unsup\.csv, unsup\.jsonl\); remove one"):
        check_model(small(f"data.path={folder}", "data.unlabelled=unsup", VAT))
