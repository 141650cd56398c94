"""Rows of a batch that restart from a zero state within it, as where a document begins.

Shapes: B rows of a batch, T steps, P pieces, W steps of the longest piece.
"""

import functools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from seqtrain.layers.memory import map_tensors, zero_rows


class MoveSteps(torch.autograd.Function):
    """Autograd function that moves the steps of (B, T, D) to other places, (P, W, D).

    The backward pass is a gather too, which is faster than a scatter.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, there: Tensor, back: Tensor) -> Tensor:
        """Step ``there`` (P, W) of x for each place; ``back`` (B, T) is the place of each step, the gradient's too."""
        ctx.save_for_backward(back)
        return x.reshape(-1, x.shape[-1]).index_select(0, there.flatten()).view(*there.shape, -1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        """Gradient of x: that of the place of each step."""
        (back,) = ctx.saved_tensors
        return grad.reshape(-1, grad.shape[-1]).index_select(0, back.flatten()).view(*back.shape, -1), None, None


@dataclass(frozen=True)
class Pieces:
    """The rows of a batch cut where they restart; each piece is a row of its own, padded on the right."""

    lengths: Tensor
    """Real steps of each piece, (P,)."""
    rows: Tensor
    """Row of each piece, (P,)."""
    fresh: Tensor
    """Whether a piece begins with a zero state, (P,), not with that of its row."""
    last: Tensor
    """The last piece of each row, (B,)."""
    steps: Tensor
    """Step of the batch, of B * T, at each step of each piece, (P, W)."""
    places: Tensor
    """Step of the pieces, of P * W, that has each step of the batch, (B, T)."""

    @classmethod
    def of(cls, restarts: Tensor, lengths: Tensor) -> "Pieces":
        """The pieces of rows with the first ``lengths`` (B,) steps real, which restart at ``restarts`` (B, T)."""
        B, T = restarts.shape
        starts = restarts.clone()
        starts[:, 0] = True
        rows, first = starts.nonzero().unbind(1)
        last = starts.sum(1).cumsum(0) - 1
        ends = torch.full_like(first, T)
        ends[:-1] = torch.where(rows[1:] == rows[:-1], first[1:], T)
        width = int((ends - first).max())
        number = starts.flatten().cumsum(0).view(B, T) - 1
        step = torch.arange(T, device=rows.device)
        within = (first[:, None] + torch.arange(width, device=rows.device)).clamp(max=T - 1)
        return cls(
            (torch.minimum(ends, lengths[rows]) - first).clamp(min=0),
            rows,
            restarts[rows, first],
            last,
            rows[:, None] * T + within,
            number * width + step - first[number],
        )

    def cut(self, x: Tensor) -> Tensor:
        """The pieces of (B, T, D), (P, W, D)."""
        return MoveSteps.apply(x, self.steps, self.places)

    def joined(self, outputs: Tensor) -> Tensor:
        """The rows of (P, W, H), (B, T, H)."""
        return MoveSteps.apply(outputs, self.places, self.steps)

    def before(self, state: Any) -> Any:
        """State before each piece, from that before each row."""
        return map_tensors(state, lambda part: zero_rows(part.index_select(-2, self.rows), self.fresh))

    def after(self, state: Any) -> Any:
        """State after each row, from that after each piece."""
        return map_tensors(state, lambda part: part.index_select(-2, self.last))


class Restarts:
    """The steps of a batch before which the state of some rows is reset to zero.

    Args:
        mask: true at these steps, (B, T).
        lengths: real steps of each row, (B,).
    """

    def __init__(self, mask: Tensor, lengths: Tensor):
        self.mask, self.lengths = mask, lengths
        self.steps: list[int] = mask.any(0).nonzero().flatten().tolist()
        """The steps at which any row restarts, in order."""

    @property
    def within(self) -> bool:
        """Whether a row restarts after its first step."""
        return self.steps[-1:] not in ([], [0])

    def reset(self, state: Any, step: int) -> Any:
        """A state before a step, with zeros in the rows that restart there."""
        return map_tensors(state, functools.partial(zero_rows, restarts=self.mask[:, step]))

    @functools.cached_property
    def pieces(self) -> Pieces:
        """The pieces between restarts."""
        return Pieces.of(self.mask, self.lengths)
