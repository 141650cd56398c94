"""Rows of tokens as one flat array with offsets, gathered into padded batches without a loop over rows."""

from collections.abc import Iterable
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from seqtrain.config.data import Truncate
from seqtrain.data.digests import CheckedArray

COUNTED_AT_ONCE = 2**22


class TokenRows:
    """Rows of tokens of unequal length.

    Args:
        tokens: the tokens of all rows, one row after the other, in memory or memory-mapped.
        offsets: start of each row, and end of the last one, (N + 1,).
        max_length: rows are cut to this length when they are gathered.
        truncate: which part of a longer row is kept.
    """

    def __init__(self, tokens: np.ndarray | CheckedArray, offsets: np.ndarray, max_length: int, truncate: Truncate):
        self.tokens, self.offsets = tokens, offsets
        whole = np.diff(offsets)
        self.lengths = np.minimum(whole, max_length)
        # Position p of a cut row is token p of the row; from `head` on it is token p + skipped.
        self.skipped = whole - self.lengths
        self.head = {Truncate.head: max_length, Truncate.tail: 0, Truncate.head_tail: (max_length + 1) // 2}[truncate]

    def gather(self, rows: np.ndarray, pad_id: int) -> tuple[Tensor, Tensor]:
        """Tokens of rows, padded on the right, (B, T), and their lengths, (B,), both int64."""
        lengths = self.lengths[rows]
        position = np.arange(lengths.max())
        index = self.offsets[rows, None] + position + (position >= self.head) * self.skipped[rows, None]
        real = position < lengths[:, None]
        inputs = np.where(real, self.tokens[np.where(real, index, 0)], pad_id).astype(np.int64)
        return torch.from_numpy(inputs), torch.from_numpy(lengths)


def flatten(chunks: Iterable[list[list[int]]], vocab_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens and offsets of TokenRows from chunks of rows; tokens have 16 bits if the vocabulary is small enough."""
    dtype = np.uint16 if vocab_size <= 2**16 else np.int32
    flat: list[np.ndarray] = []
    lengths: list[int] = []
    for chunk in chunks:
        flat.append(np.fromiter(chain.from_iterable(chunk), dtype=dtype))
        lengths += map(len, chunk)
    return np.concatenate(flat), np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def count_tokens(tokens: np.ndarray | CheckedArray, vocab_size: int) -> np.ndarray:
    """How often each token occurs, (V,), counted in pieces, as a whole text need not fit into memory."""
    starts = range(0, len(tokens), COUNTED_AT_ONCE)
    parts = (np.bincount(np.asarray(tokens[start : start + COUNTED_AT_ONCE]), minlength=vocab_size) for start in starts)
    return sum(parts, np.zeros(vocab_size, np.int64))
