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
from seqtrain.layers.recurrence import reversal_index
from seqtrain.probe.passes import gradients
from seqtrain.probe.recurrences import Direction, Unrolled, unroll

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


def state_gradients(direction: Direction, direct: Tensor, after: tuple[Tensor, ...]) -> tuple[StateGradients, Unrolled]:
    """Gradients with respect to every state of a direction, and the states and gates they were computed with.

    Args:
        direction: what the layer read.
        direct: gradient of the loss with respect to its outputs, without their effect on its own later steps,
            (B, T, H).
        after: the same with respect to each part of the state it returned, (B, H); may be empty.
    """
    dtype = direction.inputs.dtype
    direct, after = direct.to(dtype), tuple(part.to(dtype) for part in after)
    added = torch.zeros_like(direct).requires_grad_()
    with torch.enable_grad():
        unrolled = unroll(direction, added)
        outputs, states = unrolled.outputs, unrolled.states[-1]
        direct = direct * direction.real[..., None]
        returned = sum(
            ((state * part).sum() for state, part in zip(states, after, strict=False)), outputs.new_zeros(())
        )
        (total,) = gradients((outputs * direct).sum() + returned, [added], keep=True)
        row, last = torch.arange(len(outputs), device=outputs.device), direction.lengths - 1
        wanted = direct.sum(1) + (after[0] if after else 0.0)
        cells = sum(((state * part).sum() for state, part in list(zip(states, after, strict=False))[1:]), 0.0)
        (carried,) = gradients((outputs[row, last] * wanted).sum() + cells, [added])
    return StateGradients(total.norm(dim=-1), carried.norm(dim=-1)), unrolled


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
