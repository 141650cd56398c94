"""Tokenizers for running text: words, characters, bytes, byte-level BPE. None has a padding token."""

import json
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from seqtrain.config.corpus import TokenKind
from seqtrain.data.vocabulary import UNKNOWN
from seqtrain.errors import DataError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

EOS = "<eos>"
REPLACEMENT = "\ufffd"  # stands for an unknown character in decoded text
# The library gets texts in parts of about 4,096 characters, so that all cores work and memory stays small. They are cut
# where the library's pre-tokenizer cuts too: after a line end or before a blank, each between two other characters.
PART = re.compile(r".{1,4096}.*?(?:(?<=\S\n)(?=\S)|(?<=\S)(?= \S)|\Z)", re.DOTALL)


class CorpusTokenizer(ABC):
    """A map from text to tokens and back."""

    kind: ClassVar[TokenKind]
    vocab_size: int
    unknown: int | None = None
    """Token for everything that the vocabulary lacks; None if there is no such token."""
    end: int | None = None
    """Token that ends each document; None if there is no such token."""

    @abstractmethod
    def names(self) -> list[str]:
        """Every token in readable form, in the order of the vocabulary."""

    @abstractmethod
    def encode(self, text: str) -> np.ndarray:
        """Tokens of a text, (N,) int64.

        Raises:
            DataError: if the vocabulary lacks a part of the text and has no <unk>.
        """

    @abstractmethod
    def decode(self, ids: Iterable[int]) -> str:
        """The text of tokens; bytes that are not a character become U+FFFD."""

    @abstractmethod
    def token_lengths(self) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of characters and UTF-8 bytes that each token stands for, (V,) int64 each."""

    def unknown_parts(self, text: str) -> list[str]:
        """The distinct words or characters of a text that the vocabulary lacks, in order of first occurrence."""
        return []

    @abstractmethod
    def save(self, path: Path) -> None:
        """Write a tokenizer.json that ``load_tokenizer`` can read."""


class SymbolTokenizer(CorpusTokenizer):
    """A tokenizer with a token for each distinct part (word or character) of the text.

    Args:
        tokens: the parts, from the most to the least frequent.
        unknown: the token for all other parts; None if there is none.
    """

    def __init__(self, tokens: list[str], unknown: int | None):
        self.tokens, self.unknown, self.vocab_size = tokens, unknown, len(tokens)
        self.index = {token: i for i, token in enumerate(tokens)}
        self.other = -1 if unknown is None else unknown

    @staticmethod
    @abstractmethod
    def parts(text: str) -> Iterable[str]:
        """The parts of a text that become tokens."""

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
        """The error for a text with parts that the vocabulary lacks."""
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
    """Words between whitespace as tokens, and <eos> for each "\\n"; the words <eos> and <unk> are these tokens."""

    kind = TokenKind.word

    @staticmethod
    def parts(text: str) -> list[str]:
        return text.replace("\n", f" {EOS} ").split()

    def look_up(self, text: str) -> np.ndarray:
        parts = self.parts(text)
        return np.fromiter(map(self.index.get, parts, repeat(self.other)), np.int64, len(parts))

    @staticmethod
    def special_words(text: str) -> Counter[str]:
        """Numbers of words of a text that are spelt like <eos> and <unk>, and become these tokens."""
        spelt = [word for word in (EOS, UNKNOWN) if word in text]
        return Counter({word: text.split().count(word) for word in spelt})

    def decode(self, ids: Iterable[int]) -> str:
        """The words of tokens, with a single blank between two words of a line."""
        words = (self.tokens[i] for i in ids)
        return re.sub(" ?\n ?", "\n", " ".join("\n" if word == EOS else word for word in words))

    def token_lengths(self) -> tuple[np.ndarray, np.ndarray]:
        """Lengths of words, each with the blank or line end after it; <eos> has length 0.

        So a line of k >= 1 words has the sum of their lengths plus k, and an empty line has 0. A word that became <unk>
        counts as the word <unk>.
        """
        return text_lengths(["" if token == EOS else token + " " for token in self.tokens])


class CharTokenizer(SymbolTokenizer):
    """A token for every character."""

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
        """Lengths of characters: 1, and the UTF-8 bytes; an unknown character has the bytes of U+FFFD."""
        return text_lengths([REPLACEMENT if i == self.unknown else token for i, token in enumerate(self.tokens)])


class ByteTokenizer(CorpusTokenizer):
    """A token for every byte of the UTF-8 text: the value of the byte."""

    kind = TokenKind.byte
    vocab_size = 256

    def names(self) -> list[str]:
        return [content.decode(errors="backslashreplace") for content in self.contents()]

    def contents(self) -> list[bytes]:
        """The bytes that each token stands for."""
        return [bytes([value]) for value in range(256)]

    def encode(self, text: str) -> np.ndarray:
        return np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64)

    def decode(self, ids: Iterable[int]) -> str:
        return bytes(map(int, ids)).decode(errors="replace")

    def token_lengths(self) -> tuple[np.ndarray, np.ndarray]:
        """Lengths of tokens; a character is counted at its first byte, so that lengths add up to those of the text."""
        contents = self.contents()
        first = [sum(byte & 0b1100_0000 != 0b1000_0000 for byte in content) for content in contents]
        return np.array(first, dtype=np.int64), np.array([len(content) for content in contents], dtype=np.int64)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps({"kind": self.kind.value}))


class BpeTokenizer(ByteTokenizer):
    """Byte-level BPE by the library `tokenizers`; every text can be encoded, and decoded again exactly."""

    kind = TokenKind.bpe

    def __init__(self, library: "Tokenizer"):
        self.library, self.vocab_size = library, library.get_vocab_size()

    def contents(self) -> list[bytes]:
        # The library writes each byte as one printable character; bytes that are printable stand for themselves.
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
    """Numbers of characters and UTF-8 bytes of each text, (V,) int64 each."""
    characters = np.array([len(text) for text in texts], dtype=np.int64)
    return characters, np.array([len(text.encode()) for text in texts], dtype=np.int64)
