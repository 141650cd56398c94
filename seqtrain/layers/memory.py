"""What a causal model carries from segment to segment: recurrent states, and steps that attention looks back to."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def append_steps(before: Tensor | None, new: Tensor, keep: int) -> tuple[Tensor, Tensor]:
    """Join a segment to what is remembered, and say what to keep for the next one.

    Args:
        before: remembered steps, (B, M, ...), or None.
        new: steps of the segment, (B, T, ...).
        keep: how many of the last steps to keep.

    Returns:
        All M + T steps, and the last ``keep`` of them.
    """
    steps = new if before is None else torch.cat([before.to(new.dtype), new], dim=1)
    return steps, steps[:, max(steps.shape[1] - keep, 0) :]


def zero_rows(state: Tensor, restarts: Tensor) -> Tensor:
    """A recurrent state (..., B, H), zero in the rows of ``restarts`` (B,)."""
    return state * (~restarts)[:, None]


def map_tensors(state: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """Apply a function to every tensor of a state: nested lists, tuples and dicts."""
    if isinstance(state, Tensor):
        return function(state)
    if isinstance(state, list | tuple):
        return type(state)(map_tensors(part, function) for part in state)
    if isinstance(state, dict):
        return {name: map_tensors(part, function) for name, part in state.items()}
    return state
