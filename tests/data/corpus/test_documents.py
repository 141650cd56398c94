"""Documents as running text: what they are made of, that they stay apart, and what a model reads of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from seqtrain.commands.build import build_data, build_model
from seqtrain.config.corpus import DocstringDocumentsConfig, PublicDocumentsConfig, StatePolicy, TextDocumentsConfig
from seqtrain.config.data import DocstringsConfig, TextFilesConfig
from seqtrain.config.root import Config
from seqtrain.config.text import Tokenizer
from seqtrain.data.corpus.dataset import SegmentBatch, segments_of
from seqtrain.data.corpus.document_dataset import Documents
from seqtrain.data.corpus.document_tokenizer import DocumentTokenizer
from seqtrain.data.row_digests import text_digests
from seqtrain.data.text import docstrings
from seqtrain.data.text.files import TextFiles
from seqtrain.errors import ConfigError, DataError, RunError

Compose = Callable[..., Config]

WORDS = ["The", "film", "was", "good", "bad", ",", "it", "isn't", "dull", "!"]
END = 2


def texts(count: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(1, 30))) + f" {seed}" for _ in range(count)]


def write(path: Path, rows: list[str]) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text("".join(json.dumps({"text": row, "label": i % 2}) + "\n" for i, row in enumerate(rows)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Train of 60 documents, 40 more, and 20 of test that no corpus may read."""
    write(tmp_path / "train.jsonl", texts(60, 1))
    write(tmp_path / "unsupervised.jsonl", texts(40, 2))
    write(tmp_path / "test.jsonl", [f"{text} secret" for text in texts(20, 3)])
    return tmp_path


def corpus(path: Path, trained: Path | None = None, **options: Any) -> Documents:
    defaults: dict[str, Any] = {"batch_size": 4, "bptt_len": 10, "eval_warmup": 40, "min_count": 1}
    config = TextDocumentsConfig(name="text_documents", path=str(path), **(defaults | options))
    config.check("data")
    return Documents(config, 0, trained)


def documents(data: Documents, split: str) -> list[list[int]]:
    """The tokens of each document, without <end>."""
    tokens = np.asarray(data.tokens[split])
    ends = np.flatnonzero(tokens == END)
    assert ends[-1] == len(tokens) - 1 and data.documents[split].tolist() == [0, *(ends[:-1] + 1)]
    return [part[:-1].tolist() for part in np.split(tokens, ends[:-1] + 1)]


def test_train_alone_is_read_and_a_part_of_it_is_validation(folder: Path) -> None:
    data = corpus(folder, validation_size=0.1)
    assert list(data.sizes) == ["train", "validation"]
    assert len(documents(data, "train")) == 54 and len(documents(data, "validation")) == 6
    assert data.notes == [
        "files of train: train.jsonl; files of no split, not read: test.jsonl, unsupervised.jsonl",
        "validation: 6 documents of train set apart at random (data.validation_size); a classifier on the same texts "
        "sets apart others",
        "test: none is set apart (data.test_split, data.test_size); scores are on validation",
        "unknown tokens (<unk>): 0.00% of train, 0.00% of validation",
        "documents: 54 in train, 6 in validation",
    ]
    assert "secret" not in data.token_names()
    read = {data.decode(tokens) for split in data.sizes for tokens in documents(data, split)}
    assert len(read) == len({text.lower() for text in texts(60, 1)})
    assert data.decode([3, 4, END, 3]) == f"{data.token_names()[3]} {data.token_names()[4]}\n{data.token_names()[3]}"
    assert corpus(folder, validation_size=6, split_seed=1).fingerprint != data.fingerprint
    assert corpus(folder, validation_size=6).fingerprint == data.fingerprint


def test_several_splits_are_train(folder: Path) -> None:
    data = corpus(folder, train_splits=["train", "unsupervised"], validation_size=0.2, test_size=10)
    assert [len(documents(data, split)) for split in ("train", "validation", "test")] == [72, 18, 10]
    assert data.notes[0] == (
        "files of train: train.jsonl; unsupervised: unsupervised.jsonl; files of no split, not read: test.jsonl"
    )
    assert "2" in data.token_names() and "secret" not in data.token_names()
    own = corpus(folder, validation_split="unsupervised")
    assert len(documents(own, "train")) == 60 and len(documents(own, "validation")) == 40
    whole = TextDocumentsConfig(name="t", path=str(folder / "test.jsonl"), min_count=1, batch_size=1, bptt_len=5)
    own.save(folder)
    assert len(documents(Documents(whole, 0, folder, single_split=True), "test")) == 20


