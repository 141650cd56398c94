"""Moves of embedded tokens, and passes over a batch that repeat the dropout of an earlier pass.

Shapes: B batch, T time, D features of an embedded token.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from seqtrain.errors import ConfigError
from seqtrain.models.sequence import SequenceModel

LEAST_SQUARE = 1e-12
"""Smallest mean square of a row's embedded tokens; below it, the square root has no useful gradient."""


def check_embeds(model: nn.Module, option: str) -> SequenceModel:
    """The model, if it embeds tokens; else raise ConfigError, for an ``option`` that needs it."""
    if isinstance(model, SequenceModel) and isinstance(model.embedding, nn.Embedding):
        return model
    raise ConfigError(f"{option}: moves embedded tokens, and this model has none; use 0, or a model of texts")


def unit(x: Tensor) -> Tensor:
    """Each row of x (B, T, D), divided by its norm; rows of zeros stay zeros.

    The norm is computed of x divided by its largest number, so that no square is too small for fp32.
    """
    tiny = torch.finfo(x.dtype).tiny
    scaled = x / x.abs().amax((1, 2), keepdim=True).clamp_min(tiny)
    return scaled / torch.linalg.vector_norm(scaled, dim=(1, 2), keepdim=True).clamp_min(tiny)


def moved(embedded: Tensor, direction: Tensor, epsilon: float, lengths: Tensor) -> Tensor:
    """Embedded tokens e (B, T, D), moved along unit rows u (B, T, D): e + epsilon rms(e) u."""
    return embedded + epsilon * root_mean_square(embedded, lengths) * direction


def root_mean_square(embedded: Tensor, lengths: Tensor) -> Tensor:
    """Root mean square of each row's embedded tokens, (B, 1, 1), from (B, T, D) that are 0 on padding."""
    mean = embedded.square().sum((1, 2)) / (lengths * embedded.shape[2])
    return mean.clamp_min(LEAST_SQUARE).sqrt()[:, None, None]


def generator_states(device: torch.device) -> list[Tensor]:
    """States of the generators that dropout draws from: the CPU's and the device's."""
    states = [torch.get_rng_state()]
    return states if device.type == "cpu" else [*states, torch.get_device_module(device).get_rng_state()]


def set_generator_states(states: list[Tensor], device: torch.device) -> None:
    """Restore what ``generator_states`` returned."""
    torch.set_rng_state(states[0])
    if states[1:]:
        torch.get_device_module(device).set_rng_state(states[1])


@contextmanager
def repeating(states: list[Tensor], device: torch.device) -> Iterator[None]:
    """Context in which the generators start from earlier states; after it they go on from where they were."""
    now = generator_states(device)
    set_generator_states(states, device)
    try:
        yield
    finally:
        set_generator_states(now, device)
