"""Which steps of a row are real, and which of a memory a query may see.

Shapes: B batch, T time or queries, S memory steps.
"""

import torch
from torch import Tensor


def real_steps(lengths: Tensor, num_steps: int) -> Tensor:
    """Mask of the steps that are no padding, (B, T)."""
    return torch.arange(num_steps, device=lengths.device) < lengths[:, None]


def causal_window(documents: Tensor, num_queries: int, context_length: int) -> Tensor:
    """What each query may see of a memory that ends with the queries' own steps.

    Args:
        documents: number of the document of each memory step, (B, S).
        num_queries: T, at most S; query t stands at memory step S - T + t.
        context_length: W.

    Returns:
        (B, T, S), true for the W steps that end with the query's own, as far as they are of its document.
    """
    S = documents.shape[1]
    step = torch.arange(S, device=documents.device)
    distance = step[S - num_queries :, None] - step
    window = (distance >= 0) & (distance < context_length)
    return window & (documents[:, S - num_queries :, None] == documents[:, None, :])