def test_equal_documents_stay_together_and_are_counted(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", [*texts(30, 1), *(text.upper() for text in texts(30, 1)), "", " \n"])
    write(tmp_path / "valid.jsonl", [texts(30, 1)[4], "another one"])
    data = corpus(tmp_path, validation_size=0.5)
    train, validation = (set(map(tuple, documents(data, split))) for split in ("train", "validation"))
    assert train and validation and not train & validation
    assert data.notes[1] == "train: 2 rows with empty text dropped"
    digests = text_digests(data.decode(tokens) for tokens in documents(data, "train"))
    np.testing.assert_array_equal(data.row_digests("train"), digests)
    given = corpus(tmp_path, validation_split="validation")
    assert "train: the text of 2 documents also occurs in validation or test" in given.notes


@pytest.mark.parametrize("kind", Tokenizer)
@pytest.mark.parametrize("reverse", [False, True])
def test_tokens_are_those_of_a_text_classifier(folder: Path, kind: Tokenizer, reverse: bool) -> None:
    """With the tokenizer of the corpus, which its run keeps, a classifier reads the same tokens in the same order."""
    data = corpus(folder, tokenizer=kind, html_breaks=True, vocab_size=400, reverse=reverse, validation_split="test")
    data.save(folder)
    spec = {"targets": "class", "vocab_size": data.spec.vocab_size, "class_names": ["0", "1"]}
    (folder / "data.json").write_text(json.dumps(data.describe() | {"spec": spec, "labels_as": None}))
    classifier = TextFiles(TextFilesConfig(name="text_files", path=str(folder)), 0, trained=folder)
    whole: dict[int, np.ndarray] = {}
    for split in ("train", "validation"):
        table = classifier.tokens[split]
        rows = np.split(np.asarray(table.tokens), np.asarray(table.offsets)[1:-1])
        whole |= {int(row): tokens for row, tokens in zip(classifier.source_rows(split), rows, strict=True)}
    own = documents(data, "train")
    assert len(own) == len(whole) == 60
    for row, tokens in whole.items():
        assert own[row] == tokens.tolist()[:: -1 if reverse else 1]
    assert data.token_names()[:3] == ["<pad>", "<unk>", "<end>"] and data.tokenizer.end == END
    assert data.tokenizer.kind.value == kind.value
    counts = np.bincount(np.concatenate(own))[3:]
    assert data.spec.by_frequency == (kind is not Tokenizer.bpe)
    assert (np.diff(counts) <= 0).all() or not data.spec.by_frequency


def test_reversed_documents_end_with_end_and_are_another_text(folder: Path) -> None:
    forward, backward = corpus(folder), corpus(folder, reverse=True)
    assert [tokens[::-1] for tokens in documents(backward, "train")] == documents(forward, "train")
    assert forward.fingerprint != backward.fingerprint and forward.token_names() == backward.token_names()
    np.testing.assert_array_equal(forward.row_digests("train"), backward.row_digests("train"))
    tokens = [data.tokens_of(data.config, data.tokenizer, "the film was good").tolist() for data in (forward, backward)]
    assert tokens[0] == tokens[1][::-1] and len(tokens[0]) == 4


def features(built: object, batches: object) -> Tensor:
    """Features of a row at all steps of its batches, with the state carried, (T, H)."""
    state, parts = None, []
    with torch.inference_mode():
        for batch in batches:  # type: ignore[attr-defined]
            values, state = built.model(batch, state)  # type: ignore[attr-defined]
            parts.append(values)
    return torch.cat(parts, 1)


@pytest.mark.parametrize("model", ["lstm", "gru_attn", "self_attn"])
def test_the_features_of_a_document_are_those_of_it_alone(folder: Path, composed: Compose, model: str) -> None:
    overrides = ["data=text_documents", f"data.path={folder}", "data.batch_size=3", "data.bptt_len=7"]
    config = composed(f"model={model}", *overrides, "data.min_count=1", "model.embedding.embed_dim=8")
    data = build_data(config)
    assert isinstance(data, Documents) and data.config.state is StatePolicy.reset_document
    built = build_model(config, data.spec)
    built.model.eval()
    batches = [batch for batch in data.train_batches(0) if isinstance(batch, SegmentBatch)]
    rows, places = features(built, batches), torch.cat([batch.positions for batch in batches], 1) - 1  # type: ignore[misc]
    starts = data.documents["train"]
    tokens = np.asarray(data.tokens["train"])
    ends = np.flatnonzero(tokens == END)
    alone = data.config
    (end,) = features(built, segments_of(np.array([END, END]), alone))[0]
    checked = 0
    for row, place in zip(rows, places.numpy(), strict=True):
        for start, stop in zip(starts, ends, strict=True):
            if start < place[0] or stop > place[-1]:
                continue
            expected = features(built, segments_of(tokens[start : stop + 1], alone))[0]
            torch.testing.assert_close(row[start - place[0] : stop - place[0]], expected, atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(row[stop - place[0]], end, atol=1e-5, rtol=1e-4)
            checked += 1
    assert checked > 20


def test_evaluation_resets_at_every_document(folder: Path) -> None:
    data = corpus(folder, eval_batch_size=3, eval_warmup=5)
    for batch in data.eval_batches("validation"):
        assert isinstance(batch, SegmentBatch) and batch.positions is not None and batch.scored is not None
        at = batch.positions.numpy() - 1
        begins = np.isin(at, data.documents["validation"]) | np.isin(at + 1, data.documents["validation"])
        scored = batch.scored.numpy()
        np.testing.assert_array_equal(batch.restarts.numpy()[scored], begins[scored])  # type: ignore[union-attr]


def test_layouts_of_text_files(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("one a\ntwo b\n\nthree c\nfour d\n" * 5)
    lines = corpus(tmp_path / "lines.txt", validation_size=1, batch_size=1, bptt_len=3)
    assert sum(len(documents(lines, split)) for split in lines.sizes) == 20
    for name in ("a/1.txt", "a/2.txt", "b/3.txt"):
        (tmp_path / "classes/train" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "classes/train" / name).write_text(f"{name}\nsecond line\n")
        (tmp_path / "flat").mkdir(exist_ok=True)
        (tmp_path / "flat" / name[2:]).write_text(f"{name}\nsecond line\n")
    for path in (tmp_path / "classes", tmp_path / "flat"):
        data = corpus(path, validation_size=1, batch_size=1, bptt_len=3)
        assert len(documents(data, "train")) == 2 and "line" in data.token_names()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_splits": []}, "train_splits=.*at least one name"),
        ({"train_splits": ["train", "test"]}, "train_splits=.*without test"),
        ({"train_splits": ["train", "train"]}, "must be different"),
        ({"validation_size": 0}, "validation_size=0: must be above 0"),
        ({"test_size": -1}, "test_size=-1: must be at least 0"),
        ({"vocab_size": 3}, "vocab_size=3: must be at least 4"),
        ({"bptt_len": 0}, "bptt_len=0: must be at least 1"),
        ({"min_count": 0}, "min_count=0: must be at least 1"),
    ],
)
def test_wrong_options(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        corpus(tmp_path, **options)


def test_what_cannot_be_read_is_named(folder: Path) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"train_splits": ["train", "more"]}, r"has no split 'more' \(data\.train_splits\); its splits: train"),
        ({"validation_split": "held"}, r"has no split 'held' \(data\.validation_split\)"),
        ({"text_column": "body"}, r"has no column 'body' \(data\.text_column\); its columns: text, label"),
        ({"validation_size": 60}, r"data\.validation_size=60: sets all of the 60 different documents of train apart"),
        ({"validation_size": 0.001}, r"data\.validation_size=0\.001: sets none of the 60"),
        ({"batch_size": 500}, "too few for data.batch_size=500 rows"),
    ]
    for options, message in cases:
        with pytest.raises(DataError, match=message):
            corpus(folder, **options)
    (folder / "empty.jsonl").write_text('{"text": " "}\n{"text": null}\n')
    with pytest.raises(DataError, match=r"empty\.jsonl: train has no document: none of its 2 rows has a text"):
        corpus(folder / "empty.jsonl")
    with pytest.raises(DataError, match="data.path: must be given for data=text_documents"):
        Documents(TextDocumentsConfig(name="text_documents"), 0)


