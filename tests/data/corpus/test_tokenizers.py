import json
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from seqtrain.config.corpus import CorpusConfig, TokenKind
from seqtrain.data.corpus import vocabulary as corpus_vocabulary
from seqtrain.data.corpus.loading import load_tokenizer
from seqtrain.data.corpus.stream import Chunk
from seqtrain.data.corpus.tokenizers import (
    PART,
    BpeTokenizer,
    CharTokenizer,
    CorpusTokenizer,
    WordTokenizer,
)
from seqtrain.data.corpus.vocabulary import learn_tokenizer
from seqtrain.errors import DataError, RunError

ALPHABET = [
    *"aAbé ß\u0301\u00a0\u2028\x85\x1c\x0b.,'0123🙂👩\u200d\ufeff漢字",
    "\n",
    "\n",
    "\n\n",
    "\r\n",
    "  ",
    "\t",
    "don't",
]
WORDS = "the cat sat on the mat\nthe cat sat\nthe dog\n"


def random_text(seed: int, length: int = 200) -> str:
    rng = random.Random(seed)
    return "".join(rng.choice(ALPHABET) if rng.random() < 0.9 else chr(rng.randrange(0xD800)) for _ in range(length))


def learn(kind: str, train: str | list[str], *others: str, **options: int) -> CorpusTokenizer:
    texts = {"train": [train] if isinstance(train, str) else train} | {str(i): [t] for i, t in enumerate(others)}

    def stream(parts: list[str]) -> Iterator[Chunk]:
        for i, part in enumerate(parts):
            yield Chunk(part, i == 0)

    config = CorpusConfig(tokenizer=TokenKind(kind), **options)  # type: ignore[arg-type]
    return learn_tokenizer(config, {split: partial(stream, parts) for split, parts in texts.items()})


def expected_length(tokenizer: CorpusTokenizer, text: str) -> tuple[int, int]:
    characters, sizes = tokenizer.token_lengths()
    ids = tokenizer.encode(text)
    return int(characters[ids].sum()), int(sizes[ids].sum())


@pytest.mark.parametrize("kind", ["char", "byte", "bpe"])
def test_text_comes_back_exactly(kind: str, tmp_path: Path) -> None:
    texts = [random_text(seed) for seed in range(60)]
    tokenizer = learn(kind, texts, vocab_size=400) if kind == "bpe" else learn(kind, texts)
    tokenizer.save(tmp_path / "tokenizer.json")
    loaded = load_tokenizer(tmp_path / "tokenizer.json")
    assert type(loaded) is type(tokenizer) and loaded.names() == tokenizer.names()
    unseen = [] if kind == "char" else [random_text(seed) for seed in range(60, 90)]
    for text in [*texts, *unseen, "", "\n"]:
        ids = tokenizer.encode(text)
        assert ids.dtype == np.int64 and ids.size == 0 or ids.max() < tokenizer.vocab_size
        assert tokenizer.decode(ids) == text == loaded.decode(loaded.encode(text).tolist())
        assert expected_length(tokenizer, text) == (len(text), len(text.encode()))
        assert tokenizer.unknown_parts(text) == []
    assert len(tokenizer.names()) == tokenizer.vocab_size and tokenizer.unknown is None


@pytest.mark.parametrize("seed", range(20))
def test_words_come_back_with_single_blanks(seed: int) -> None:
    text = random_text(seed)
    tokenizer = learn("word", text)
    lines = [line.split() for line in text.split("\n")]
    assert tokenizer.decode(tokenizer.encode(text)) == "\n".join(" ".join(line) for line in lines)
    assert (tokenizer.encode(text) == tokenizer.encode("<eos>")).sum() == text.count("\n")
    full = [line for line in lines if line]
    assert expected_length(tokenizer, text) == (
        sum(len(word) + 1 for line in full for word in line),
        sum(len(word.encode()) + 1 for line in full for word in line),
    )


def test_a_last_line_without_end_has_no_eos() -> None:
    tokenizer = learn("word", "a b\n")
    assert tokenizer.names() == ["<eos>", "a", "b"]
    assert tokenizer.encode("a b").tolist() == [1, 2] and tokenizer.encode("a\n\nb\n").tolist() == [1, 0, 0, 2, 0]


def test_vocabulary_is_in_order_of_count_then_of_the_token() -> None:
    assert learn("word", WORDS).names() == ["the", "<eos>", "cat", "sat", "dog", "mat", "on"]
    assert learn("char", "bbaac").names() == ["a", "b", "c"]
    assert learn("word", ["the c", "at\n"]).names() == ["<eos>", "at", "c", "the"]  # the caller cuts between words


