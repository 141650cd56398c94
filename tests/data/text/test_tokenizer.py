import pytest
from tokenizers import Tokenizer

from seqtrain.config.data import TextClassificationConfig
from seqtrain.config.text import Tokenizer as Kind
from seqtrain.data.text.tokenizer import encode, train_tokenizer

TEXTS = ["The cat sat, the cat ate.", "A dog<br />barked; don't!", "the naïve CAT", "cat dog cat"]


def tokenizer(kind: Kind, **options: object) -> Tokenizer:
    return train_tokenizer(TextClassificationConfig(tokenizer=kind, min_count=1, **options), TEXTS)  # type: ignore[arg-type]


def test_words() -> None:
    found = tokenizer(Kind.word, html_breaks=True)
    assert found.encode("A dog<br />barked; don't!").tokens == ["a", "dog", "barked", ";", "don't", "!"]
    assert found.encode("a zebra").tokens == ["a", "<unk>"]
    assert (found.token_to_id("<pad>"), found.token_to_id("<unk>")) == (0, 1)
    words = ["the", "cat", "sat", ",", "ate", ".", "a", "dog", "barked", ";", "don't", "!", "naïve"]
    assert found.get_vocab_size() == len(words) + 2
    assert found.token_to_id("cat") == 2  # most frequent first
    assert tokenizer(Kind.word, lowercase=False).encode("CAT").tokens == ["CAT"]


def test_vocabulary_limits() -> None:
    small = tokenizer(Kind.word, vocab_size=4)
    assert set(small.get_vocab()) == {"<pad>", "<unk>", "cat", "the"}
    config = TextClassificationConfig(tokenizer=Kind.word, min_count=3)
    assert set(train_tokenizer(config, TEXTS).get_vocab()) == {"<pad>", "<unk>", "cat", "the"}


def test_characters() -> None:
    found = tokenizer(Kind.char)
    assert found.encode("Cat").tokens == ["c", "a", "t"]
    assert found.encode("c\nat").tokens == ["c", "<unk>", "a", "t"]
    assert found.encode("ï").tokens == ["ï"]


def test_bpe_has_no_unknown_and_can_be_undone() -> None:
    found = tokenizer(Kind.bpe, vocab_size=300)
    encoded = found.encode("zebra ☃ cat")
    assert "<unk>" not in encoded.tokens
    assert found.decode(encoded.ids).strip() == "zebra ☃ cat"
    assert found.get_vocab_size() <= 300


@pytest.mark.parametrize("kind", list(Kind))
def test_text_that_looks_like_special_tokens_is_text(kind: Kind) -> None:
    learned = train_tokenizer(TextClassificationConfig(tokenizer=kind, min_count=1), ["a <pad> b <unk>c", "<eos>"])
    for found in (learned, Tokenizer.from_str(learned.to_str())):
        ((row, other),) = encode(found, ["a <pad><unk> b", "<pad>"])
        names = [found.id_to_token(token) or "" for token in row]
        assert 0 not in row + other and 1 not in row + other
        assert "".join(names).replace("\u0120", " ").replace(" ", "") == "a<pad><unk>b"


@pytest.mark.parametrize("kind", list(Kind))
def test_no_row_is_empty_and_chunks_keep_the_order(kind: Kind) -> None:
    found = tokenizer(kind)
    texts = ["cat"] * 2500 + [" \x00"] * 3 + ["", "dog"]
    rows = [row for chunk in encode(found, texts) for row in chunk]
    assert len(rows) == len(texts) and all(rows)
    assert rows[0] == found.encode("cat").ids and rows[-1] == found.encode("dog").ids
    assert rows[-2] == [1]
