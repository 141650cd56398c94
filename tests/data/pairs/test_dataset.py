"""Pairs of texts: where they are read, what is dropped, splits, tokens, batches, and errors."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seqtrain.commands.build import build_data
from seqtrain.config.root import Config
from seqtrain.data.pairs.batching import by_length, cut, padding, training_batches
from seqtrain.data.pairs.dataset import PairData
from seqtrain.data.pairs.vocabularies import BEGIN_ID, END_ID, PAD_ID
from seqtrain.errors import ConfigError, DataError
from tests.pairs import OPTIONS, pairs, write_lines, write_splits

Compose = Callable[..., Config]


def read(composed: Compose, path: Path, *overrides: str, trained: Path | None = None, single: bool = False) -> PairData:
    data = build_data(composed(*OPTIONS, f"data.path={path}", *overrides), trained, single)
    assert isinstance(data, PairData)
    return data


def texts(data: PairData, split: str) -> list[tuple[str, str]]:
    return list(zip(data.texts(split, "source").all(), data.texts(split, "target").all(), strict=True))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_splits(tmp_path / "pairs")


def test_files_of_lines(composed: Compose, folder: Path) -> None:
    data = read(composed, folder)
    assert data.sizes == {"train": 60, "validation": 12, "test": 14}
    assert texts(data, "validation") == pairs(12, 1) and texts(data, "train") == pairs(60, 0)
    (folder / "train.en.gz").write_bytes(gzip.compress((folder / "train.en").read_bytes()))
    (folder / "train.en").unlink()
    assert read(composed, folder).fingerprint == data.fingerprint
    swapped = read(composed, folder, "data.source=en", "data.target=de")
    assert texts(swapped, "test") == [(target, source) for source, target in pairs(14, 2)]


@pytest.mark.parametrize("form", ["jsonl", "parquet", "tsv", "csv"])
def test_tables(composed: Compose, folder: Path, tmp_path: Path, form: str) -> None:
    frame = pd.DataFrame(pairs(60, 0), columns=["de", "en"])
    path = tmp_path / f"all.{form}"
    if form == "parquet":
        frame.to_parquet(path)
    elif form == "jsonl":
        path.write_text("\n".join(json.dumps(row) for row in frame.to_dict("records")))
    else:
        frame.to_csv(path, index=False, sep="\t" if form == "tsv" else ",")
    data = read(composed, path, "data.validation_size=10", "data.test_size=0.1")
    assert data.sizes == {"train": 44, "validation": 10, "test": 6}
    rows = np.concatenate([data.source_rows(split) for split in data.sizes])
    assert sorted(rows) == list(range(60))
    assert [texts(data, "test")[0]] == [pairs(60, 0)[data.source_rows("test")[0]]]


def test_two_files_by_what_their_names_share(composed: Compose, tmp_path: Path) -> None:
    write_lines(tmp_path, "corpus", pairs(40))
    whole = read(composed, tmp_path / "corpus")
    assert sum(whole.sizes.values()) == 40
    assert read(composed, tmp_path / "corpus.de").fingerprint == whole.fingerprint
    single = read(composed, tmp_path / "corpus.en", single=True, trained=saved(whole, tmp_path))
    assert single.sizes == {"test": 40}


def saved(data: PairData, directory: Path) -> Path:
    data.save(directory)
    (directory / "data.json").write_text(json.dumps(data.describe()))
    return directory


def test_the_vocabularies_of_a_run(composed: Compose, folder: Path, tmp_path: Path) -> None:
    data = read(composed, folder, "data.joint=false")
    run = saved(data, tmp_path)
    again = read(composed, folder, "data.joint=false", trained=run)
    assert again.directory == data.directory
    other = read(composed, folder / "test.de", "data.joint=false", trained=run, single=True)
    assert other.spec == data.spec
    batch = next(other.eval_batches("test"))
    assert batch.decode is not None and batch.references is not None
    assert batch.decode(batch.targets.tolist()) == batch.references.tolist()
    names = data.vocabularies.source.get_vocab(), data.vocabularies.target.get_vocab()
    joint = read(composed, folder).vocabularies
    assert names[0] != names[1] and joint.source.get_vocab() == joint.target.get_vocab()


@pytest.mark.parametrize("tokenizer", ["bpe", "word", "char"])
def test_texts_come_back_from_their_tokens(composed: Compose, folder: Path, tokenizer: str) -> None:
    data = read(composed, folder, f"data.tokenizer={tokenizer}")
    for batch in data.eval_batches("validation"):
        assert batch.decode is not None and batch.references is not None
        assert batch.decode(batch.targets.tolist()) == batch.references.tolist()
    lower = read(composed, folder, f"data.tokenizer={tokenizer}", "data.lowercase=true")
    batch = next(lower.eval_batches("validation"))
    assert batch.decode is not None and batch.references is not None
    assert batch.decode(batch.targets.tolist()) == [text.lower() for text in batch.references]


def test_a_batch(composed: Compose, folder: Path) -> None:
    data = read(composed, folder)
    batch = data.batch("train", np.array([3, 0, 7]))
    for row in range(3):
        source, target = batch.inputs[row, : batch.lengths[row]], batch.targets[row, : batch.target_lengths[row]]
        assert source[-1] == END_ID and target[-1] == END_ID
        assert (batch.inputs[row, batch.lengths[row] :] == PAD_ID).all()
        assert (batch.targets[row, batch.target_lengths[row] :] == PAD_ID).all()
    assert (batch.previous[:, 0] == BEGIN_ID).all() and (batch.previous[:, 1:] == batch.targets[:, :-1]).all()
    half = batch.shard(1, 2)
    assert half.rows.tolist() == [0] and half.previous.shape[0] == 1 and half.target_lengths.shape == (1,)


def test_every_pair_is_in_one_batch_and_the_order_is_that_of_the_seed(composed: Compose, folder: Path) -> None:
    data, same = (read(composed, folder, "data.batch_size=8") for _ in range(2))
    for epoch in (0, 1):
        order = data.order(epoch)
        assert sorted(np.concatenate(order)) == list(range(60)) and len(order) == data.num_batches(epoch) == 8
        assert [part.tolist() for part in order] == [part.tolist() for part in same.order(epoch)]
    assert [b.rows.tolist() for b in data.train_batches(1, 3)] == [part.tolist() for part in order[3:]]
    assert sorted(np.concatenate([b.rows for b in data.eval_batches("test")])) == list(range(14))


@pytest.mark.parametrize("batch_tokens", [None, 1000])
def test_little_of_a_batch_is_padding(batch_tokens: int | None) -> None:
    """Lengths as of captions: of both sides, correlated."""
    rng = np.random.default_rng(0)
    sources = rng.poisson(13, 20_000) + 2
    targets = np.maximum(sources + rng.integers(-4, 5, len(sources)), 1)
    batches = training_batches(sources, targets, 64, batch_tokens, rng)
    assert sorted(np.concatenate(batches)) == list(range(20_000))
    assert padding(batches, sources, targets) < 0.05
    if batch_tokens is not None:
        assert max(len(rows) * (sources[rows].max() + targets[rows].max()) for rows in batches) <= 1000


def test_padding_is_what_it_says() -> None:
    sources, targets = np.array([4, 2, 3]), np.array([2, 2, 1])
    assert padding([np.array([0, 1]), np.array([2])], sources, targets) == pytest.approx(1 - 14 / 16)
    assert [part.tolist() for part in cut(by_length(sources, targets), sources, targets, 12)] == [[0, 1], [2]]
    assert [part.tolist() for part in cut(np.array([0, 1]), sources, targets, 1)] == [[0], [1]]


def test_what_is_dropped_is_said(composed: Compose, tmp_path: Path) -> None:
    rows = [*pairs(20), ("", "tree"), ("mond " * 9, "moon"), ("mond", "  ")]
    write_lines(tmp_path, "train", rows)
    write_lines(tmp_path, "val", [("mond " * 30, "moon"), ("baum", "tree")])
    data = read(composed, tmp_path, "data.max_length=8", "data.tokenizer=word")
    notes = "\n".join(data.notes)
    assert "2 pairs without a text on one side or both dropped (first: " in notes and "train.de: line 21)" in notes
    assert "train: 1 pairs of more than 8 tokens on a side dropped (data.max_length); the first is pair 22" in notes
    assert data.sizes["train"] == 20 and data.sizes["validation"] == 2  # what is scored is never dropped
    assert data.tokens["validation"].lengths.max() == 31


def test_unequal_numbers_of_lines(composed: Compose, folder: Path) -> None:
    with (folder / "train.en").open("a") as file:
        file.write("one more\n")
    with pytest.raises(DataError, match=r"train\.de: has 60 lines, and .*train\.en has 61; a line of one must be"):
        read(composed, folder)


def test_errors(composed: Compose, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="data.path: must be given for data=pair_files: a folder"):
        build_data(composed("data=pair_files"))
    with pytest.raises(DataError, match="no such file or folder"):
        read(composed, tmp_path / "nothing")
    (folder / "test.en").unlink()
    with pytest.raises(DataError, match=r"test\.de: has no file beside it that ends in \.en"):
        read(composed, folder)
    table = tmp_path / "table.csv"
    table.write_text("de,fr\nmond,lune\n")
    with pytest.raises(DataError, match=r"has no column 'en' \(data\.target\); its columns: de, fr"):
        read(composed, table)
    table.write_text("de,en\nmond,\n")
    with pytest.raises(DataError, match="holds no pairs with a text on both sides"):
        read(composed, table)
    table.write_text("de,en\nmond,moon\n")
    with pytest.raises(DataError, match=r"data\.test_size=0\.1: sets all of the 1 pairs apart"):
        read(composed, table)
    write_lines(tmp_path, "long", [("mond mond", "moon moon")] * 3)
    with pytest.raises(DataError, match=r"data\.max_length=1: all 1 pairs of train are longer; raise it"):
        read(composed, tmp_path / "long", "data.max_length=1", "data.tokenizer=word")
    for override, message in (
        ("data.target=de", r"data\.target='de': must be different from data\.source"),
        ("data.batch_tokens=20", r"data\.batch_tokens=20: must be null, or at least 202"),
        ("data.vocab_size=4", r"data\.vocab_size=4: must be at least 5"),
    ):
        with pytest.raises(ConfigError, match=message):
            composed(*OPTIONS, override)
