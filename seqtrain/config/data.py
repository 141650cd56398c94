"""Options of the datasets."""

import math
from dataclasses import dataclass
from enum import Enum, StrEnum

from omegaconf import MISSING

from seqtrain.config.base import DataConfig, check_folds, check_splits, require
from seqtrain.config.hub import HubConfig
from seqtrain.config.options import Affects, option
from seqtrain.config.text import TextConfig


class Truncate(Enum):
    """Which part of a text longer than ``max_length`` is kept."""

    head = "head"
    tail = "tail"
    head_tail = "head_tail"


class LabelsAs(StrEnum):
    """What labels are, where classes have names: these names, or their numbers from 0."""

    names = "names"
    numbers = "numbers"


@dataclass
class TextClassificationConfig(TextConfig):
    """Texts with a label each, or with several; the base of all kinds of text classification."""

    label_column: str = option("label", Affects.rows)
    """Column that holds the label, or with ``task=multilabel`` the labels: names of classes, or their numbers."""
    label_separator: str | None = option(None, Affects.rows)
    """With ``task=multilabel``: what separates the labels of a row: ``pipe``, ``semicolon``, ``comma`` or any other
    string; null if they are lists."""
    class_names: list[str] | None = option(None, Affects.rows)
    """Names of the classes, in order; null takes the names stored in the files, else the labels themselves."""
    labels_as: LabelsAs | None = option(None, Affects.rows)
    """What the labels are, where classes have names: these ``names``, or their ``numbers`` from 0; null sees it from
    all labels together."""
    train_split: str = option("train", Affects.rows)
    """Name of the source's split to use as train."""
    validation_split: str | None = option("validation", Affects.rows)
    """Name of the source's split to use as validation; if null or absent, part of train is used."""
    test_split: str | None = option("test", Affects.rows)
    """Name of the source's split to use as test; if null or absent, only validation is reported."""
    validation_size: float = option(0.1, Affects.rows)
    """Part of train to use as validation, stratified by class: a fraction below 1, or a number of rows."""
    test_size: float = option(0.1, Affects.rows)
    """Part of the rows to use as test where the source has a train split only, stratified by class: a fraction below 1,
    or a number of rows; 0 for none."""
    split_seed: int = option(0, Affects.rows)
    """Seed for choosing the validation and test rows. Independent of ``seed``, so that runs with different seeds are
    scored on the same rows."""
    folds: int | None = option(None, Affects.rows)
    """Number of parts into which train is cut for cross-validation, stratified by class; one of them
    is validation. null takes ``validation_size``."""
    fold: int = option(0, Affects.rows)
    """Which of the ``folds`` is validation, counted from 0."""

    max_length: int = option(400, Affects.batches)
    """Longer texts are truncated to this length (tokens)."""
    truncate: Truncate = option(Truncate.head, Affects.batches)
    """Which part of a longer text is kept: ``head``, ``tail``, or ``head_tail`` (half from each end)."""
    batch_size: int = option(64, Affects.batches)
    """Examples in a training batch."""
    batch_tokens: int | None = option(None, Affects.batches)
    """Largest number of tokens in a training batch, padding included; replaces ``batch_size`` if set."""
    eval_batch_tokens: int = option(16_384, Affects.speed)
    """Largest number of tokens in an evaluation batch, padding included. Changes only speed and memory."""
    rare_dropout: float = option(0.0, Affects.batches)
    """Dropout of rare tokens in training: each token becomes ``<unk>`` with probability a / (a + n), where a is this
    number and n how often train has the token."""
    unlabelled: str | None = option(None, Affects.batches)
    """Texts without labels, which ``task.virtual_adversarial`` learns from: the name of a split of the source, a file,
    or a folder of files."""
    unlabelled_batch_size: int | None = option(None, Affects.batches)
    """Unlabelled texts that join a training batch; null for as many as a batch has by ``batch_size`` or
    ``batch_tokens``."""

    def check(self, key: str) -> None:
        super().check(key)
        require(0 <= self.rare_dropout < math.inf, f"{key}.rare_dropout", self.rare_dropout, "at least 0, and finite")
        require(self.label_separator != "", f"{key}.label_separator", self.label_separator, "null or not empty")
        check_splits(self, key)
        check_folds(self.folds, self.fold, key)
        require(self.max_length >= 1, f"{key}.max_length", self.max_length, "at least 1")
        require(self.batch_size >= 1, f"{key}.batch_size", self.batch_size, "at least 1")
        joining = self.unlabelled_batch_size
        require(joining is None or joining >= 1, f"{key}.unlabelled_batch_size", joining, "at least 1, or null")
        for name in ("batch_tokens", "eval_batch_tokens"):
            value = getattr(self, name)
            require(value is None or value >= self.max_length, f"{key}.{name}", value,
                    f"at least {key}.max_length ({self.max_length}), so that a batch holds one text")  # fmt: skip


@dataclass
class HubTextConfig(HubConfig, TextClassificationConfig):
    """A public dataset, read from ``path``, else from a folder of $SEQTRAIN_DATA_DIR, else from the hub."""


@dataclass
class TextFilesConfig(TextClassificationConfig):
    """Your own csv, tsv, jsonl or parquet files, at ``path``."""


@dataclass
class DocstringsConfig(TextClassificationConfig):
    """Docstrings of Python's standard library; the class is the chapter of the library reference on their module."""

    min_class_size: int = option(100, Affects.rows)
    """Chapters with fewer docstrings than this are dropped (rows)."""
    test_size: float = option(0.2, Affects.rows)
    """Fraction of the docstrings to use as test, stratified by class."""

    def check(self, key: str) -> None:
        super().check(key)
        require(self.path is None, f"{key}.path", self.path, "null: this dataset is the machine's own library")
        require(0 < self.test_size < 1, f"{key}.test_size", self.test_size, "above 0 and below 1")


