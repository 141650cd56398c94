"""State that a causal model carries from segment to segment: recurrent states, and past steps for attention."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def append_steps(before: Tensor | None, new: Tensor, keep: int) -> tuple[Tensor, Tensor]:
    """Append the steps of a segment to the stored steps, and select the steps to store for the next segment.

    Args:
        before: stored steps, (B, M, ...), or None.
        new: steps of the segment, (B, T, ...).
        keep: number of steps to store.

    Returns:
        All M + T steps, and the last ``keep`` of them.
    """
    steps = new if before is None else torch.cat([before.to(new.dtype), new], dim=1)
    return steps, steps[:, max(steps.shape[1] - keep, 0) :]


def zero_rows(state: Tensor, restarts: Tensor) -> Tensor:
    """A recurrent state (..., B, H) with zeros in the rows where ``restarts`` (B,) is true."""
    return state * (~restarts)[:, None]


def map_tensors(state: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """Apply a function to every tensor of a state of nested lists, tuples and dicts."""
    if isinstance(state, Tensor):
        return function(state)
    if isinstance(state, list | tuple):
        return type(state)(map_tensors(part, function) for part in state)
    if isinstance(state, dict):
        return {name: map_tensors(part, function) for name, part in state.items()}
    return state
