"""Continue texts token by token; the state is carried, so that the cost of a token does not grow with the text.

Shapes: B texts, T steps of the prompt, V tokens of the vocabulary.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seqtrain.data.base import Batch
from seqtrain.tasks.language.sampling import Sampling, choose

PROMPT_PIECE = 512  # number of steps of a prompt that are read at once


def read(model: nn.Module, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
    """Read tokens (B, T): features of the last one, (B, H), and the state after it."""
    B, T = tokens.shape
    batch = Batch(tokens, tokens, torch.full((B,), T, device=tokens.device), np.arange(B), num_tokens=B * T)
    with without_onednn() if T == 1 else nullcontext():
        features, state = model(batch, state)
    return features[:, -1], state


@contextmanager
def without_onednn() -> Iterator[None]:
    """Disable oneDNN's LSTM, which copies all weights in each call and so makes a single step cost 17 times as much."""
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
    apart: bool = False,
) -> Generator[Tensor]:
    """Generate the tokens that follow texts, one step at a time, without end.

    Args:
        model: causal model in evaluation mode; its state is carried from step to step.
        head: map from features to logits.
        prompts: tokens of the texts, (B, T), T at least 1.
        sampling: how tokens are chosen.
        generator: source of the draws, on the prompts' device.
        apart: the state starts anew after the prompts, which then decide the first token only.

    Yields:
        The next token of each text, (B,).

    Raises:
        RunError: if logits are not finite; see ``choose``.
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
        features, state = read(model, tokens[:, None], None if apart else state)
        apart = False
