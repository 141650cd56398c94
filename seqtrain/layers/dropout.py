"""Dropout of single numbers, of features for all steps of a sequence, of whole words and of recurrent weights.

Shapes: B batch, T time, D features.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEVELS = 2**16  # probabilities that 16 random bits can represent


def dropout_factors(shape: tuple[int, ...], p: float, like: Tensor) -> Tensor:
    """Random factors for dropout: 0 with probability p, else 1 / (1 - p).

    On the CPU, four factors are made from the 64 bits of one random integer, so p is rounded to a multiple of 2^-16.
    torch draws one number for each factor, which takes a tenth of a training step.

    Args:
        shape: shape of the factors.
        p: probability of 0.
        like: gives the dtype and the device.
    """
    if like.device.type != "cpu":
        return torch.empty(shape, device=like.device, dtype=like.dtype).bernoulli_(1 - p).div_(1 - p)
    count = torch.Size(shape).numel()
    bits = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)[:count]
    dropped = min(round(p * LEVELS), LEVELS - 1)
    keep = bits >= dropped - LEVELS // 2
    return keep.view(shape).to(like.dtype).mul_(LEVELS / (LEVELS - dropped))


def dropout(x: Tensor, p: float, training: bool = True) -> Tensor:
    """Equivalent of torch.nn.functional.dropout that takes its random factors on the CPU from ``dropout_factors``."""
    if x.device.type != "cpu":
        return F.dropout(x, p, training)
    return x * dropout_factors(x.shape, p, x) if training and p > 0 else x


class Dropout(nn.Dropout):
    """torch.nn.Dropout that computes with ``dropout``."""

    def forward(self, input: Tensor) -> Tensor:
        return dropout(input, self.p, self.training)


class LockedDropout(nn.Module):
    """Dropout with one mask for all steps of a sequence.

    Args:
        p: probability of dropping a feature of a sequence.

    Source: Gal and Ghahramani 2016, "A theoretically grounded application of dropout in recurrent neural networks".
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """In training drop features of x (B, T, D) by a mask (B, 1, D) and scale the others up; else return x."""
        if not self.training or self.p == 0:
            return x
        return x * dropout_factors((x.shape[0], 1, x.shape[2]), self.p, x)


class WordDropout(nn.Module):
    """Dropout of whole words: a dropped word gets a zero vector wherever it occurs in the batch.

    Args:
        p: probability of dropping a word of the vocabulary.

    Source: Gal and Ghahramani 2016, section 4.2.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, vectors: Tensor, tokens: Tensor, vocab_size: int) -> Tensor:
        """In training drop words and scale the vectors of the others up; else return the vectors.

        Args:
            vectors: (B, T, D).
            tokens: token of each vector, (B, T).
            vocab_size: number of tokens.
        """
        if not self.training or self.p == 0:
            return vectors
        return vectors * dropout_factors((vocab_size,), self.p, vectors)[tokens][..., None]


def dropped_recurrent_weights(layer: nn.Module, p: float) -> dict[str, Tensor]:
    """Parameters of a recurrent layer by name, with dropout on its recurrent matrices (DropConnect).

    All tensors are views of one buffer in the order of the layer's parameters, as cuDNN needs it.

    Source: Wan et al. 2013; Merity et al. 2018, "Regularizing and optimizing LSTM language models", section 2.
    """
    weights = {name: dropout(weight, p) if "weight_hh" in name else weight for name, weight in layer.named_parameters()}
    flat = torch.cat([weight.flatten() for weight in weights.values()])
    parts = flat.split([weight.numel() for weight in weights.values()])
    return {name: part.view_as(weight) for (name, weight), part in zip(weights.items(), parts, strict=True)}
