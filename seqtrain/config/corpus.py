"""Options of running text, for next-word prediction."""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Self

from omegaconf import MISSING

from seqtrain.config.base import DataConfig, ModelConfig, require
from seqtrain.config.options import Affects, option


class TokenKind(Enum):
    """What a token of running text is."""

    word = "word"
    bpe = "bpe"
    char = "char"
    byte = "byte"


class StatePolicy(Enum):
    """When the recurrent state, or the attended memory, starts anew."""

    carry = "carry"
    reset_document = "reset_document"
    reset_batch = "reset_batch"


@dataclass
class CorpusConfig(DataConfig):
    """Running text, read from left to right in rows that go on from batch to batch."""

    path: str | None = option(None, Affects.source)
    """A text file, or a folder with one text file or folder per split (train, valid or validation, test)."""
    text_column: str = option("text", Affects.rows)
    """Column or key that holds the text, in parquet and jsonl files."""
    document_start: str | None = option(None, Affects.rows)
    """A line that this regular expression matches as a whole begins a document; null: a document is a file (or a row of
    jsonl and parquet, unless ``rows_are_lines``)."""
    rows_are_lines: bool = option(False, Affects.rows)
    """Rows of jsonl and parquet files are lines of one text, not documents."""
    validation_size: float = option(0.05, Affects.rows)
    """Share of a text without splits that is set apart as validation, at its end."""
    test_size: float = option(0.05, Affects.rows)
    """Share set apart as test, after validation; 0 for none."""

    tokenizer: TokenKind = TokenKind.bpe
    """``word`` (separated by blanks, with <eos> at each line's end), ``bpe`` (byte-level pairs), ``char``, ``byte``."""
    vocab_size: int | None = None
    """Largest number of tokens, learned from train only; null: all words or characters, 8,192 for ``bpe``."""
    min_count: int = 1
    """A word or character seen fewer times in train is unknown, a pair of ``bpe`` not joined (tokens)."""

    batch_size: int = option(20, Affects.batches)
    """Rows that train is cut into, each read on from batch to batch."""
    bptt_len: int = option(35, Affects.batches)
    """Steps of a training segment: gradients flow back no further."""
    bptt_jitter: bool = option(False, Affects.batches)
    """Draw the length of each segment anew, as AWD-LSTM does, with the learning rate in proportion."""
    state: StatePolicy = option(StatePolicy.carry, Affects.batches)
    """``carry`` it over the whole text, or start anew with each document or with each segment."""
    eval_batch_size: int = option(16, Affects.speed)
    """Rows that validation and test are cut into. Changes speed only, as far as ``eval_warmup`` reaches."""
    eval_warmup: int = option(400, Affects.batches)
    """Steps before its first scored one that a row of evaluation reads, unscored, to build up its state."""

    def for_model(self, model: ModelConfig) -> Self:
        """A row of evaluation has to see all that the model can look back to."""
        return replace(self, eval_warmup=max(self.eval_warmup, model.attention_reach()))

    def check(self, key: str) -> None:
        require(0 < self.validation_size < 1, f"{key}.validation_size", self.validation_size, "above 0 and below 1")
        require(0 <= self.test_size < 1 - self.validation_size, f"{key}.test_size", self.test_size,
                f"at least 0 and below 1 - {key}.validation_size")  # fmt: skip
        least = 257 if self.tokenizer is TokenKind.bpe else 2
        require(self.vocab_size is None or self.vocab_size >= least, f"{key}.vocab_size", self.vocab_size,
                f"null, or at least {least}")  # fmt: skip
        for name in ("min_count", "batch_size", "bptt_len", "eval_batch_size"):
            require(getattr(self, name) >= 1, f"{key}.{name}", getattr(self, name), "at least 1")
        require(self.eval_warmup >= 0, f"{key}.eval_warmup", self.eval_warmup, "at least 0")


@dataclass
class PublicCorpusConfig(CorpusConfig):
    """A public text: from ``path``, else a folder of $SEQTRAIN_DATA_DIR, else the hub."""

    folder: str = option(MISSING, Affects.source)
    """Folder of the text under $SEQTRAIN_DATA_DIR."""
    hub: str = option(MISSING, Affects.source)
    """Name of the dataset on the hub."""
    hub_subset: str | None = option(None, Affects.source)
    """Configuration of the dataset on the hub, where it has several."""
    revision: str | None = option(None, Affects.source)
    """Revision of the dataset on the hub; null takes the newest when it is first prepared."""


@dataclass
class TextCorpusConfig(CorpusConfig):
    """A person's own text: a file, or a folder of files, named by ``path``."""


@dataclass
class LibraryCorpusConfig(CorpusConfig):
    """The source code of the machine's own standard library, split by file."""
