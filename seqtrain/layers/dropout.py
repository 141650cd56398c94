"""Dropout: of single numbers, of features for all steps at once, of whole words, of recurrent weights."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEVELS = 2**16


def dropout_factors(shape: tuple[int, ...], p: float, like: Tensor) -> Tensor:
    """Independent factors that are 0 with probability p, else 1 / (1 - p), in the type and on the device of ``like``.

    On the CPU four are made of the bits of one random number, with p in steps of 2^-16: torch draws a number for each,
    which takes a tenth of a training step.
    """
    if like.device.type != "cpu":
        return torch.empty(shape, device=like.device, dtype=like.dtype).bernoulli_(1 - p).div_(1 - p)
    count = torch.Size(shape).numel()
    bits = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)[:count]
    dropped = min(round(p * LEVELS), LEVELS - 1)
    keep = bits >= dropped - LEVELS // 2
    return keep.view(shape).to(like.dtype).mul_(LEVELS / (LEVELS - dropped))


def dropout(x: Tensor, p: float, training: bool = True) -> Tensor:
    """torch.nn.functional.dropout, with the CPU's random numbers from ``dropout_factors``."""
    if x.device.type != "cpu":
        return F.dropout(x, p, training)
    return x * dropout_factors(x.shape, p, x) if training and p > 0 else x


class Dropout(nn.Dropout):
    """torch.nn.Dropout by ``dropout``."""

    def forward(self, input: Tensor) -> Tensor:
        return dropout(input, self.p, self.training)


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
        return x * dropout_factors((x.shape[0], 1, x.shape[2]), self.p, x)


class WordDropout(nn.Module):
    """Dropout of whole words: a word that is dropped has the vector zero wherever it stands in the batch.

    Args:
        p: probability of dropping a word of the vocabulary.

    Source: Gal and Ghahramani 2016, section 4.2.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, vectors: Tensor, tokens: Tensor, vocab_size: int) -> Tensor:
        """Vectors (B, T, D) of tokens (B, T), those that are kept scaled up; the identity in evaluation."""
        if not self.training or self.p == 0:
            return vectors
        return vectors * dropout_factors((vocab_size,), self.p, vectors)[tokens][..., None]


def dropped_recurrent_weights(layer: nn.Module, p: float) -> dict[str, Tensor]:
    """The parameters of a recurrent layer by name, with numbers of its recurrent matrices dropped (DropConnect).

    All are views of one buffer in the order of the layer's parameters, which is what cuDNN wants.

    Source: Wan et al. 2013; Merity et al. 2018, "Regularizing and optimizing LSTM language models", section 2.
    """
    weights = {name: dropout(weight, p) if "weight_hh" in name else weight for name, weight in layer.named_parameters()}
    flat = torch.cat([weight.flatten() for weight in weights.values()])
    parts = flat.split([weight.numel() for weight in weights.values()])
    return {name: part.view_as(weight) for (name, weight), part in zip(weights.items(), parts, strict=True)}