@pytest.mark.parametrize(
    ("options", "others", "names"),
    [
        ({}, ["the cat\n"], ["the", "<eos>", "cat", "sat", "dog", "mat", "on"]),
        ({"min_count": 2}, [], ["the", "<eos>", "<unk>", "cat", "sat"]),  # dog, mat, on: three unknown
        ({"vocab_size": 3}, [], ["<unk>", "the", "<eos>"]),
        ({"vocab_size": 7}, [], ["the", "<eos>", "cat", "sat", "dog", "mat", "on"]),
        ({"vocab_size": 7}, ["the cow\n"], ["the", "<eos>", "cat", "sat", "<unk>", "dog", "mat"]),
        ({}, ["the cow\n"], ["the", "<eos>", "cat", "sat", "dog", "mat", "on", "<unk>"]),
        ({}, ["<unk>\n"], ["the", "<eos>", "cat", "sat", "dog", "mat", "on", "<unk>"]),
    ],
)
def test_unknown_is_there_if_and_only_if_needed(
    options: dict[str, int], others: list[str], names: list[str], tmp_path: Path
) -> None:
    tokenizer = learn("word", WORDS, *others, **options)
    assert tokenizer.names() == names
    assert tokenizer.unknown == (names.index("<unk>") if "<unk>" in names else None)
    tokenizer.save(tmp_path / "t.json")
    assert load_tokenizer(tmp_path / "t.json").unknown == tokenizer.unknown
    for text in (WORDS, *others):
        ids = tokenizer.encode(text)
        known = set(names) - {"<unk>"}
        assert tokenizer.decode(ids[ids != tokenizer.unknown]).split() == [w for w in text.split() if w in known]


def test_a_word_unk_in_the_text_is_the_unknown_word() -> None:
    tokenizer = learn("word", "<unk> <unk> b\n")
    assert tokenizer.names() == ["<unk>", "<eos>", "b"] and tokenizer.unknown == 0
    assert tokenizer.encode("<unk> other b").tolist() == [0, 0, 2]
    assert tokenizer.unknown_parts("x b y x <unk>") == ["x", "y"]


def test_unknown_characters() -> None:
    tokenizer = learn("char", "aaab", "c")
    assert isinstance(tokenizer, CharTokenizer) and tokenizer.names() == ["a", "b", "<unk>"]
    assert tokenizer.encode("abc🙂").tolist() == [0, 1, 2, 2]
    assert tokenizer.decode([0, 2]) == "a\ufffd" and tokenizer.unknown_parts("a🙂c🙂") == ["🙂", "c"]
    assert tokenizer.token_lengths()[0].tolist() == [1, 1, 1]


@pytest.mark.parametrize(("kind", "text", "named"), [("char", "abé", "'é'"), ("word", "a x\n", "'x'")])
def test_without_unknown_the_lacking_are_named(kind: str, text: str, named: str) -> None:
    with pytest.raises(DataError, match=rf"holds {named}, which the vocabulary lacks.*data.min_count=2"):
        learn(kind, "a b\n").encode(text)


def test_byte_lengths_count_a_character_once() -> None:
    characters, sizes = learn("byte", "a").token_lengths()
    assert characters[list("é🙂".encode())].tolist() == [1, 0, 1, 0, 0, 0] and set(sizes) == {1}
    assert learn("byte", "a").decode([0xF0, 0x9F, 65]) == "\ufffdA"


def test_parts_give_the_tokens_of_the_whole_text() -> None:
    text = "\n".join(" ".join(["word"] * (i % 7)) + " " * (i % 3) for i in range(4000))
    parts = PART.findall(text)
    assert "".join(parts) == text and len(parts) > 5 and max(map(len, parts)) < 4200
    tokenizer = learn("bpe", text, vocab_size=300)
    assert isinstance(tokenizer, BpeTokenizer)
    assert tokenizer.encode(text).tolist() == tokenizer.library.encode(text).ids
    assert "".join(PART.findall("x" * 10_000)) == "x" * 10_000


def test_bpe_has_all_bytes_and_learns_from_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = ["aa " * 50, "zz " * 50] * 4
    assert " zz" in learn("bpe", chunks, vocab_size=260).names()
    monkeypatch.setattr(corpus_vocabulary, "SAMPLE", 600)  # half of train: every second chunk
    tokenizer = learn("bpe", chunks, vocab_size=260)
    assert tokenizer.vocab_size <= 260 and len({name for name in tokenizer.names() if len(name) == 1}) >= 128
    assert " zz" not in tokenizer.names() and " aa" in tokenizer.names()


def damaged(**changes: object) -> Callable[[str], str]:
    return lambda text: json.dumps(json.loads(text) | changes)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[1]",
        damaged(kind="letters"),
        damaged(tokens=["a", "a"]),
        damaged(tokens=[1]),
        damaged(unknown=7),
        damaged(kind="bpe"),
        damaged(model={"type": "BPE"}),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, damage: Callable[[str], str]) -> None:
    path = tmp_path / "tokenizer.json"
    WordTokenizer(["a", "b"], None).save(path)
    path.write_text(damage(path.read_text()))
    with pytest.raises(RunError, match=r"tokenizer\.json: cannot be read.*train again") as error:
        load_tokenizer(path)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"t\.json: cannot be read"):
        load_tokenizer(tmp_path / "t.json")
