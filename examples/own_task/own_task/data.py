"""Texts with stars: one file is read, split, and served in padded batches of texts of like length.

Shapes: B batch, T time, N rows.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from own_task.config import StarReviewsConfig
from seqtrain.config.base import DataConfig, Targets
from seqtrain.config.data import Truncate
from seqtrain.data.base import Batch
from seqtrain.data.cache import digest
from seqtrain.data.rows.batching import sorted_batches
from seqtrain.data.rows.bucketed import BucketedDataset
from seqtrain.data.rows.tokens import TokenRows, flatten
from seqtrain.data.spec import DataSpec
from seqtrain.data.tables.reading import read_table, stdin_lines
from seqtrain.data.tables.table import Table
from seqtrain.errors import DataError
from seqtrain.paths import expanded
from seqtrain.runs.json_files import read_json, write_json

PAD, UNKNOWN = 0, 1
SPECIAL = ["<pad>", "<unk>"]
VOCABULARY = "vocabulary.json"  # file in the run directory


class StarReviews(BucketedDataset):
    """Texts, each with 1 to ``num_stars`` stars. ``BucketedDataset`` orders the batches.

    Args:
        config: the options.
        seed: of the order of training batches.
        trained: directory of a run, whose vocabulary is used; None learns it from train.
        single_split: take all rows as one split, ``test``.

    Raises:
        DataError: if the file cannot be read or used.
    """

    targets = Targets.sequence_class
    config: StarReviewsConfig

    def __init__(self, config: StarReviewsConfig, seed: int, trained: Path | None = None, single_split: bool = False):
        self.config, self.seed = config, seed
        if config.path is None:
            raise DataError(f"data.path: must be given for data={config.name}: a csv, tsv, jsonl or parquet file")
        table, texts, usable = self.read_rows(config, config.path)
        stars = read_stars(table, config)
        usable &= stars > 0
        self.notes = []
        if not usable.all():
            self.notes.append(f"{config.path}: {np.sum(~usable)} rows without text or stars dropped")
        rows = np.flatnonzero(usable)
        self.rows = {"test": rows} if single_split else split_rows(rows, config)
        self.words = {split: [words_of(texts[i], config) for i in rows] for split, rows in self.rows.items()}
        self.classes = {split: stars[rows] - 1 for split, rows in self.rows.items()}
        self.sizes = {split: len(rows) for split, rows in self.rows.items()}
        self.vocabulary = read_vocabulary(trained) if trained else learn_vocabulary(self.words["train"], config)
        self.tokens = {split: token_rows(words, self.vocabulary, config) for split, words in self.words.items()}
        counted = self.classes["test" if single_split else "train"]
        self.spec = DataSpec(
            targets=Targets.sequence_class,
            vocab_size=len(self.vocabulary),
            pad_id=PAD,
            class_names=[str(number) for number in range(1, config.num_stars + 1)],
            class_counts=np.bincount(counted, minlength=config.num_stars).tolist(),
        )
        contents = {
            split: [[texts[i] for i in rows], self.classes[split].tolist()] for split, rows in self.rows.items()
        }
        self.fingerprint = digest(contents)

    def batch(self, split: str, rows: np.ndarray) -> Batch:
        """The texts with these numbers, (B, T), and their classes, (B,): 0 is one star."""
        inputs, lengths = self.tokens[split].gather(rows, PAD)
        return Batch(inputs, torch.from_numpy(self.classes[split][rows]), lengths, rows, int(lengths.sum()))

    def source_rows(self, split: str) -> np.ndarray:
        return self.rows[split]

    def examples(self, split: str, count: int) -> tuple[Batch, list[list[str]]]:
        rows = np.arange(min(count, self.sizes[split]))
        return self.batch(split, rows), [self.words[split][i][: self.config.max_length] for i in rows]

    def token_names(self) -> list[str]:
        return list(self.vocabulary)

    def save(self, directory: Path) -> None:
        write_json(directory / VOCABULARY, {"words": list(self.vocabulary)})

    @classmethod
    def read_rows(cls, config: DataConfig, source: str) -> tuple[Table, list[Any], np.ndarray]:
        """Texts of a file, or of stdin (-), where a line is a text."""
        assert isinstance(config, StarReviewsConfig)
        table = stdin_lines() if source == "-" else read_table(expanded(source, "input"))
        name = "text" if source == "-" else config.text_column
        texts = ["" if text is None else str(text) for text in table.column(name, "data.text_column")]
        return table, texts, np.array([text.strip() != "" for text in texts], dtype=bool)

    @classmethod
    def new_batches(cls, config: DataConfig, directory: Path, rows: Sequence[Any]) -> Iterator[Batch]:
        assert isinstance(config, StarReviewsConfig)
        tokens = token_rows([words_of(text, config) for text in rows], read_vocabulary(directory), config)
        for index in sorted_batches(tokens.lengths, config.eval_batch_tokens):
            inputs, lengths = tokens.gather(index, PAD)
            yield Batch(inputs, torch.zeros(len(index), dtype=torch.long), lengths, index, int(lengths.sum()))


def read_stars(table: Table, config: StarReviewsConfig) -> np.ndarray:
    """Stars of each row, (N,), 0 where there are none.

    Raises:
        DataError: for a value that is no whole number of stars.
    """
    allowed = {str(number): number for number in range(1, config.num_stars + 1)} | {"": 0}
    values = table.column(config.stars_column, "data.stars_column")
    names = ["" if value is None else str(value).strip() for value in values]
    for row, name in enumerate(names):
        if name not in allowed:
            raise DataError(
                f"{table.place(row)} has {config.stars_column}={name!r}; must be a whole number from 1 to "
                f"{config.num_stars} (data.num_stars)"
            )
    return np.array([allowed[name] for name in names], dtype=np.int64)


def split_rows(rows: np.ndarray, config: StarReviewsConfig) -> dict[str, np.ndarray]:
    """Rows of each split, chosen at random, in ascending order; raises DataError if a split would be empty."""
    sizes = [round(size * len(rows)) for size in (config.test_size, config.validation_size)]
    parts = np.split(np.random.default_rng(config.split_seed).permutation(rows), np.cumsum(sizes))
    if min(map(len, parts)) == 0:
        raise DataError(f"{config.path}: {len(rows)} rows are too few for train, validation and test")
    test, validation, train = map(np.sort, parts)
    return {"train": train, "validation": validation, "test": test}


def words_of(text: str, config: StarReviewsConfig) -> list[str]:
    """Words and punctuation marks of a text; an unknown word for a text without any, since no row may be empty."""
    return re.findall(r"\w+|[^\w\s]", text.lower() if config.lowercase else text) or [SPECIAL[UNKNOWN]]


def learn_vocabulary(texts: list[list[str]], config: StarReviewsConfig) -> dict[str, int]:
    """Number of each word, the most frequent first."""
    counts = Counter(word for text in texts for word in text if word not in SPECIAL)
    words = sorted(counts, key=lambda word: (-counts[word], word))
    return {word: number for number, word in enumerate([*SPECIAL, *words][: config.vocab_size])}


def read_vocabulary(run: Path) -> dict[str, int]:
    """What ``StarReviews.save`` wrote."""
    return {word: number for number, word in enumerate(read_json(run / VOCABULARY)["words"])}


def token_rows(texts: list[list[str]], vocabulary: dict[str, int], config: StarReviewsConfig) -> TokenRows:
    """Numbers of the words of each text, cut to ``max_length``."""
    numbers = [[vocabulary.get(word, UNKNOWN) for word in text] for text in texts]
    return TokenRows(*flatten([numbers], len(vocabulary)), config.max_length, Truncate.head)
