"""How far back a model remembers: gradients by lag, and the growth of gradients through the recurrence.

A lag counts steps back from the last real step of a row, in the order in which a direction runs. Lag 0 is that step.

Shapes: B batch, T time, H hidden, L lags.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqtrain.layers.masks import real_steps
from seqtrain.layers.memory import zero_rows
from seqtrain.layers.recurrence import reversal_index
from seqtrain.probe.recurrences import Direction, Unrolled

FADED = 0.01
"""Share of the largest norm below which a gradient counts as gone."""

Curve = NDArray[np.float64]  # a norm at each lag from 0 on, (L,)


@dataclass(frozen=True)
class StateGradients:
    """Norms over H of gradients with respect to the states h_t of a direction, (B, T), steps in its order."""

    total: Tensor
    """Of the loss: by the recurrence, and past it by attention, pooling and later layers."""
    carried: Tensor
    """Of the last state alone, in the direction in which the loss depends on the states: by the recurrence only."""


@torch.no_grad()
def state_gradients(
    direction: Direction, unrolled: Unrolled, direct: Tensor, after: tuple[Tensor, ...]
) -> StateGradients:
    """Gradients with respect to every state of a direction, by backpropagation through its steps.

    Args:
        direction: what the layer read.
        unrolled: the steps of the same direction.
        direct: gradient of the loss with respect to its outputs, without their effect on its own later steps,
            (B, T, H).
        after: the same with respect to each part of the state it returned, (B, H); may be empty.
    """
    dtype = direction.inputs.dtype
    direct = direct.to(dtype) * direction.real[..., None]
    after = tuple(part.to(dtype) for part in after) or tuple(torch.zeros_like(part[:, 0]) for part in unrolled.states)
    row, last = torch.arange(len(direct), device=direct.device), direction.lengths - 1
    carried = torch.zeros_like(direct)
    carried[row, last] = direct.sum(1) + after[0]
    added = torch.stack([direct, carried]).unbind(2)  # (2, B, H) each: both gradients take the same steps
    gradient = tuple(part.repeat(2, 1, 1) for part in after)
    gradient[0][1] = 0  # it is in ``carried``
    factors = list(zip(*(own.unbind(1) for own in unrolled.factors), strict=True))
    visited = []
    for t in reversed(range(direct.shape[1])):
        gradient = (gradient[0] + added[t], *gradient[1:])
        visited.append(gradient[0])
        gradient = direction.unit.pull(gradient, factors[t])
        if direction.restarts is not None:
            gradient = tuple(zero_rows(part, direction.restarts[:, t]) for part in gradient)
    return StateGradients(*torch.stack(visited[::-1], 2).norm(dim=-1))


def by_lag(norms: Tensor, lengths: Tensor) -> Curve:
    """Mean over the rows of norms (B, T) at each lag; a lag that no row has is left out."""
    norms, lengths = norms.cpu(), lengths.cpu()  # some devices have no fp64
    reverse = reversal_index(lengths, norms.shape[1])
    real = real_steps(lengths, norms.shape[1])
    backwards = norms.flatten()[reverse].double() * real
    number = real.sum(0)
    curve: Curve = (backwards.sum(0) / number)[number > 0].numpy()
    return curve


def effective_memory(curve: Curve) -> int:
    """The lag from which all norms are below 1 % of the largest; the number of lags if there is none."""
    if not len(curve) or not curve.max() > 0:
        return 0
    return int(np.flatnonzero(~(curve < FADED * curve.max()))[-1]) + 1  # a NaN is not below


def growth(curve: Curve) -> float:
    """Mean change of log norm for each step back, in nats, until the norm is gone; NaN with fewer than two norms.

    Below 0 gradients vanish, above 0 they explode. Over many steps and rows it is the largest Lyapunov exponent of the
    recurrence, driven by these inputs.

    Source: Pascanu et al. 2013, "On the difficulty of training recurrent neural networks", section 2.
    """
    usable = np.flatnonzero((curve > np.finfo(np.float32).tiny) & np.isfinite(curve))
    if len(usable) < 2 or usable[0] != 0:
        return float("nan")
    gaps = np.flatnonzero(np.diff(usable) > 1)
    end = int(usable[gaps[0]] if len(gaps) else usable[-1])
    return float(np.log(curve[end] / curve[0]) / end) if end else float("nan")
