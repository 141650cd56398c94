"""Running text for next-token prediction, in rows that continue from batch to batch.

Training cuts a text into ``batch_size`` rows of equal length and serves segments of them in order, so that a row's
state after one batch is its state before the next. In evaluation every token has the whole text before it as context.

Shapes: N tokens of a split, B rows, T steps of a segment.
"""

import functools
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from seqtrain.atomic import replacing
from seqtrain.config.base import Targets, require
from seqtrain.config.corpus import (
    CorpusConfig,
    LibraryCorpusConfig,
    SegmentConfig,
    StatePolicy,
    TextCorpusConfig,
    TokenKind,
)
from seqtrain.data.base import Batch, Dataset
from seqtrain.data.corpus.files import file_notes
from seqtrain.data.corpus.passages import Passages
from seqtrain.data.corpus.prepared import PreparedCorpus, prepare
from seqtrain.data.corpus.sources import open_corpus
from seqtrain.data.corpus.tokenizers import CorpusTokenizer
from seqtrain.data.rows.tokens import count_tokens
from seqtrain.data.spec import DataSpec
from seqtrain.errors import DataError

EVAL_STEPS = 256  # of a segment in evaluation; affects speed and memory only, since the state is carried
EXAMPLE_STEPS = 128
SHORTEST_SEGMENT = 5  # steps, if lengths are random; like the other numbers in `cuts`, from AWD-LSTM

SCORING = {
    StatePolicy.carry: "state carried over the whole text",
    StatePolicy.reset_document: "state carried within each document",
    StatePolicy.reset_batch: "state of each segment of {} steps started anew",
}


@dataclass
class SegmentBatch(Batch):
    """A batch of segments of running text; every row has T real steps."""

    positions: Tensor | None = None
    """Position of each target in its split, (B, T)."""
    scored: Tensor | None = None
    """Which targets are scored, (B, T); None: all."""
    num_characters: int = 0
    """Number of characters of the scored targets; known in evaluation only."""
    num_bytes: int = 0
    """Number of UTF-8 bytes of the scored targets; known in evaluation only."""

    def shard(self, rank: int, size: int) -> Self:
        """The share of one process; the characters and bytes of the whole batch are counted by the first process."""
        part = super().shard(rank, size)
        return part if rank == 0 else replace(part, num_characters=0, num_bytes=0)


