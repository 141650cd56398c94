"""Options of running text, for language modelling."""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Self

from seqtrain.config.base import DataConfig, ModelConfig, require
from seqtrain.config.hub import HubConfig
from seqtrain.config.options import Affects, option
from seqtrain.config.text import TextConfig


class TokenKind(Enum):
    """What a token of running text is."""

    word = "word"
    bpe = "bpe"
    char = "char"
    byte = "byte"


class StatePolicy(Enum):
    """When the recurrent state, or the memory that attention sees, is reset."""

    carry = "carry"
    reset_document = "reset_document"
    reset_batch = "reset_batch"


@dataclass
class SegmentConfig(DataConfig):
    """Text cut into rows that are read from left to right and continue from batch to batch."""

    path: str | None = option(None, Affects.source)
    """A file, or a folder with one file or folder per split."""
    batch_size: int = option(20, Affects.batches)
    """Rows that train is cut into; each row continues from batch to batch."""
    bptt_len: int = option(35, Affects.batches)
    """Length of a training segment (steps); gradients do not flow back beyond it."""
    bptt_jitter: bool = option(False, Affects.batches)
    """Draw the length of each segment at random, as AWD-LSTM does, and scale the learning rate with it."""
    state: StatePolicy = option(StatePolicy.carry, Affects.batches)
    """``carry`` the state through the whole text, or reset it at each document (``reset_document``) or each segment
    (``reset_batch``)."""
    eval_batch_size: int = option(16, Affects.speed)
    """Rows that validation and test are cut into. Changes only speed, provided that ``eval_warmup`` is long enough."""
    eval_warmup: int = option(400, Affects.batches)
    """Steps that a row of evaluation reads without scoring, before its first scored step, to build up its state."""

    def for_model(self, model: ModelConfig) -> Self:
        """These options with ``eval_warmup`` at least as long as the model's attention looks back."""
        return replace(self, eval_warmup=max(self.eval_warmup, model.attention_reach()))

    def check(self, key: str) -> None:
        super().check(key)
        for name in ("batch_size", "bptt_len", "eval_batch_size"):
            require(getattr(self, name) >= 1, f"{key}.{name}", getattr(self, name), "at least 1")
        require(self.eval_warmup >= 0, f"{key}.eval_warmup", self.eval_warmup, "at least 0")


@dataclass
class CorpusConfig(SegmentConfig):
    """Running text from files, from the hub or from Python's standard library."""

    path: str | None = option(None, Affects.source)
    """A text file, or a folder with one text file or folder per split (train, valid or validation, test)."""
    text_column: str = option("text", Affects.rows)
    """Column or key that holds the text, in parquet and jsonl files."""
    document_start: str | None = option(None, Affects.rows)
    """Regular expression for the first line of a document; it must match the whole line. null: each file is a document,
    or each row of a jsonl or parquet file, unless ``rows_are_lines``."""
    rows_are_lines: bool = option(False, Affects.rows)
    """Read the rows of jsonl and parquet files as lines of one text, not as documents."""
    validation_size: float = option(0.05, Affects.rows)
    """Share of a text without splits that becomes validation: its end, before test."""
    test_size: float = option(0.05, Affects.rows)
    """Share of a text without splits that becomes test: its end; 0 for no test split."""

    tokenizer: TokenKind = TokenKind.bpe
    """``word`` (split at white space, with <eos> at the end of each line), ``bpe`` (byte-level byte-pair encoding),
    ``char`` or ``byte``."""
    vocab_size: int | None = None
    """Largest size of the vocabulary, which is learned from train only; null: all words or characters, or 8,192 for
    ``bpe``."""
    min_count: int = 1
    """Words and characters seen fewer times in train are unknown, and ``bpe`` does not merge rarer pairs (tokens)."""

    def check(self, key: str) -> None:
        super().check(key)
        require(0 < self.validation_size < 1, f"{key}.validation_size", self.validation_size, "above 0 and below 1")
        require(0 <= self.test_size < 1 - self.validation_size, f"{key}.test_size", self.test_size,
                f"at least 0 and below 1 - {key}.validation_size")  # fmt: skip
        least = 257 if self.tokenizer is TokenKind.bpe else 2
        require(self.vocab_size is None or self.vocab_size >= least, f"{key}.vocab_size", self.vocab_size,
                f"null, or at least {least}")  # fmt: skip
        require(self.min_count >= 1, f"{key}.min_count", self.min_count, "at least 1")