def test_the_tokenizer_of_other_running_text_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/tokenizer.json").write_text('{"kind": "word", "tokens": ["a"], "unknown": null}')
    with pytest.raises(RunError, match="is the tokenizer of other running text, without <end>.*data=text_documents"):
        corpus(folder, tmp_path / "run")


def test_the_hub_is_the_last_source(tmp_path: Path) -> None:
    config = PublicDocumentsConfig(name="imdb_reviews", folder="imdb", hub="stanfordnlp/imdb")
    with pytest.raises(
        DataError, match="data=imdb_reviews: no local copy.*SEQTRAIN_DATA_DIR to a folder that holds imdb/"
    ):
        Documents(config, 0)


@pytest.mark.parametrize(
    ("kind", "characters", "decoded", "unknown"),
    [
        ("word", 0, "it was !", ["<", "end", ">", "zebra"]),
        ("char", 7, "it was!", ["<", ">", "z", "r"]),
        ("bpe", 8, " it was!", []),
    ],
)
def test_lengths_of_tokens(folder: Path, kind: str, characters: int, decoded: str, unknown: list[str]) -> None:
    """Characters of the text as it is tokenised; bpe puts a blank before it, and words do not keep what is between."""
    data = corpus(folder, tokenizer=Tokenizer(kind), vocab_size=300)
    tokenizer = data.tokenizer
    assert isinstance(tokenizer, DocumentTokenizer)
    tokens = tokenizer.encode("IT WAS!")
    counts, num_bytes = tokenizer.token_lengths()
    assert counts[tokens].sum() == num_bytes[tokens].sum() == characters
    assert not counts[[0, END]].any()
    assert tokenizer.decode(tokens) == decoded and tokenizer.unknown_parts("the <end> zebra") == unknown


