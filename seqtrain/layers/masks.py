"""Attention and padding masks: which steps of a row are valid, and which steps of a memory a query may see.

Shapes: B batch, T time or queries, S steps of the memory.
"""

import torch
from torch import Tensor


def real_steps(lengths: Tensor, num_steps: int) -> Tensor:
    """Mask of the real steps: true before each row's length, false on padding.

    Args:
        lengths: real steps of each row, (B,).
        num_steps: T.

    Returns:
        (B, T).
    """
    return torch.arange(num_steps, device=lengths.device) < lengths[:, None]


def causal_window(documents: Tensor, num_queries: int, context_length: int) -> Tensor:
    """Causal mask with a limited window, over a memory that ends with the queries' own steps.

    Args:
        documents: document number of each step of the memory, (B, S).
        num_queries: T, at most S. Query t stands at step S - T + t of the memory.
        context_length: steps that a query sees, its own included.

    Returns:
        (B, T, S): true for the last ``context_length`` steps up to the query's own, if they belong to the same
        document.
    """
    S = documents.shape[1]
    step = torch.arange(S, device=documents.device)
    distance = step[S - num_queries :, None] - step
    window = (distance >= 0) & (distance < context_length)
    return window & (documents[:, S - num_queries :, None] == documents[:, None, :])
