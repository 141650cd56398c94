"""Attention layers, and how to see their weights.

Shapes: B batch, T time, H features.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Attention(nn.Module):
    """The base of every attention layer: hands its weights to ``recorded_weights`` while that is open."""

    recorder: list[Tensor] | None = None

    def record(self, weights: Tensor) -> None:
        """Keep weights, if anybody wants them."""
        if self.recorder is not None:
            self.recorder.append(weights.detach())


@contextmanager
def recorded_weights(module: nn.Module) -> Iterator[dict[str, list[Tensor]]]:
    """Collect the weights of every attention layer inside ``module``, by name, one tensor a call, while open."""
    layers = {name: layer for name, layer in module.named_modules() if isinstance(layer, Attention)}
    weights: dict[str, list[Tensor]] = {}
    for name, layer in layers.items():
        layer.recorder = weights[name] = []
    try:
        yield weights
    finally:
        for layer in layers.values():
            layer.recorder = None


class AdditiveSelfPooling(Attention):
    """One vector for a sequence: its states, weighted by how well each answers to a learned query.

    u_t = tanh(W h_t + b);  a = softmax over the real steps of v^T u_t;  output sum_t a_t h_t.

    Args:
        size: H.

    Source: Yang et al. 2016, "Hierarchical attention networks", eq. 5-7 (there v is the context vector u_w).
    """

    def __init__(self, size: int):
        super().__init__()
        self.hidden = nn.Linear(size, size)
        self.query = nn.Linear(size, 1, bias=False)
        nn.init.xavier_uniform_(self.hidden.weight)
        nn.init.zeros_(self.hidden.bias)

    def forward(self, states: Tensor, real: Tensor) -> Tensor:
        """Pool states (B, T, H), of which ``real`` (B, T) are no padding, to (B, H)."""
        scores = self.query(torch.tanh(self.hidden(states))).squeeze(-1)
        weights = scores.masked_fill(~real, -torch.inf).softmax(-1)
        self.record(weights)
        return torch.bmm(weights[:, None].to(states.dtype), states).squeeze(1)