def test_documents_of_a_held_out_split_are_left_out(folder: Path) -> None:
    """In other letters too; the tokenizer knows nothing of the split."""
    rows = [json.loads(line)["text"] for line in (folder / "test.jsonl").read_text().splitlines()]
    write(folder / "unsupervised.jsonl", [*texts(40, 2), rows[3].upper(), rows[5]])
    options: dict[str, Any] = {"train_splits": ["train", "unsupervised"], "held_out_split": "test"}
    data = corpus(folder, **options)
    digests = [data.row_digests(split) for split in data.sizes]
    assert sum(len(found) for found in digests if found is not None) == 100
    held_out = text_digests(rows)
    assert not any(np.isin(found, held_out).any() for found in digests if found is not None)
    assert "secret" not in data.token_names()
    assert any(note.startswith("train: 2 documents left out, which the split 'test' has too") for note in data.notes)
    (folder / "test.jsonl").unlink()
    with pytest.raises(DataError, match=r"has no split 'test' \(data.held_out_split\)"):
        corpus(folder, **options)


def test_docstrings_of_train_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train and validation are what the classifier trains on and validates with; test is its test."""
    rows = [f"{text} {i}" for i, text in enumerate(texts(330, 4))], [f"chapter {i % 3 % 2}" for i in range(330)]
    monkeypatch.setattr(docstrings, "read_docstrings", lambda: rows)
    monkeypatch.setattr(docstrings, "library_sources", lambda folder: [])  # another cache entry than the real one's
    config = DocstringDocumentsConfig(name="docstring_documents", kind="docstring_documents", tokenizer=Tokenizer.char)
    data = Documents(config, 0)
    classifier = docstrings.Docstrings(DocstringsConfig(name="docstrings", kind="docstrings"), 0).labelled_split
    wanted = {split: set(text_digests(classifier(split)[0]).tolist()) for split in ("train", "validation", "test")}
    got = {split: set(data.row_digests(split).tolist()) for split in data.sizes}  # type: ignore[union-attr]
    assert got["test"] == wanted["test"]
    assert got["train"] | got["validation"] == wanted["train"] | wanted["validation"]
    config.path = "new.txt"
    with pytest.raises(ConfigError, match="data.path='new.txt': must be null: these documents are the machine's own"):
        Documents(config, 0)
