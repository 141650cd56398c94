"""Dropout that holds still over time."""

import torch
from torch import Tensor, nn


class LockedDropout(nn.Module):
    """Dropout with one mask for all steps of a sequence.

    Args:
        p: probability of zeroing a feature of a sequence.

    Source: Gal and Ghahramani 2016, "A theoretically grounded application of dropout in recurrent neural networks".
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Drop features of x, (B, T, D), by a mask (B, 1, D), and scale the others up; the identity in evaluation."""
        if not self.training or self.p == 0:
            return x
        keep = torch.empty(x.shape[0], 1, x.shape[2], device=x.device, dtype=x.dtype).bernoulli_(1 - self.p)
        return x * keep.div_(1 - self.p)
