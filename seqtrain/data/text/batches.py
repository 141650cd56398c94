"""Batches of new texts, the names of tokens, and a remark where most of them are unknown."""

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from seqtrain.config.data import TextClassificationConfig
from seqtrain.data.base import Batch
from seqtrain.data.rows.batching import sorted_batches
from seqtrain.data.rows.tokens import TokenRows, flatten
from seqtrain.data.vocabulary import PAD, UNKNOWN

if TYPE_CHECKING:
    from tokenizers import Tokenizer

log = logging.getLogger(__name__)

MOST = 0.5  # share of unknown tokens above which there is a remark


def token_name(tokenizer: "Tokenizer", token: int) -> str:
    """A token in readable form, without the letter that byte-level BPE writes for the space before a word."""
    return (tokenizer.id_to_token(token) or "").replace("\u0120", "")


def text_batches(config: TextClassificationConfig, tokenizer: "Tokenizer", texts: Sequence[str]) -> Iterator[Batch]:
    """Evaluation batches of new texts, without targets."""
    from seqtrain.data.text.tokenizer import encode

    tokens, offsets = flatten(encode(tokenizer, texts), tokenizer.get_vocab_size())
    for note in unknown_notes("new texts", tokens, tokenizer):
        log.warning(note)
    table = TokenRows(tokens, offsets, config.max_length, config.truncate)
    pad_id = tokenizer.token_to_id(PAD) or 0
    for rows in sorted_batches(table.lengths, config.eval_batch_tokens):
        inputs, lengths = table.gather(rows, pad_id)
        yield Batch(inputs, torch.zeros(len(rows), dtype=torch.long), lengths, rows, num_tokens=int(lengths.sum()))


def unknown_notes(name: str, tokens: np.ndarray, tokenizer: "Tokenizer") -> list[str]:
    """A remark, as a list of one, if most tokens of a split are unknown; else an empty list."""
    share = float(np.mean(tokens == tokenizer.token_to_id(UNKNOWN))) if len(tokens) else 0.0
    if share <= MOST:
        return []
    return [
        f"{name}: {share:.0%} of the tokens are unknown, because train has them less than data.min_count times; for "
        "texts without blanks between words, train with data.tokenizer=char or bpe"
    ]
