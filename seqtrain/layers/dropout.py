"""Dropout for sequences: of features for all steps at once, of whole words, of recurrent weights."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


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
        keep = torch.empty(vocab_size, device=vectors.device, dtype=vectors.dtype).bernoulli_(1 - self.p)
        return vectors * keep.div_(1 - self.p)[tokens][..., None]


def dropped_recurrent_weights(layer: nn.Module, p: float) -> dict[str, Tensor]:
    """The parameters of a recurrent layer by name, with numbers of its recurrent matrices dropped (DropConnect).

    All are views of one buffer in the order of the layer's parameters, which is what cuDNN wants.

    Source: Wan et al. 2013; Merity et al. 2018, "Regularizing and optimizing LSTM language models", section 2.
    """
    weights = {
        name: F.dropout(weight, p) if "weight_hh" in name else weight for name, weight in layer.named_parameters()
    }
    flat = torch.cat([weight.flatten() for weight in weights.values()])
    parts = flat.split([weight.numel() for weight in weights.values()])
    return {name: part.view_as(weight) for (name, weight), part in zip(weights.items(), parts, strict=True)}