class Problem(Enum):
    """The problem of a generated dataset; ``seqtrain/data/generated/problems.py`` defines them."""

    adding = "adding"
    copy_memory = "copy_memory"
    reverse = "reverse"


@dataclass
class GeneratedConfig(DataConfig):
    """Generated sequences: new ones in each training epoch, always the same ones in validation and test."""

    problem: Problem = MISSING
    """``adding``, ``copy_memory`` or ``reverse``; ``seqtrain/data/generated/problems.py`` defines them."""
    length: int = option(MISSING, Affects.rows)
    """``adding``: length of a sequence (steps); ``copy_memory``: blank steps between original and copy; ``reverse``:
    symbols to reverse."""
    num_symbols: int = 8
    """Number of different symbols in ``copy_memory`` and ``reverse``."""
    copy_length: int = option(10, Affects.rows)
    """Number of symbols to remember in ``copy_memory``."""
    num_train: int = option(64_000, Affects.rows)
    """Sequences in an epoch of training."""
    num_eval: int = option(2_000, Affects.rows)
    """Sequences in validation, and as many in test."""
    batch_size: int = option(64, Affects.batches)
    """Sequences in a batch."""

    def check(self, key: str) -> None:
        minimum = {Problem.adding: 2, Problem.copy_memory: 1, Problem.reverse: 1}[self.problem]
        require(self.length >= minimum, f"{key}.length", self.length, f"at least {minimum}")
        for name in ("copy_length", "num_train", "num_eval", "batch_size"):
            require(getattr(self, name) >= 1, f"{key}.{name}", getattr(self, name), "at least 1")
        require(self.num_symbols >= 2, f"{key}.num_symbols", self.num_symbols, "at least 2")


@dataclass
class TaggingFilesConfig(DataConfig):
    """Your own sentences with a tag for each token: in columns (conll, conllu, txt, tsv), or as lists in jsonl, json or
    parquet.
    """

    path: str | None = option(None, Affects.source)
    """A file (all its sentences), or a folder with one file per split, such as ``train.conll``."""
    token_column: int = option(0, Affects.rows)
    """Column of the token, counted from 0; negative numbers count from the end (-1 is the last)."""
    tag_column: int = option(-1, Affects.rows)
    """Column of the tag, counted from 0; negative numbers count from the end (-1 is the last)."""
    tokens_key: str = option("tokens", Affects.rows)
    """Key of the list of tokens in jsonl, json and parquet files."""
    tags_key: str = option("tags", Affects.rows)
    """Key of the list of tags in jsonl, json and parquet files."""
    train_split: str = option("train", Affects.rows)
    """Name of the file to use as train, without its extension."""
    validation_split: str | None = option("validation", Affects.rows)
    """Name of the file to use as validation, without its extension; if null or absent, part of train is used."""
    test_split: str | None = option("test", Affects.rows)
    """Name of the file to use as test, without its extension; if null or absent, only validation is reported."""
    validation_size: float = option(0.1, Affects.rows)
    """Part of train to use as validation: a fraction below 1, or a number of sentences."""
    test_size: float = option(0.1, Affects.rows)
    """Part of the sentences to use as test where there is a train split only: a fraction below 1, or a number of
    sentences; 0 for none."""
    split_seed: int = option(0, Affects.rows)
    """Seed for choosing the validation and test sentences. Independent of ``seed``, so that runs with different seeds
    are scored on the same sentences."""
    folds: int | None = option(None, Affects.rows)
    """Number of parts into which train is cut for cross-validation, by sentence; one of them
    is validation. null takes ``validation_size``."""
    fold: int = option(0, Affects.rows)
    """Which of the ``folds`` is validation, counted from 0."""

    vocab_size: int = 30_000
    """Largest size of the vocabulary, its two special tokens included; it is learned from train only."""
    min_count: int = 1
    """Words seen fewer times in train are unknown (tokens)."""
    lowercase: bool = True
    """Lowercase tokens before they are looked up in the vocabulary."""

    max_length: int = option(400, Affects.batches)
    """Longer sentences are truncated to this length (tokens); the rest is neither trained on nor scored."""
    batch_size: int = option(32, Affects.batches)
    """Sentences in a training batch."""
    batch_tokens: int | None = option(None, Affects.batches)
    """Largest number of tokens in a training batch, padding included; replaces ``batch_size`` if set."""
    eval_batch_tokens: int = option(16_384, Affects.speed)
    """Largest number of tokens in an evaluation batch, padding included. Changes only speed and memory."""

    def check(self, key: str) -> None:
        require(self.tag_column != self.token_column, f"{key}.tag_column", self.tag_column,
                f"different from {key}.token_column")  # fmt: skip
        require(self.tags_key != self.tokens_key, f"{key}.tags_key", self.tags_key, f"different from {key}.tokens_key")
        check_splits(self, key)
        check_folds(self.folds, self.fold, key)
        require(self.vocab_size >= 3, f"{key}.vocab_size", self.vocab_size, "at least 3")
        for name in ("min_count", "max_length", "batch_size"):
            require(getattr(self, name) >= 1, f"{key}.{name}", getattr(self, name), "at least 1")
        for name in ("batch_tokens", "eval_batch_tokens"):
            value = getattr(self, name)
            require(value is None or value >= self.max_length, f"{key}.{name}", value,
                    f"at least {key}.max_length ({self.max_length}), so that a batch holds one sentence")  # fmt: skip
