"""Options of the tokens of texts, labelled or not."""

from dataclasses import dataclass
from enum import Enum

from seqtrain.config.base import require
from seqtrain.config.options import Affects, option
from seqtrain.config.tables import TableConfig


class Tokenizer(Enum):
    """How a text is split into tokens."""

    word = "word"
    bpe = "bpe"
    char = "char"


@dataclass
class VocabularyConfig(TableConfig):
    """How texts of tables or files are split into tokens, and which tokens are known."""

    tokenizer: Tokenizer = Tokenizer.word
    """``word`` (runs of letters and digits, single punctuation marks), ``bpe`` (byte-level byte-pair encoding) or
    ``char``."""
    vocab_size: int = 30_000
    """Largest size of the vocabulary, special tokens included; it is learned from train only."""
    min_count: int = 2
    """Words, pairs and characters seen fewer times in train are unknown (tokens)."""
    lowercase: bool = True
    """Lowercase texts before tokenising."""
    html_breaks: bool = False
    """Read ``<br />`` as a space."""

    def check(self, key: str) -> None:
        super().check(key)
        require(self.vocab_size >= 3, f"{key}.vocab_size", self.vocab_size, "at least 3")
        require(self.min_count >= 1, f"{key}.min_count", self.min_count, "at least 1")


@dataclass
class TextConfig(VocabularyConfig):
    """Texts in tables or files, each of which is split into tokens."""

    path: str | None = option(None, Affects.source)
    """A file (all its rows), or a folder with one file or folder per split."""
    text_column: str = option("text", Affects.rows)
    """Column that holds the text."""