@dataclass
class PublicCorpusConfig(HubConfig, CorpusConfig):
    """A public text, read from ``path``, else from a folder of $SEQTRAIN_DATA_DIR, else from the hub."""


@dataclass
class TextCorpusConfig(CorpusConfig):
    """Your own text: the file or folder of files at ``path``."""


@dataclass
class LibraryCorpusConfig(CorpusConfig):
    """The source code of the installed Python's standard library, split by file."""


@dataclass
class DocumentsConfig(SegmentConfig, TextConfig):
    """Texts that are read one after the other, apart from each other; labels that they may have are not read."""

    train_splits: list[str] = option(["train"], Affects.rows)
    """Names of the source's splits that are read as train, one after the other. A single file is train."""
    validation_split: str | None = option(None, Affects.rows)
    """Name of the source's split to use as validation; null takes a part of train."""
    test_split: str | None = option(None, Affects.rows)
    """Name of the source's split to use as test; null takes ``test_size``."""
    held_out_split: str | None = option(None, Affects.rows)
    """Name of the source's split whose documents are left out of train, wherever they occur; it is read for nothing
    else. null leaves out none."""
    validation_size: float = option(0.05, Affects.rows)
    """Part of train to use as validation, at random: a fraction below 1, or a number of documents."""
    test_size: float = option(0.0, Affects.rows)
    """Part of train to use as test, at random: a fraction below 1, or a number of documents; 0 for no test split."""
    split_seed: int = option(0, Affects.rows)
    """Seed for choosing the documents of validation and test. Independent of ``seed``."""
    reverse: bool = False
    """Reverse the tokens within each document, for a model that reads from the end of a text to its beginning."""
    state: StatePolicy = option(StatePolicy.reset_document, Affects.batches)
    """``reset_document``: nothing is carried from one document to the next. ``carry`` the state through all of them, or
    reset it at each segment (``reset_batch``)."""

    def split_names(self) -> list[str]:
        """The source's names of the splits that are read, those of train first."""
        others = (self.validation_split, self.test_split, self.held_out_split)
        return [*self.train_splits, *(name for name in others if name is not None)]

    def check(self, key: str) -> None:
        super().check(key)
        names = self.split_names()
        require(len(self.train_splits) > 0, f"{key}.train_splits", self.train_splits, "at least one name")
        require(len(set(names)) == len(names), f"{key}.train_splits, validation_split, test_split and held_out_split",
                names, "different")  # fmt: skip
        require("test" not in self.train_splits, f"{key}.train_splits", self.train_splits,
                "without test, on which nothing is trained")  # fmt: skip
        require(self.validation_size > 0, f"{key}.validation_size", self.validation_size, "above 0")
        require(self.test_size >= 0, f"{key}.test_size", self.test_size, "at least 0")
        require(0 <= self.split_seed < 2**32, f"{key}.split_seed", self.split_seed, "in [0, 2**32)")
        require(self.vocab_size >= 4, f"{key}.vocab_size", self.vocab_size, "at least 4")


@dataclass
class TextDocumentsConfig(DocumentsConfig):
    """Your own documents: the file or folder of files at ``path``."""


@dataclass
class PublicDocumentsConfig(HubConfig, DocumentsConfig):
    """Public documents, read from ``path``, else from a folder of $SEQTRAIN_DATA_DIR, else from the hub."""


@dataclass
class DocstringDocumentsConfig(DocumentsConfig):
    """Docstrings of Python's standard library: those that ``data=docstrings`` trains on, and its test as test."""

    min_class_size: int = option(100, Affects.rows)
    """Chapters of the library reference with fewer docstrings than this are dropped (rows)."""
    test_size: float = option(0.2, Affects.rows)
    """Fraction of the docstrings to use as test: the same docstrings that ``data=docstrings`` sets apart."""

    def check(self, key: str) -> None:
        super().check(key)
        require(0 < self.test_size < 1, f"{key}.test_size", self.test_size, "above 0 and below 1")