class RunningText(Dataset):
    """A text from any source as tokens, each of which is predicted from those before it.

    Args:
        config: the options.
        seed: seed of the lengths of segments, if they are random.
        trained: directory of a run, whose tokenizer is used; None learns one from train.
        single_split: take all text at ``data.path`` as one split, ``test``.
        tokenizer_of: directory of a run; the same as ``trained``, since nothing but the tokenizer is learned.

    Raises:
        DataError: if the text cannot be found, read or used, or is too short for ``batch_size`` rows.
    """

    tokenizes = "running text"
    digested = "passages"
    targets = Targets.next_token

    config: SegmentConfig

    def __init__(
        self,
        config: SegmentConfig,
        seed: int,
        trained: Path | None = None,
        single_split: bool = False,
        tokenizer_of: Path | None = None,
    ):
        self.config, self.seed = config, seed
        given = trained or tokenizer_of
        self.prepared = PreparedCorpus(self.prepare(given / "tokenizer.json" if given else None, single_split))
        meta = self.prepared.meta
        self.fingerprint: str = meta["fingerprint"]
        self.notes = [*self.file_notes(), *meta["notes"]]
        self.sizes: dict[str, int] = meta["sizes"]
        self.tokens = {split: self.prepared.tokens(split) for split in self.sizes}
        self.documents = {split: np.asarray(self.prepared.documents(split)) for split in self.sizes}
        self.spec = DataSpec(
            targets=Targets.next_token,
            vocab_size=meta["vocab_size"],
            by_frequency=meta["sorted_by_frequency"],
            segment_length=config.bptt_len,
        )
        self.scoring = SCORING[config.state].format(config.bptt_len)
        self.row_length = (self.sizes.get("train", 1) - 1) // config.batch_size
        if "train" in self.sizes and self.row_length < config.bptt_len:
            raise DataError(
                f"train has {self.sizes['train']:,} tokens: too few for data.batch_size={config.batch_size} rows of "
                f"one segment of data.bptt_len={config.bptt_len}; lower one of them, or give more text"
            )

    def prepare(self, tokenizer: Path | None, single_split: bool) -> Path:
        """The directory of the tokens, as ``prepared.prepare`` writes it."""
        config = self.config
        assert isinstance(config, CorpusConfig)
        if config.path is not None and isinstance(config, LibraryCorpusConfig):
            require(single_split, "data.path", config.path, "null: this text is the machine's own library")
            self.config = config = TextCorpusConfig(**vars(config))
        return prepare(config, tokenizer, single_split)

    def file_notes(self) -> list[str]:
        """Remarks on which files make up each split. The prepared files do not know: names are not contents."""
        assert isinstance(self.config, CorpusConfig)
        return [] if isinstance(self.config, LibraryCorpusConfig) else file_notes(self.config)

    def num_batches(self, epoch: int) -> int:
        return len(self.cuts(epoch))

    @functools.lru_cache(maxsize=2)  # noqa: B019  # there are never more than a few datasets
    def cuts(self, epoch: int) -> list[tuple[int, int]]:
        """Start and length of each training segment of an epoch.

        Random lengths have a standard deviation of 5 around ``bptt_len`` or, one in twenty, around half of it.

        Source: Merity et al. 2018, section 4.1.
        """
        cuts, start = [], 0
        rng = np.random.default_rng([self.seed, epoch])
        while start < self.row_length:
            length = self.config.bptt_len
            if self.config.bptt_jitter:
                mean = length if rng.random() < 0.95 else length / 2
                length = max(SHORTEST_SEGMENT, int(rng.normal(mean, 5)))
            cuts.append((start, min(length, self.row_length - start)))
            start += length
        return cuts

    def train_batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        rows = np.arange(self.config.batch_size)[:, None] * self.row_length
        for first, length in self.cuts(epoch)[start:]:
            positions = rows + np.arange(first, first + length)
            restarts = self.restarts("train", positions)
            restarts[:, 0] |= first == 0 or self.config.state is StatePolicy.reset_batch
            batch = self.segments("train", positions, restarts)
            if self.config.bptt_jitter:
                batch.rate_scale = length / self.config.bptt_len
            yield batch

    def eval_batches(self, split: str) -> Iterator[Batch]:
        """Batches with every token but the first as a target once, as if the split were read in one piece.

        The split is cut into ``eval_batch_size`` rows. A row first reads the ``eval_warmup`` steps before its start
        without scoring them, so that its state is that after the whole text, as far as the model remembers.
        """
        config = self.config
        targets = self.sizes[split] - 1
        # If the state is reset at each segment, it must be at the same positions for any number of rows.
        unit = config.bptt_len if config.state is StatePolicy.reset_batch else 1
        own = -(-targets // (config.eval_batch_size * unit)) * unit
        rows = np.arange(-(-targets // own))[:, None] * own
        warmup = 0 if config.state is StatePolicy.reset_batch else min(config.eval_warmup, int(rows[-1, 0]))
        characters, num_bytes = self.token_lengths
        for first in range(-warmup, own, EVAL_STEPS):
            step = np.arange(first, min(first + EVAL_STEPS, own))
            positions = rows + step
            inside = (positions >= 0) & (positions < targets)  # the first rows have less text before their start
            restarts = self.restarts(split, positions) | (positions == 0)
            restarts[:, 0] |= first == -warmup
            if config.state is StatePolicy.reset_batch:
                restarts |= positions % config.bptt_len == 0
            batch = self.segments(split, np.where(inside, positions, 0), restarts)
            scored = inside & (step >= 0)
            counted = batch.targets.numpy()[scored]
            batch.scored = torch.from_numpy(scored)
            batch.num_tokens = len(counted)
            batch.num_characters, batch.num_bytes = int(characters[counted].sum()), int(num_bytes[counted].sum())
            yield batch

    def restarts(self, split: str, positions: np.ndarray) -> np.ndarray:
        """True at the steps that begin a document, (B, T); nowhere unless documents reset the state."""
        if self.config.state is not StatePolicy.reset_document:
            return np.zeros(positions.shape, dtype=bool)
        documents = self.documents[split]
        next_one = np.searchsorted(documents, positions).clip(max=len(documents) - 1)
        return documents[next_one] == positions

    def segments(self, split: str, positions: np.ndarray, restarts: np.ndarray) -> SegmentBatch:
        """A batch with the tokens at ``positions`` (B, T) as inputs and those after them as targets."""
        tokens = self.tokens[split]
        inputs, targets = (torch.from_numpy(tokens[positions + shift].astype(np.int64)) for shift in (0, 1))
        return SegmentBatch(
            inputs,
            targets,
            torch.full((len(positions),), positions.shape[1]),
            np.arange(len(positions)),
            num_tokens=positions.size,
            restarts=torch.from_numpy(restarts) if restarts.any() else None,
            positions=torch.from_numpy(positions + 1),
        )

    def source_rows(self, split: str) -> np.ndarray:
        """Positions of the targets in the split, (N - 1,)."""
        return np.arange(1, self.sizes[split])

    def row_digests(self, split: str, read: bool = True) -> np.ndarray | None:
        """Digests of the passages, see ``Passages``, or of documents; None if the text has no passage."""
        digests = self.prepared.digests(split)
        if digests is None and read and isinstance(self.config, CorpusConfig):
            texts = open_corpus(self.config, self.tokenizer.kind is TokenKind.word).splits[split]
            digests = Passages(chunk.text for chunk in texts()).digests
        return digests if digests is not None and len(digests) else None

    def examples(self, split: str, count: int) -> tuple[Batch, list[list[str]]]:
        steps = min(EXAMPLE_STEPS, self.sizes[split] - 1)
        starts = np.unique(np.linspace(0, self.sizes[split] - 1 - steps, count).astype(int))
        positions = starts[:, None] + np.arange(steps)
        batch = self.segments(split, positions, np.zeros(positions.shape, dtype=bool))
        names = self.token_names()
        return batch, [[names[token] for token in row] for row in batch.inputs.tolist()]

    @classmethod
    def tokens_of(cls, config: SegmentConfig, tokenizer: CorpusTokenizer, text: str) -> np.ndarray:
        """The tokens of a new text in the order in which a model reads them, (N,).

        Args:
            config: the options of the run.
            tokenizer: that of the run.
            text: the text.
        """
        return tokenizer.encode(text)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens."""
        return self.tokenizer.decode(tokens)

    def token_names(self) -> list[str]:
        return self.tokenizer.names()

    def token_counts(self) -> np.ndarray:
        return count_tokens(self.tokens["train"], len(self.token_names()))

    def save(self, directory: Path) -> None:
        with replacing(directory / "tokenizer.json") as temporary:
            shutil.copyfile(self.prepared.directory / "tokenizer.json", temporary)

    def describe(self) -> dict[str, Any]:
        return super().describe() | {name: self.prepared.meta[name] for name in ("characters", "bytes")}

    @property
    def tokenizer(self) -> CorpusTokenizer:
        """The tokenizer that produced the tokens."""
        return self.prepared.tokenizer

    @functools.cached_property
    def token_lengths(self) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of characters and bytes of each token of the vocabulary, (V,) each."""
        return self.tokenizer.token_lengths()


def segments_of(tokens: np.ndarray, config: SegmentConfig) -> Iterator[SegmentBatch]:
    """Segments of one row of tokens (N,), N at least 2: every token but the first is a target once.

    The state starts from zeros, and is reset at each segment if ``config.state`` says so.
    """
    resets = config.state is StatePolicy.reset_batch
    steps = config.bptt_len if resets else EVAL_STEPS
    row = torch.from_numpy(tokens.astype(np.int64))[None]
    for start in range(0, len(tokens) - 1, steps):
        inputs = row[:, start : min(start + steps, len(tokens) - 1)]
        T = inputs.shape[1]
        restarts = torch.zeros(1, T, dtype=torch.bool)
        restarts[0, 0] = resets
        yield SegmentBatch(
            inputs,
            row[:, start + 1 : start + 1 + T],
            torch.full((1,), T),
            np.arange(1),
            num_tokens=T,
            restarts=restarts if resets else None,
            positions=torch.arange(start + 1, start + 1 + T)[None],
        )
