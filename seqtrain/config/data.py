"""Options of the datasets."""

from dataclasses import dataclass
from enum import Enum

from omegaconf import MISSING

from seqtrain.config.base import DataConfig, require


class Tokenizer(Enum):
    """How a text becomes tokens."""

    word = "word"
    bpe = "bpe"
    char = "char"


class Truncate(Enum):
    """Which part of a text longer than ``max_length`` is kept."""

    head = "head"
    tail = "tail"
    head_tail = "head_tail"


@dataclass
class TextClassificationConfig(DataConfig):
    """Texts with one label each. The base of every kind of text classification."""

    path: str | None = None
    """A file (all its rows), or a folder that holds one file or folder per split."""
    text_column: str = "text"
    """Column that holds the text."""
    label_column: str = "label"
    """Column that holds the label: a class name, or an integer."""
    class_names: list[str] | None = None
    """Names of the integer labels 0, 1, ...; null takes the file's own, else the labels as they stand."""
    train_split: str = "train"
    """Name of the source's split that serves as train."""
    validation_split: str | None = "validation"
    """Name of the source's split that serves as validation; where it is null or absent, rows of train are set apart."""
    test_split: str | None = "test"
    """Name of the source's split that serves as test; where it is null or absent, only validation is reported."""
    validation_size: float = 0.1
    """Rows of train set apart for validation, stratified by class: a fraction below 1, or a number of rows."""
    split_seed: int = 0
    """Seed of that choice; apart from ``seed``, so that runs with different seeds are scored on the same rows."""

    tokenizer: Tokenizer = Tokenizer.word
    """``word`` (runs of letters and digits, single punctuation marks), ``bpe`` (byte-level pairs) or ``char``."""
    vocab_size: int = 30_000
    """Largest number of tokens in the vocabulary, the special ones included; learned from train only."""
    min_count: int = 2
    """A word, pair or character seen fewer times in train is unknown (tokens)."""
    lowercase: bool = True
    """Lowercase texts before tokenising."""
    html_breaks: bool = False
    """Read ``<br />`` as a space."""

    max_length: int = 400
    """Longer texts are cut to this length (tokens)."""
    truncate: Truncate = Truncate.head
    """Which part of a longer text is kept; ``head_tail`` keeps half of each end."""
    batch_size: int = 64
    """Examples in a training batch."""
    batch_tokens: int | None = None
    """Instead of ``batch_size``: the most tokens in a training batch, padding included."""
    eval_batch_tokens: int = 16_384
    """The most tokens in an evaluation batch, padding included. Changes speed and memory only."""

    def check(self, key: str) -> None:
        require(self.validation_size > 0, f"{key}.validation_size", self.validation_size, "above 0")
        names = [n for n in (self.train_split, self.validation_split, self.test_split) if n is not None]
        require(
            len(set(names)) == len(names), f"{key}.train_split, validation_split and test_split", names, "different"
        )
        require(0 <= self.split_seed < 2**32, f"{key}.split_seed", self.split_seed, "in [0, 2**32)")
        require(self.vocab_size >= 3, f"{key}.vocab_size", self.vocab_size, "at least 3")
        require(self.min_count >= 1, f"{key}.min_count", self.min_count, "at least 1")
        require(self.max_length >= 1, f"{key}.max_length", self.max_length, "at least 1")
        require(self.batch_size >= 1, f"{key}.batch_size", self.batch_size, "at least 1")
        for name in ("batch_tokens", "eval_batch_tokens"):
            value = getattr(self, name)
            require(value is None or value >= self.max_length, f"{key}.{name}", value,
                    f"at least {key}.max_length ({self.max_length}), so that a batch holds one text")  # fmt: skip


@dataclass
class HubTextConfig(TextClassificationConfig):
    """A public dataset: from ``path``, else a folder of $SEQTRAIN_DATA_DIR, else the hub."""

    folder: str = MISSING
    """Folder of the dataset under $SEQTRAIN_DATA_DIR."""
    hub: str = MISSING
    """Name of the dataset on the hub."""
    hub_subset: str | None = None
    """Configuration of the dataset on the hub, where it has several."""
    revision: str | None = None
    """Revision of the dataset on the hub; null takes the newest when it is first prepared."""


@dataclass
class TextFilesConfig(TextClassificationConfig):
    """A person's own csv, tsv, jsonl or parquet files, named by ``path``."""


@dataclass
class DocstringsConfig(TextClassificationConfig):
    """The standard library's docstrings, classified by the chapter of the library reference of their module."""

    min_class_size: int = 100
    """Chapters with fewer docstrings are left out (rows)."""
    test_size: float = 0.2
    """Fraction of the docstrings set apart as test, stratified by class."""

    def check(self, key: str) -> None:
        super().check(key)
        require(self.path is None, f"{key}.path", self.path, "null: this dataset is the machine's own library")
        require(0 < self.test_size < 1, f"{key}.test_size", self.test_size, "above 0 and below 1")


