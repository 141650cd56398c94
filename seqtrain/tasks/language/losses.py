"""Losses of the tokens of a split, and pieces of its text.

Shapes: N tokens that are predicted, D documents, P pieces.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from seqtrain.data.corpus.dataset import RunningText

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LEAST_SHARE = 4
"""A piece that is shorter than one part in so many of a whole one is too short to be ranked."""


@dataclass(frozen=True)
class Stream:
    """The tokens of a split in the order in which a model reads them, each but the first with its loss."""

    data: RunningText
    split: str
    losses: Floats
    """Negative log-probability of each token but the first in nats, (N,)."""

    @cached_property
    def tokens(self) -> Integers:
        """All tokens of the split, (N + 1,)."""
        return np.asarray(self.data.tokens[self.split]).astype(np.int64)

    @property
    def targets(self) -> Integers:
        """The tokens that are predicted, (N,)."""
        return self.tokens[1:]

    @cached_property
    def trained(self) -> Integers:
        """How often train has each token of the vocabulary, (V,)."""
        return np.asarray(self.data.token_counts()).astype(np.int64)

    @property
    def documents(self) -> Integers:
        """Position of the first token of each document, (D,)."""
        return self.data.documents[self.split]

    @cached_property
    def places(self) -> Integers:
        """Place of each predicted token in its document, from 1 for the document's first token, (N,)."""
        positions = np.arange(1, len(self.losses) + 1)
        document = np.searchsorted(self.documents, positions, side="right") - 1
        return positions - self.documents[document] + 1


@dataclass(frozen=True)
class Pieces:
    """Neighbouring tokens of one document each, which together are the split."""

    starts: Integers
    """Position of the first token of each piece, (P,)."""
    stops: Integers
    """One after the position of the last one, (P,)."""

    @classmethod
    def of(cls, documents: Integers, tokens: int, size: int) -> "Pieces":
        """The pieces of documents that begin at these positions: of ``size`` tokens, the last of each the rest.

        The first token of a split is not predicted, and belongs to no piece.
        """
        lengths = np.diff(np.append(documents, tokens))
        counts = -(-lengths // size)
        first = np.repeat(np.cumsum(counts) - counts, counts)  # number of the first piece of the same document
        within = size * (np.arange(counts.sum()) - first)
        starts = np.repeat(documents, counts) + within
        stops = np.minimum(starts + size, np.repeat(documents + lengths, counts))
        starts = np.maximum(starts, 1)
        return cls(starts[starts < stops], stops[starts < stops])

    def means(self, losses: Floats) -> Floats:
        """Mean loss of the tokens of each piece, (P,)."""
        sums = np.concatenate([[0.0], np.cumsum(losses)])
        return (sums[self.stops - 1] - sums[self.starts - 1]) / (self.stops - self.starts)

    def ranked(self, values: Floats, size: int, count: int) -> list[int]:
        """Numbers of the pieces with the largest values, at most ``count``; far shorter ones than ``size`` are last."""
        short = self.stops - self.starts < size / LEAST_SHARE
        kept = short.sum() < len(short)  # of short documents all pieces are short
        order = np.argsort(-np.where(short & kept, -np.inf, values), kind="stable")
        return [int(place) for place in order[:count] if not (kept and short[place])]


def half_of(losses: Floats) -> int:
    """The smallest number of tokens that have half of the whole loss."""
    largest = np.sort(losses)[::-1]
    return int(np.searchsorted(np.cumsum(largest), largest.sum() / 2)) + 1
