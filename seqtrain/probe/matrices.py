"""Spectra of the recurrent matrices of a layer, and of the Jacobian of one of its steps.

Shapes: B batch, H hidden, K parts of a state, N steps.
"""

import math

import torch
from torch import Tensor

from seqtrain.probe.recurrences import Direction, Unrolled

SQUARINGS = 12

ITERATIONS = 15
"""Power iterations for the largest singular value of a Jacobian."""

MOST_STEPS = 16
"""Largest number of steps whose Jacobians are measured."""


def spectral_radius(matrix: Tensor) -> float:
    """Largest absolute eigenvalue of a matrix (H, H), by Gelfand's formula |A^k|^(1/k) with k = 4096, to about 0.1 %.

    That takes 12 products, where all eigenvalues of a large matrix take seconds.
    """
    power, log_scale = matrix.detach(), 0.0
    for _ in range(SQUARINGS):
        norm = float(power.norm())
        if norm == 0 or not math.isfinite(norm):
            return norm
        power = power / norm
        power, log_scale = power @ power, 2 * (log_scale + math.log(norm))
    norm = float(power.norm())
    return math.exp((log_scale + math.log(norm)) / 2**SQUARINGS) if norm else 0.0


def largest_singular_value(matrix: Tensor) -> float:
    """Largest singular value of a matrix (H, H), to about 0.1 %; see ``spectral_radius``."""
    return math.sqrt(spectral_radius(matrix.detach().T @ matrix.detach()))


def jacobian_norms(direction: Direction, unrolled: Unrolled) -> Tensor:
    """Largest singular value of d s_t / d s_{t-1} at some real steps, evenly spaced over all of them, (N,).

    The state s is all that the recurrence carries: (h, c) of an LSTM. Power iteration on J^T J starts from the same
    vector at every step, so no random number is drawn.

    Args:
        direction: what the layer read.
        unrolled: the states of the same direction.
    """
    places = direction.real.nonzero()
    chosen = places[torch.linspace(0, len(places) - 1, min(MOST_STEPS, len(places))).round().long()]
    rows, steps = chosen.unbind(1)
    before = torch.stack(unrolled.before, 2)[rows, steps]
    projected = direction.unit.project(direction.inputs[rows, steps]).detach()

    with torch.enable_grad():
        before.requires_grad_()
        after = torch.stack(direction.unit.step(projected, tuple(before.unbind(1)))[0], 1)
        weights = torch.zeros_like(after).requires_grad_()
        (pulled,) = torch.autograd.grad(after, before, weights, create_graph=True)  # J^T weights, linear in weights
    count = before[0].numel()
    vector = torch.cos(torch.arange(count, dtype=before.dtype, device=before.device)).view_as(before[0])
    vector = (vector / vector.norm()).expand_as(before)
    size = before.new_ones(len(before))
    for _ in range(ITERATIONS):
        (moved,) = torch.autograd.grad(pulled, weights, vector, retain_graph=True)  # J vector
        size = moved.flatten(1).norm(dim=1)
        (vector,) = torch.autograd.grad(after, before, moved, retain_graph=True)  # J^T moved
        vector = vector / vector.flatten(1).norm(dim=1).clamp(min=torch.finfo(before.dtype).tiny)[:, None, None]
    return size
