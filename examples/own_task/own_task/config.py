"""Options of the dataset, the task and the model. Each docstring is shown by ``seqtrain --help <group>.<name>``."""

from dataclasses import dataclass

from seqtrain.config.base import DataConfig, ModelConfig, Targets, TaskConfig, require
from seqtrain.config.options import Affects, option


@dataclass
class StarReviewsConfig(DataConfig):
    """Texts with a number of stars, from one file with a row for each text.

    ``Affects`` says what an option changes, and so whether it may change when a trained model is used. An option
    without it affects the result, and is fixed by training.
    """

    path: str | None = option(None, Affects.source)
    """A csv, tsv, jsonl or parquet file."""
    text_column: str = option("text", Affects.rows)
    """Column that holds the text."""
    stars_column: str = option("stars", Affects.rows)
    """Column that holds the stars."""
    validation_size: float = option(0.1, Affects.rows)
    """Fraction of the rows for validation."""
    test_size: float = option(0.2, Affects.rows)
    """Fraction of the rows for test."""
    split_seed: int = option(0, Affects.rows)
    """Seed of the split. It is not ``seed``, so that runs with different seeds are scored on the same rows."""

    num_stars: int = 5
    """Largest number of stars; the smallest is 1."""
    vocab_size: int = 10_000
    """Largest number of words in the vocabulary, with padding and the unknown word; learned from train only."""
    lowercase: bool = True
    """Lowercase the texts."""

    max_length: int = option(200, Affects.batches)
    """Longer texts are cut to this length (words)."""
    batch_size: int = option(32, Affects.batches)
    """Texts in a training batch."""
    batch_tokens: int | None = option(None, Affects.batches)
    """Largest number of words in a training batch, with padding, instead of ``batch_size``."""
    eval_batch_tokens: int = option(16_384, Affects.speed)
    """Largest number of words in an evaluation batch, with padding. Changes speed and memory only."""

    def check(self, key: str) -> None:
        sizes = self.validation_size, self.test_size
        require(min(sizes) > 0 and sum(sizes) < 1, f"{key}.validation_size and test_size", sizes,
                "above 0, and below 1 in sum")  # fmt: skip
        require(0 <= self.split_seed < 2**32, f"{key}.split_seed", self.split_seed, "in [0, 2**32)")
        for name, least in {"num_stars": 2, "vocab_size": 3, "max_length": 1, "batch_size": 1}.items():
            require(getattr(self, name) >= least, f"{key}.{name}", getattr(self, name), f"at least {least}")
        for name in ("batch_tokens", "eval_batch_tokens"):
            value = getattr(self, name)
            require(value is None or value >= self.max_length, f"{key}.{name}", value,
                    f"at least {key}.max_length ({self.max_length})")  # fmt: skip


@dataclass
class StarsConfig(TaskConfig):
    """An ordered class of each sequence, by a cumulative logit model."""

    initial_gap: float = 1.0
    """Distance between neighbouring thresholds before training."""

    def check(self, key: str) -> None:
        require(self.initial_gap > 0, f"{key}.initial_gap", self.initial_gap, "above 0")


@dataclass
class WordMeanConfig(ModelConfig):
    """The mean of the words' vectors; the order of the words is not used."""

    targets = Targets.sequence_class

    embed_dim: int = 64
    """Size of a word's vector."""
    dropout: float = 0.2
    """Dropout on the mean."""

    def widths(self, causal: bool) -> dict[str, int]:
        return {"embed_dim": 1}

    def check(self, key: str) -> None:
        require(self.embed_dim >= 1, f"{key}.embed_dim", self.embed_dim, "at least 1")
        require(0 <= self.dropout < 1, f"{key}.dropout", self.dropout, "in [0, 1)")