class Problem(Enum):
    """What a generated dataset asks; the definitions stand in ``seqtrain/data/generated/problems.py``."""

    adding = "adding"
    copy_memory = "copy_memory"
    reverse = "reverse"


@dataclass
class GeneratedConfig(DataConfig):
    """Sequences drawn from a seed: new ones in every epoch of training, always the same in validation and test."""

    problem: Problem = MISSING
    """What is asked."""
    length: int = MISSING
    """``adding``: steps of a sequence; ``copy_memory``: blank steps between copy and original; ``reverse``: symbols."""
    num_symbols: int = 8
    """Different symbols of ``copy_memory`` and ``reverse``."""
    copy_length: int = 10
    """Symbols to remember in ``copy_memory``."""
    num_train: int = 64_000
    """Sequences of an epoch."""
    num_eval: int = 2_000
    """Sequences of validation, and of test."""
    batch_size: int = 64
    """Sequences in a batch."""

    def check(self, key: str) -> None:
        minimum = {Problem.adding: 2, Problem.copy_memory: 1, Problem.reverse: 1}[self.problem]
        require(self.length >= minimum, f"{key}.length", self.length, f"at least {minimum}")
        for name in ("copy_length", "num_train", "num_eval", "batch_size"):
            require(getattr(self, name) >= 1, f"{key}.{name}", getattr(self, name), "at least 1")
        require(self.num_symbols >= 2, f"{key}.num_symbols", self.num_symbols, "at least 2")


@dataclass
class TaggingFilesConfig(DataConfig):
    """A person's own sentences with a tag for each token: columns (conll, txt, tsv), or lists in jsonl."""

    path: str | None = None
    """A file (all its sentences), or a folder that holds one file per split, such as ``train.conll``."""
    token_column: int = 0
    """Column of the token, counted from 0, or with a minus from the end (-1 is the last)."""
    tag_column: int = -1
    """Column of the tag, counted likewise."""
    tokens_key: str = "tokens"
    """Key of the list of tokens in jsonl."""
    tags_key: str = "tags"
    """Key of the list of tags in jsonl."""
    train_split: str = "train"
    """Name of the file, without its type, that serves as train."""
    validation_split: str | None = "validation"
    """Name of the file that serves as validation; where it is null or absent, sentences of train are set apart."""
    test_split: str | None = "test"
    """Name of the file that serves as test; where it is null or absent, only validation is reported."""
    validation_size: float = 0.1
    """Sentences of train set apart for validation: a fraction below 1, or a number of sentences."""
    split_seed: int = 0
    """Seed of that choice; apart from ``seed``, so that runs with different seeds are scored on the same sentences."""

    vocab_size: int = 30_000
    """Largest number of words in the vocabulary, the two special ones included; learned from train only."""
    min_count: int = 1
    """A word seen fewer times in train is unknown (tokens)."""
    lowercase: bool = True
    """Lowercase tokens before looking them up."""

    max_length: int = 400
    """Longer sentences are cut to this length (tokens): what follows is neither trained on nor scored."""
    batch_size: int = 32
    """Sentences in a training batch."""
    batch_tokens: int | None = None
    """Instead of ``batch_size``: the most tokens in a training batch, padding included."""
    eval_batch_tokens: int = 16_384
    """The most tokens in an evaluation batch, padding included. Changes speed and memory only."""

    def check(self, key: str) -> None:
        require(self.tag_column != self.token_column, f"{key}.tag_column", self.tag_column,
                f"another than {key}.token_column")  # fmt: skip
        require(self.tags_key != self.tokens_key, f"{key}.tags_key", self.tags_key, f"another than {key}.tokens_key")
        names = [n for n in (self.train_split, self.validation_split, self.test_split) if n is not None]
        require(
            len(set(names)) == len(names), f"{key}.train_split, validation_split and test_split", names, "different"
        )
        require(self.validation_size > 0, f"{key}.validation_size", self.validation_size, "above 0")
        require(0 <= self.split_seed < 2**32, f"{key}.split_seed", self.split_seed, "in [0, 2**32)")
        require(self.vocab_size >= 3, f"{key}.vocab_size", self.vocab_size, "at least 3")
        for name in ("min_count", "max_length", "batch_size"):
            require(getattr(self, name) >= 1, f"{key}.{name}", getattr(self, name), "at least 1")
        for name in ("batch_tokens", "eval_batch_tokens"):
            value = getattr(self, name)
            require(value is None or value >= self.max_length, f"{key}.{name}", value,
                    f"at least {key}.max_length ({self.max_length}), so that a batch holds one sentence")  # fmt: skip
