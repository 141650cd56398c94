"""Tokenizers for running text: words, characters, bytes, byte-level pairs. None has a padding symbol."""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from seqtrain.config.corpus import TokenKind
from seqtrain.errors import DataError, RunError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

EOS, UNKNOWN = "<eos>", "<unk>"
REPLACEMENT = "\ufffd"  # stands for an unknown character in decoded text
# Texts are given to the library in parts of some 4,096 characters, so that all cores work and none holds much. They are
# cut where its own first step cuts too: after a line's end or before a blank, each between two that are no blanks.
PART = re.compile(r".{1,4096}.*?(?:(?<=\S\n)(?=\S)|(?<=\S)(?= \S)|\Z)", re.DOTALL)


class CorpusTokenizer(ABC):
    """Text to tokens and back."""

    kind: ClassVar[TokenKind]
    vocab_size: int
    unknown: int | None = None
    """The token of what the vocabulary lacks; None if it has none."""

    @abstractmethod
    def names(self) -> list[str]:
        """Every token as people read it."""

    @abstractmethod
    def encode(self, text: str) -> np.ndarray:
        """Tokens of a text, (N,) int64.

        Raises:
            DataError: if the vocabulary lacks a part of it, and has no token for that.
        """

    @abstractmethod
    def decode(self, ids: Iterable[int]) -> str:
        """The text of tokens; bytes that form no character become U+FFFD."""

    @abstractmethod
    def token_lengths(self) -> tuple[np.ndarray, np.ndarray]:
        """Characters and UTF-8 bytes that each token stands for, (V,) int64 each."""

    def unknown_parts(self, text: str) -> list[str]:
        """The distinct words or characters of a text that the vocabulary lacks, in the order of their first places."""
        return []

    @abstractmethod
    def save(self, path: Path) -> None:
        """Write a tokenizer.json, which ``load_tokenizer`` reads."""


class SymbolTokenizer(CorpusTokenizer):
    """A token for each distinct part of the text.

    Args:
        tokens: the parts, in order of falling count.
        unknown: which of them stands for all others.
    """

    def __init__(self, tokens: list[str], unknown: int | None):
        self.tokens, self.unknown, self.vocab_size = tokens, unknown, len(tokens)
        self.index = {token: i for i, token in enumerate(tokens)}
        self.other = -1 if unknown is None else unknown

    @staticmethod
    @abstractmethod
    def parts(text: str) -> Iterable[str]:
        """The parts that become tokens."""

    @abstractmethod
    def look_up(self, text: str) -> np.ndarray:
        """Tokens of a text, (N,) int64, with ``other`` for what the vocabulary lacks."""

    def encode(self, text: str) -> np.ndarray:
        ids = self.look_up(text)
        if self.unknown is None and ids.size and ids.min() < 0:
            raise self.lacking(text)
        return ids

    def names(self) -> list[str]:
        return self.tokens

    def unknown_parts(self, text: str) -> list[str]:
        return list(dict.fromkeys(part for part in self.parts(text) if part not in self.index))

    def lacking(self, text: str) -> DataError:
        """The error for a text with unknown parts."""
        lacking = self.unknown_parts(text)
        some = ", ".join(map(repr, lacking[:5])) + (f" and {len(lacking) - 5} more" if len(lacking) > 5 else "")
        return DataError(
            f"the text holds {some}, which the vocabulary lacks, and it has no {UNKNOWN}: take them out of the text, "
            f"or train again with data.min_count=2, so that rare ones are {UNKNOWN}, or with data.tokenizer=byte"
        )

    def save(self, path: Path) -> None:
        content = {"kind": self.kind.value, "tokens": self.tokens, "unknown": self.unknown}
        path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


class WordTokenizer(SymbolTokenizer):
    """Words between whitespace, and <eos> for each "\\n". A word <eos> or <unk> in the text is that token."""

    kind = TokenKind.word

    @staticmethod
    def parts(text: str) -> list[str]:
        return text.replace("\n", f" {EOS} ").split()

    def look_up(self, text: str) -> np.ndarray:
        parts = self.parts(text)
        return np.fromiter(map(self.index.get, parts, repeat(self.other)), np.int64, len(parts))

    def decode(self, ids: Iterable[int]) -> str:
        """The words, with a single blank between two of a line."""
        words = (self.tokens[i] for i in ids)
        return re.sub(" ?\n ?", "\n", " ".join("\n" if word == EOS else word for word in words))

    def token_lengths(self) -> tuple[np.ndarray, np.ndarray]:
        """A word counts itself and the blank or line's end after it, so that <eos> counts nothing.

        Thus a line of k >= 1 words has the sum of their lengths plus k, and an empty line has none; a word that became
        <unk> counts as that word.
        """
        return text_lengths(["" if token == EOS else token + " " for token in self.tokens])


