"""Continuing texts token by token, the state carried: a token costs the same however long the text has become.

Shapes: B texts, T steps of the prompt, V tokens of the vocabulary.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seqtrain.data.base import Batch
from seqtrain.tasks.language.sampling import Sampling, choose

PROMPT_PIECE = 512  # steps of a prompt that are read at once


def read(model: nn.Module, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
    """Features of the last of some tokens (B, T), (B, H), and the state after it."""
    B, T = tokens.shape
    batch = Batch(tokens, tokens, torch.full((B,), T, device=tokens.device), np.arange(B), num_tokens=B * T)
    with without_onednn() if T == 1 else nullcontext():
        features, state = model(batch, state)
    return features[:, -1], state


@contextmanager
def without_onednn() -> Iterator[None]:
    """Keep torch from oneDNN's LSTM, which lays out all weights anew in each call: 17 times the cost of a step."""
    backend: Any = torch.backends.mkldnn
    before = backend.enabled
    backend.enabled = False
    try:
        yield
    finally:
        backend.enabled = before


@torch.inference_mode()
def continuations(
    model: nn.Module,
    head: nn.Module,
    prompts: Tensor,
    sampling: Sampling,
    generator: torch.Generator | None = None,
) -> Iterator[Tensor]:
    """The tokens that follow some texts, one step at a time, without end.

    Args:
        model: causal, in evaluation mode; its state is carried from step to step.
        head: from features to logits.
        prompts: tokens of the texts, at least one, (B, T).
        sampling: how tokens are chosen.
        generator: source of the draws, on the prompts' device.

    Yields:
        The next token of each text, (B,).

    Raises:
        RunError: if the logits are not numbers.
    """
    state = None
    for piece in prompts.split(PROMPT_PIECE, dim=1):
        features, state = read(model, piece, state)
    seen: Tensor | None = None
    while True:
        logits = head(features)
        if seen is None and sampling.repetition_penalty != 1:
            seen = torch.zeros(logits.shape, dtype=torch.bool, device=logits.device).scatter_(1, prompts, True)
        tokens = choose(logits, seen, sampling, generator)
        yield tokens
        if seen is not None:
            seen.scatter_(1, tokens[:, None], True)
        features, state = read(model, tokens[:, None], state)
