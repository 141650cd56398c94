"""Running text for next-word prediction: rows that are read on from batch to batch.

Training cuts a text into ``batch_size`` rows of equal length and serves segments of them in order, so that a row's
state after one batch is its state before the next. Evaluation gives every token the whole text before it as context.

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

from seqtrain.config.base import Targets, require
from seqtrain.config.corpus import CorpusConfig, LibraryCorpusConfig, StatePolicy, TextCorpusConfig
from seqtrain.data.base import Batch, Dataset, DataSpec
from seqtrain.data.corpus.prepared import PreparedCorpus, prepare
from seqtrain.data.corpus.tokenizers import CorpusTokenizer
from seqtrain.errors import DataError

EVAL_STEPS = 256  # of a segment in evaluation: speed and memory only, since the state is carried
EXAMPLE_STEPS = 128
SHORTEST_SEGMENT = 5  # steps, where lengths are drawn; as the other figures of `cuts`, from AWD-LSTM

SCORING = {
    StatePolicy.carry: "state carried over the whole text",
    StatePolicy.reset_document: "state carried within each document",
    StatePolicy.reset_batch: "state of each segment of {} steps started anew",
}


@dataclass
class SegmentBatch(Batch):
    """Segments of running text; every row has T real steps."""

    positions: Tensor | None = None
    """Place of each target in its split, (B, T)."""
    scored: Tensor | None = None
    """Which targets count, (B, T); None: all."""
    num_characters: int = 0
    """Characters of the targets that count; known in evaluation only."""
    num_bytes: int = 0
    """Bytes of them in UTF-8."""

    def shard(self, rank: int, size: int) -> Self:
        """Characters and bytes are those of the whole batch, and count once, in the first process."""
        part = super().shard(rank, size)
        return part if rank == 0 else replace(part, num_characters=0, num_bytes=0)


class RunningText(Dataset):
    """A text of any source as tokens, each to be predicted from those before it.

    Args:
        config: the options.
        seed: of the segments' lengths, where they are drawn.
        trained: directory of a run, whose tokenizer is used; None learns one from train.
        single_split: take all text at ``data.path`` as one split, ``test``.

    Raises:
        DataError: where the text cannot be found, read or used, or is too short for ``batch_size`` rows.
    """

    targets = Targets.next_token

    def __init__(self, config: CorpusConfig, seed: int, trained: Path | None = None, single_split: bool = False):
        if config.path is not None and isinstance(config, LibraryCorpusConfig):
            require(single_split, "data.path", config.path, "null: this text is the machine's own library")
            config = TextCorpusConfig(**vars(config))
        self.config, self.seed = config, seed
        self.prepared = PreparedCorpus(prepare(config, trained / "tokenizer.json" if trained else None, single_split))
        meta = self.prepared.meta
        self.fingerprint: str = meta["fingerprint"]
        self.notes = [*meta["notes"]]
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

    def num_batches(self, epoch: int) -> int:
        return len(self.cuts(epoch))

    @functools.lru_cache(maxsize=2)  # noqa: B019  # of the few datasets that there ever are
    def cuts(self, epoch: int) -> list[tuple[int, int]]:
        """Start and length of each segment of the rows of train.

        Source of the drawn lengths: Merity et al. 2018, section 4.1: most about ``bptt_len`` and one in twenty about
        half of it, with a standard deviation of 5.
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
        """Every token but the first as a target once, as if the split were read in one go.

        The split is cut into ``eval_batch_size`` rows; a row first reads the ``eval_warmup`` steps before its own,
        unscored, so that its state is that of the whole text as far as the model remembers.
        """
        config = self.config
        targets = self.sizes[split] - 1
        # Where segments start anew, they must do so at the same places in rows of every number.
        unit = config.bptt_len if config.state is StatePolicy.reset_batch else 1
        own = -(-targets // (config.eval_batch_size * unit)) * unit
        rows = np.arange(-(-targets // own))[:, None] * own
        warmup = 0 if config.state is StatePolicy.reset_batch else min(config.eval_warmup, int(rows[-1, 0]))
        characters, num_bytes = self.token_lengths
        for first in range(-warmup, own, EVAL_STEPS):
            step = np.arange(first, min(first + EVAL_STEPS, own))
            positions = rows + step
            inside = (positions >= 0) & (positions < targets)  # the first rows have less to read before their own
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
        """Which steps begin a document, where that forgets the state, (B, T)."""
        if self.config.state is not StatePolicy.reset_document:
            return np.zeros(positions.shape, dtype=bool)
        documents = self.documents[split]
        next_one = np.searchsorted(documents, positions).clip(max=len(documents) - 1)
        return documents[next_one] == positions

    def segments(self, split: str, positions: np.ndarray, restarts: np.ndarray) -> SegmentBatch:
        """The tokens at ``positions`` (B, T) as inputs, those after them as targets."""
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
        """Places of the targets, (N - 1,)."""
        return np.arange(1, self.sizes[split])

    def examples(self, split: str, count: int) -> tuple[Batch, list[list[str]]]:
        steps = min(EXAMPLE_STEPS, self.sizes[split] - 1)
        starts = np.unique(np.linspace(0, self.sizes[split] - 1 - steps, count).astype(int))
        positions = starts[:, None] + np.arange(steps)
        batch = self.segments(split, positions, np.zeros(positions.shape, dtype=bool))
        names = self.token_names()
        return batch, [[names[token] for token in row] for row in batch.inputs.tolist()]

    def decode(self, tokens: Sequence[int]) -> str:
        """Tokens as text."""
        return self.tokenizer.decode(tokens)

    def token_names(self) -> list[str]:
        return self.tokenizer.names()

    def save(self, directory: Path) -> None:
        shutil.copyfile(self.prepared.directory / "tokenizer.json", directory / "tokenizer.json")

    def describe(self) -> dict[str, Any]:
        return super().describe() | {name: self.prepared.meta[name] for name in ("characters", "bytes")}

    @property
    def tokenizer(self) -> CorpusTokenizer:
        """The tokenizer that the tokens were made with."""
        return self.prepared.tokenizer

    @functools.cached_property
    def token_lengths(self) -> tuple[np.ndarray, np.ndarray]:
        """Characters and bytes of each token of the vocabulary, (V,) each."""
        return self.tokenizer.token_lengths()


def segments_of(tokens: np.ndarray, config: CorpusConfig) -> Iterator[SegmentBatch]:
    """A text's tokens (N,), at least two, as one row of segments: every token but the first is a target once.

    The state begins with zeros, and again with each segment where ``config.state`` says so.
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
