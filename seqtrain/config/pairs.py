"""Options of pairs of texts: a source, and its translation."""

from dataclasses import dataclass

from seqtrain.config.base import check_splits, require
from seqtrain.config.hub import HubConfig
from seqtrain.config.options import Affects, option
from seqtrain.config.text import Tokenizer, VocabularyConfig


@dataclass
class PairsConfig(VocabularyConfig):
    """Pairs of texts, in files with a line for each text or in tables; the base of all kinds of pairs."""

    path: str | None = option(None, Affects.source)
    """A folder with the files of each split, a table of all pairs, one of two files with a line for each text, or what
    the names of both have in common."""
    source: str = "source"
    """Suffix of the files of source texts, such as ``de`` for ``train.de``; in tables, the name of their column."""
    target: str = "target"
    """Suffix of the files of target texts, or the name of their column."""
    train_split: str = option("train", Affects.rows)
    """Name of the source's split to use as train."""
    validation_split: str | None = option("validation", Affects.rows)
    """Name of the source's split to use as validation; if null or absent, part of train is used."""
    test_split: str | None = option("test", Affects.rows)
    """Name of the source's split to use as test; if null or absent, only validation is reported."""
    validation_size: float = option(0.1, Affects.rows)
    """Part of train to use as validation: a fraction below 1, or a number of pairs."""
    test_size: float = option(0.1, Affects.rows)
    """Part of the pairs to use as test where the source has a train split only: a fraction below 1, or a number of
    pairs; 0 for none."""
    split_seed: int = option(0, Affects.rows)
    """Seed for choosing the validation and test pairs. Independent of ``seed``, so that runs with different seeds are
    scored on the same pairs."""
    max_length: int = option(100, Affects.rows)
    """Pairs of train with a longer text on either side are dropped (tokens); those of other splits are kept."""

    tokenizer: Tokenizer = Tokenizer.bpe
    """``bpe`` (byte-level byte-pair encoding), ``word`` (runs of letters and digits, single punctuation marks) or
    ``char``."""
    vocab_size: int = 8_000
    """Largest size of a vocabulary, its four special tokens included; it is learned from train only."""
    lowercase: bool = False
    """Lowercase texts before tokenising. Translations then are lowercase too, see ``task.lowercase``."""
    joint: bool = True
    """Learn one vocabulary from both sides; if false, each side has its own."""

    batch_size: int = option(64, Affects.batches)
    """Pairs in a training batch."""
    batch_tokens: int | None = option(None, Affects.batches)
    """Largest number of tokens in a training batch, of both sides, padding included; replaces ``batch_size`` if set."""
    eval_batch_tokens: int = option(4_096, Affects.speed)
    """Largest number of tokens in an evaluation batch, of both sides, padding included. Changes only speed and
    memory."""

    def check(self, key: str) -> None:
        super().check(key)
        for name in ("source", "target"):
            value = getattr(self, name)
            require(value not in ("", ".gz", "gz"), f"{key}.{name}", value, "a suffix or the name of a column")
        require(self.source != self.target, f"{key}.target", self.target, f"different from {key}.source")
        require(self.vocab_size >= 5, f"{key}.vocab_size", self.vocab_size, "at least 5, 4 of them special tokens")
        check_splits(self, key)
        for name in ("max_length", "batch_size", "eval_batch_tokens"):
            require(getattr(self, name) >= 1, f"{key}.{name}", getattr(self, name), "at least 1")
        tokens, longest = self.batch_tokens, 2 * (self.max_length + 1)
        require(tokens is None or tokens >= longest, f"{key}.batch_tokens", tokens,
                f"null, or at least {longest}: a pair of {key}.max_length={self.max_length} and the ends")  # fmt: skip


@dataclass
class PairFilesConfig(PairsConfig):
    """Your own pairs of texts, at ``path``."""


@dataclass
class HubPairsConfig(HubConfig, PairsConfig):
    """Public pairs of texts, read from ``path``, else from a folder of $SEQTRAIN_DATA_DIR, else from the hub."""
