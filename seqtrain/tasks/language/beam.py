"""Beam search for the most probable continuations of a text; a beam of one takes the most probable token each time.

Shapes: K hypotheses (the beam), V tokens, T steps of the prompt.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from seqtrain.errors import RunError
from seqtrain.layers.memory import map_tensors
from seqtrain.tasks.language.generation import PROMPT_PIECE, read


@dataclass(frozen=True)
class Continuation:
    """A continuation that the search found."""

    tokens: list[int]
    """Its tokens, with the end of the document if it was reached."""
    log_probability: float
    """Log-probability of the tokens, in nats."""
    score: float
    """What continuations are ranked by: log-probability / ((5 + length) / 6)^length_penalty."""


@torch.inference_mode()
def most_probable(
    model: nn.Module,
    head: nn.Module,
    prompt: Tensor,
    *,
    beam_size: int,
    length: int,
    length_penalty: float = 1.0,
    end: int | None = None,
    apart: bool = False,
) -> list[Continuation]:
    """Search for the most probable continuations of a text.

    At each step every hypothesis is continued by every token, and the K most probable continuations are kept, where one
    that has ended competes with its log-probability. So a beam that holds all texts of the length finds the best one.

    Args:
        model: causal model in evaluation mode; its state is carried from step to step.
        head: map from features to logits.
        prompt: tokens of the text, (1, T), T at least 1.
        beam_size: K.
        length: most tokens of a continuation.
        length_penalty: exponent of the length in the score. It has an effect if continuations can end.
        end: token that ends a document; None if there is none.
        apart: the state starts from zero after the prompt, which then decides the first token only.

    Returns:
        At most K continuations, the best first.

    Raises:
        RunError: if logits are not finite.

    Source: Wu et al. 2016, "Google's neural machine translation system", eq. 14, for the score.
    """
    state, device = None, prompt.device
    for piece in prompt.split(PROMPT_PIECE, dim=1):
        features, state = read(model, piece, state)
    axes = row_axes(model, prompt[:, :1])
    first = torch.zeros(beam_size, dtype=torch.long, device=device)
    features, state = features[first], chosen_rows(state, axes, first)
    totals = torch.full((beam_size,), -torch.inf, dtype=torch.double, device=device)
    totals[0] = 0.0  # the search begins with one hypothesis
    ended = torch.zeros(beam_size, dtype=torch.bool, device=device)
    lengths = torch.zeros(beam_size, dtype=torch.long, device=device)
    tokens = torch.zeros((beam_size, 0), dtype=torch.long, device=device)
    for step in range(length):
        totals, parent, token = continued(totals, ended, log_probabilities(head(features)))
        tokens = torch.cat([tokens[parent], token[:, None]], dim=1)
        lengths = lengths[parent] + ~ended[parent]
        dead = totals.isinf()  # a small vocabulary has fewer continuations than the beam has places
        ended = ended[parent] | dead | (torch.zeros_like(dead) if end is None else token == end)
        if step + 1 == length or bool(ended.all()):
            break
        features, state = read(model, token[:, None], None if apart else chosen_rows(state, axes, parent))
        apart = False
    scores = normalised(totals, lengths, length_penalty)
    order = scores.argsort(descending=True, stable=True)
    rows = zip(*(part[order].tolist() for part in (tokens, lengths, totals, scores)), strict=True)
    return [Continuation(row[:size], total, score) for row, size, total, score in rows if total > -torch.inf]


def continued(totals: Tensor, ended: Tensor, logs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The most probable of all continuations of some hypotheses by one token, as many as there are hypotheses.

    Args:
        totals: log-probabilities of the hypotheses, (..., K).
        ended: true where one has ended: it goes on in one way, with probability 1, (..., K).
        logs: log-probabilities of the next token, (..., K, V).

    Returns:
        Their log-probabilities, the numbers of the hypotheses that they continue, and their tokens, (..., K) each. If
        there are fewer, the others have log-probability -inf.
    """
    best, token = logs.topk(min(totals.shape[-1], logs.shape[-1]))
    once = torch.full_like(best, -torch.inf)
    once[..., 0] = 0.0
    best = torch.where(ended[..., None], once, best)
    totals, chosen = (totals[..., None] + best).flatten(-2).topk(totals.shape[-1])
    return totals, chosen // best.shape[-1], token.flatten(-2).gather(-1, chosen)


def normalised(totals: Tensor, lengths: Tensor, penalty: float) -> Tensor:
    """Log-probabilities / ((5 + lengths) / 6)^penalty, by which hypotheses of different lengths are ranked.

    Source: Wu et al. 2016, "Google's neural machine translation system", eq. 14.
    """
    return totals / ((5 + lengths) / 6) ** penalty


def log_probabilities(logits: Tensor) -> Tensor:
    """Log-probabilities of the next token, float64, (K, V); raises RunError if logits are not finite."""
    if not logits.amax(dim=-1).isfinite().all():  # the maximum is NaN if any logit is
        raise RunError(
            "the logits hold NaN or infinite values, so no token can be chosen; use another checkpoint or a higher "
            "precision"
        )
    return logits.double().log_softmax(dim=-1)


def row_axes(model: nn.Module, token: Tensor) -> list[int | None]:
    """The axis of the rows in each tensor of a model's state: where the states of one row and of two rows differ.

    Args:
        model: the model.
        token: any token, (1, 1).

    Returns:
        An axis for each tensor, in the order of ``map_tensors``; None for a tensor without rows.
    """
    shapes: list[list[torch.Size]] = [[], []]
    for count, found in enumerate(shapes, start=1):
        map_tensors(read(model, token.repeat(count, 1), None)[1], partial(add_shape, found))
    return [
        next((axis for axis, (one, two) in enumerate(zip(*both, strict=True)) if one != two), None)
        for both in zip(*shapes, strict=True)
    ]


def add_shape(shapes: list[torch.Size], tensor: Tensor) -> Tensor:
    """Add the shape of a tensor to a list, and return the tensor."""
    shapes.append(tensor.shape)
    return tensor


def chosen_rows(state: Any, axes: list[int | None], index: Tensor) -> Any:
    """The state of rows with these numbers; see ``row_axes``."""
    of_tensors = iter(axes)

    def choose(tensor: Tensor) -> Tensor:
        axis = next(of_tensors)
        return tensor if axis is None else tensor.index_select(axis, index)

    return map_tensors(state, choose)