class CharTokenizer(SymbolTokenizer):
    """Every character a token."""

    kind = TokenKind.char

    def __init__(self, tokens: list[str], unknown: int | None):
        super().__init__(tokens, unknown)
        self.table = np.full(0x110000, self.other, dtype=np.int32)  # by code point
        for i, token in enumerate(tokens):
            if i != unknown:
                self.table[ord(token)] = i

    @staticmethod
    def parts(text: str) -> str:
        return text

    def look_up(self, text: str) -> np.ndarray:
        return self.table[np.frombuffer(text.encode("utf-32-le"), dtype="<u4")].astype(np.int64)

    def decode(self, ids: Iterable[int]) -> str:
        return "".join(REPLACEMENT if i == self.unknown else self.tokens[i] for i in ids)

    def token_lengths(self) -> tuple[np.ndarray, np.ndarray]:
        """One character each; an unknown one has the bytes of U+FFFD."""
        return text_lengths([REPLACEMENT if i == self.unknown else token for i, token in enumerate(self.tokens)])


class ByteTokenizer(CorpusTokenizer):
    """Every byte of the UTF-8 text is a token, that of its value."""

    kind = TokenKind.byte
    vocab_size = 256

    def names(self) -> list[str]:
        return [content.decode(errors="backslashreplace") for content in self.contents()]

    def contents(self) -> list[bytes]:
        """The bytes of each token."""
        return [bytes([value]) for value in range(256)]

    def encode(self, text: str) -> np.ndarray:
        return np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64)

    def decode(self, ids: Iterable[int]) -> str:
        return bytes(map(int, ids)).decode(errors="replace")

    def token_lengths(self) -> tuple[np.ndarray, np.ndarray]:
        """A character counts for its first byte, so that any split of a text into tokens adds up to it."""
        contents = self.contents()
        first = [sum(byte & 0b1100_0000 != 0b1000_0000 for byte in content) for content in contents]
        return np.array(first, dtype=np.int64), np.array([len(content) for content in contents], dtype=np.int64)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps({"kind": self.kind.value}))


class BpeTokenizer(ByteTokenizer):
    """Byte-level pairs, by the library `tokenizers`; no text is unknown to it, and every one can be had back."""

    kind = TokenKind.bpe

    def __init__(self, library: "Tokenizer"):
        self.library, self.vocab_size = library, library.get_vocab_size()

    def contents(self) -> list[bytes]:
        # The library writes each byte as one printable character: those that are so already stand for themselves.
        printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
        others = (byte for byte in range(256) if byte not in printable)
        value = {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}
        tokens = (self.library.id_to_token(i) or "" for i in range(self.vocab_size))
        return [bytes(value[letter] for letter in token) for token in tokens]

    def encode(self, text: str) -> np.ndarray:
        encodings = self.library.encode_batch_fast(PART.findall(text), add_special_tokens=False)
        return np.fromiter(chain.from_iterable(encoding.ids for encoding in encodings), np.int64)

    def decode(self, ids: Iterable[int]) -> str:
        return self.library.decode([int(i) for i in ids], skip_special_tokens=False)

    def save(self, path: Path) -> None:
        path.write_text(self.library.to_str(), encoding="utf-8")


def text_lengths(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Characters and UTF-8 bytes of each text, (V,) int64 each."""
    characters = np.array([len(text) for text in texts], dtype=np.int64)
    return characters, np.array([len(text.encode()) for text in texts], dtype=np.int64)


def load_tokenizer(path: Path) -> CorpusTokenizer:
    """Read what ``CorpusTokenizer.save`` wrote.

    Raises:
        RunError: if the file is missing or damaged.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text)
        if "model" in content:
            from tokenizers import Tokenizer

            return BpeTokenizer(Tokenizer.from_str(text))
        match TokenKind(content["kind"]):
            case TokenKind.word:
                return WordTokenizer(*vocabulary(content))
            case TokenKind.char:
                return CharTokenizer(*vocabulary(content))
            case TokenKind.byte:
                return ByteTokenizer()
        raise ValueError(f"no vocabulary of kind {content['kind']}")
    except Exception as error:  # the library raises bare exceptions
        reason = " ".join(str(error).split()) or type(error).__name__
        raise RunError(
            f"{path}: cannot be read as a tokenizer ({reason}); copy it from an intact copy of the run, or train again"
        ) from error


def vocabulary(content: dict[str, Any]) -> tuple[list[str], int | None]:
    """The tokens of a tokenizer.json, and which of them is <unk>; raises an error if they cannot be those."""
    tokens, unknown = content["tokens"], content["unknown"]
    if not all(isinstance(token, str) for token in tokens) or len(set(tokens)) < len(tokens):
        raise ValueError("its tokens are not distinct strings")
    if unknown is not None and tokens[unknown] != UNKNOWN:
        raise ValueError(f"its token {unknown} is not {UNKNOWN}")
    return tokens, unknown
