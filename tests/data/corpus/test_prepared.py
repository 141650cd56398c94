import errno
import json
import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from seqtrain.config.corpus import CorpusConfig, LibraryCorpusConfig, PublicCorpusConfig, TextCorpusConfig, TokenKind
from seqtrain.data.corpus import prepared as prepared_corpus
from seqtrain.data.corpus import reading as corpus_reading
from seqtrain.data.corpus.prepared import PreparedCorpus, prepare
from seqtrain.errors import ConfigError, DataError, RunError

LINES = [" ".join(random.Random(i).choices(["the", "cat", "🙂", "sat", "ünder"], k=i % 9)) for i in range(300)]


def text_config(path: Path, kind: str = "word", **options: object) -> TextCorpusConfig:
    return TextCorpusConfig(name="text", path=str(path), tokenizer=TokenKind(kind), **options)  # type: ignore[arg-type]


def prepared(config: CorpusConfig, tokenizer: Path | None = None, single_split: bool = False) -> PreparedCorpus:
    return PreparedCorpus(prepare(config, tokenizer, single_split))


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """A text of 300 lines, each with its end."""
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(LINES) + "\n")
    return path


@pytest.mark.parametrize("kind", ["word", "char", "byte", "bpe"])
def test_tokens_are_the_text(lines: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(corpus_reading, "BLOCK", 100)
    options = {"vocab_size": 270} if kind == "bpe" else {}
    corpus = prepared(text_config(lines, kind, **options))
    decoded = {split: corpus.tokenizer.decode(corpus.tokens(split)) for split in ("train", "validation", "test")}
    assert "".join(decoded.values()) == lines.read_text()
    assert {split: len(text) for split, text in decoded.items()} == corpus.meta["characters"]
    assert {split: len(text.encode()) for split, text in decoded.items()} == corpus.meta["bytes"]
    assert {split: len(corpus.tokens(split)) for split in decoded} == corpus.meta["sizes"]
    assert corpus.meta["vocab_size"] == corpus.tokenizer.vocab_size
    assert corpus.meta["sorted_by_frequency"] == (kind in ("word", "char")) and corpus.meta["unknown"] is None
    assert corpus.tokens("train").dtype == np.uint16 and isinstance(corpus.tokens("train"), np.memmap)
    assert corpus.documents("test").tolist() == [0] and corpus.documents("test").dtype == np.int64
    if kind in ("word", "char"):
        counts = np.bincount(corpus.tokens("train"), minlength=corpus.meta["vocab_size"])
        assert (np.diff(counts) <= 0).all()


def test_documents(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text("\n".join(json.dumps({"text": t}) for t in ("a b", "", " \t", "c\nd\n", "e")))
    (tmp_path / "valid.jsonl").write_text(json.dumps({"text": "a\n"}))
    corpus = prepared(text_config(tmp_path))
    assert corpus.tokenizer.decode(corpus.tokens("train")) == "a b\n\nc\nd\ne\n"  # each last line ended
    assert corpus.documents("train").tolist() == [0, 3, 4, 8]
    assert corpus.meta["notes"] == [
        "test: the source has none; scores are on validation",
        "documents: 4 in train, 1 in validation",
    ]
    chars = prepared(text_config(tmp_path, "char"))
    assert chars.documents("train").tolist() == [0, 3, 5, 9] and chars.meta["characters"]["train"] == 10
    assert chars.meta["fingerprint"] == corpus.meta["fingerprint"]


def test_wide_vocabularies(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("".join(f"w{i} x\n" for i in range(70_000)))
    corpus = prepared(text_config(path, validation_size=0.01, test_size=0.01))
    assert corpus.meta["dtype"] == "uint32" and corpus.tokens("train").dtype == np.uint32
    assert corpus.tokenizer.decode(corpus.tokens("train")[-3:]) == f"w{corpus.meta['vocab_size'] - 4} x\n"


def test_notes_and_unknown(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("a a a b\n" * 10)
    (tmp_path / "valid.txt").write_text("a x y z\n" * 2)
    (tmp_path / "test.txt").write_text("a a a b\n")
    corpus = prepared(text_config(tmp_path))
    assert corpus.meta["unknown"] == corpus.tokenizer.unknown == 3
    assert corpus.meta["notes"] == ["unknown tokens (<unk>): 0.00% of train, 60.00% of validation, 0.00% of test"]
    (tmp_path / "valid.txt").unlink()
    (tmp_path / "test.txt").unlink()
    assert prepared(text_config(tmp_path, "char", validation_size=0.1, test_size=0)).meta["notes"] == [
        "validation: 8 characters set apart (data.validation_size), cut from the end of the text",
        "test: the source has none; scores are on validation",
    ]


def test_words_spelt_like_special_tokens_are_counted(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("a <unk> a<unk> b <eos>\n<eos>\n<pad> a\n")
    (tmp_path / "valid.txt").write_text("a b <unk>\n")
    corpus = prepared(text_config(tmp_path))
    assert corpus.meta["notes"][2:] == [
        "words <eos> of the text, taken as line ends: 2 in train, 0 in validation",
        "words <unk> of the text, taken as unknown words: 1 in train, 1 in validation",
    ]
    assert corpus.tokenizer.decode(corpus.tokens("train")) == "a <unk> a<unk> b\n\n\n\n<pad> a\n"
    chars = prepared(text_config(tmp_path, "char"))
    assert not any("words" in note for note in chars.meta["notes"])
    assert chars.tokenizer.decode(chars.tokens("train")) == (tmp_path / "train.txt").read_text()


def test_cache_is_keyed_by_what_shapes_it(lines: Path, tmp_path: Path) -> None:
    first = prepare(text_config(lines))
    same = text_config(lines, batch_size=3, bptt_len=7, bptt_jitter=True, eval_batch_size=2, eval_warmup=0)
    assert prepare(same) == first
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    shutil.copy(lines, copy / "input.txt")
    public = PublicCorpusConfig(name="p", path=str(copy), folder="f", hub="h", tokenizer=TokenKind.word)
    assert prepare(public) == first
    for other in ({"min_count": 50}, {"validation_size": 0.1}, {"document_start": ""}, {"kind": "char"}):
        assert prepare(text_config(lines, **other)) != first
    lines.write_text(lines.read_text() + "the end\n")
    changed = prepare(text_config(lines))
    assert changed != first
    assert PreparedCorpus(changed).meta["fingerprint"] != PreparedCorpus(first).meta["fingerprint"]


def test_a_trained_vocabulary_is_used(lines: Path, tmp_path: Path) -> None:
    lines.write_text(lines.read_text() + "<unk>\n")
    config = text_config(lines)
    first = prepare(config)
    run = tmp_path / "tokenizer.json"
    shutil.copy(first / "tokenizer.json", run)
    assert prepare(config, run) == first  # the training run's own
    lines.write_text("sat the dog\n" * 30)
    again = prepared(config, run)
    assert again.tokenizer.names() == PreparedCorpus(first).tokenizer.names()
    assert again.tokenizer.decode(again.tokens("test")) == "sat the <unk>\n"
    assert again.directory != prepare(config)


def test_all_text_as_one_split(lines: Path, tmp_path: Path) -> None:
    run = prepare(text_config(lines, "byte")) / "tokenizer.json"
    for name, content in (("train.txt", "ab"), ("valid.txt", "cd"), ("test.txt", "ef")):
        (tmp_path / "new" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "new" / name).write_text(content)
    corpus = prepared(text_config(tmp_path / "new", "byte"), run, single_split=True)
    assert corpus.meta["sizes"] == {"test": 6} and corpus.documents("test").tolist() == [0, 2, 4]
    assert corpus.tokenizer.decode(corpus.tokens("test")) == "abcdef"
    assert corpus.meta["notes"] == ["documents: 3 in test"]


def test_unknown_words_of_new_text(lines: Path, tmp_path: Path) -> None:
    run = prepare(text_config(lines)) / "tokenizer.json"
    (tmp_path / "new.txt").write_text("the dog sat\n")
    with pytest.raises(DataError, match="holds 'dog', which the vocabulary lacks"):
        prepare(text_config(tmp_path / "new.txt"), run, single_split=True)
    with pytest.raises(RunError, match=r"none\.json: cannot be read"):
        prepare(text_config(tmp_path / "new.txt"), tmp_path / "none.json", single_split=True)


@pytest.mark.parametrize("kind", ["word", "char", "byte", "bpe"])
@pytest.mark.parametrize("content", ["", "\ufeff"])
def test_an_empty_text_is_named(tmp_path: Path, kind: str, content: str) -> None:
    (tmp_path / "empty.txt").write_text(content)
    with pytest.raises(DataError, match=r"empty\.txt: train has no text"):
        prepare(text_config(tmp_path / "empty.txt", kind))


@pytest.mark.parametrize(
    ("valid", "message"), [("", "validation has no text.*give it more text"), ("x", "validation has 1 token, and at")]
)
def test_a_split_that_is_too_short_is_named(tmp_path: Path, valid: str, message: str) -> None:
    (tmp_path / "train.txt").write_text("some text\n")
    (tmp_path / "valid.txt").write_text(valid)
    with pytest.raises(DataError, match=message) as error:
        prepare(text_config(tmp_path, "byte"))
    assert str(tmp_path) in str(error.value)


def test_too_little_set_apart_names_the_option(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("some text\n")
    with pytest.raises(DataError, match=r"validation has 1 token.*raise data\.validation_size"):
        prepare(text_config(tmp_path / "a.txt", "char", test_size=0))


@pytest.mark.parametrize("kind", ["word", "char", "byte", "bpe"])
def test_errors_of_the_source_are_not_taken_for_the_caches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"good\n" * 50 + b"\xff")
    with pytest.raises(DataError, match=r"a\.txt: byte 250 is not UTF-8"):
        prepare(text_config(path, kind))

    def fail(self: Path, mode: str) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    path.write_bytes(b"good\n" * 50)
    monkeypatch.setattr(prepared_corpus, "identity", lambda config: [kind, str(path)])
    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(DataError, match=r"a\.txt: cannot be read \(Input/output error\)"):
        prepare(text_config(path, kind))


def test_a_wrong_expression_is_named(lines: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.document_start"):
        prepare(text_config(lines, document_start="["))


def test_library() -> None:
    corpus = prepared(LibraryCorpusConfig(name="library", tokenizer=TokenKind.byte))
    assert corpus.meta["sizes"]["train"] > 5_000_000 and len(corpus.documents("train")) > 300
    assert 0.02 < corpus.meta["sizes"]["test"] / sum(corpus.meta["sizes"].values()) < 0.1
    assert corpus.meta["notes"][0].endswith("files chosen by a digest of their paths")
    starts = corpus.documents("validation")
    assert (np.diff(starts) > 0).all() and starts[0] == 0


DATA = Path(os.environ.get("SEQTRAIN_DATA_DIR") or Path(__file__).parents[4] / "shared" / "data")


def real(folder: str) -> Path:
    if not (DATA / folder).is_dir():
        pytest.skip(f"SEQTRAIN_DATA_DIR names no folder with {folder}/")
    return DATA / folder


def test_wikitext2_as_published() -> None:
    path = str(real("wikitext2"))
    config = PublicCorpusConfig(name="wikitext2", path=path, tokenizer=TokenKind.word, rows_are_lines=True)
    corpus = prepared(config)
    assert corpus.meta["sizes"] == {"train": 2_088_628, "validation": 217_646, "test": 245_569}
    assert corpus.meta["vocab_size"] == 33_278
    unknown = corpus.meta["unknown"]
    assert corpus.tokenizer.names()[unknown] == "<unk>"
    assert int((corpus.tokens("train") == unknown).sum()) == 54_625
    text = corpus.tokenizer.decode(corpus.tokens("test")[:20])
    assert text.startswith("\n= Robert <unk> =\n\nRobert <unk> is an English film")
    assert corpus.documents("train").tolist() == [0]


def test_tiny_shakespeare_as_published() -> None:
    path = real("tiny_shakespeare")
    config = PublicCorpusConfig(name="s", path=str(path), tokenizer=TokenKind.char, validation_size=0.1, test_size=0.0)
    corpus = prepared(config)
    assert corpus.meta["sizes"] == {"train": 1_003_854, "validation": 111_540} and corpus.meta["vocab_size"] == 65
    text = (path / "input.txt").read_text()
    assert corpus.tokenizer.decode(corpus.tokens("train")) == text[:1_003_854]
    assert corpus.tokenizer.decode(corpus.tokens("validation")) == text[1_003_854:]
