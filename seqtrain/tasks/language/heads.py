"""Maps from features to the distribution of the next token: a full, sampled or adaptive softmax over the vocabulary.

Shapes: N positions, H features, E projected features, V tokens.
"""

from typing import cast

import torch
from torch import Tensor, nn

from seqtrain.layers.cross_entropy import TokenScores, linear_cross_entropy, token_scores
from seqtrain.layers.products import Linear
from seqtrain.layers.sampled_softmax import inclusion_probabilities, sampled_cross_entropy

ADAPTIVE_ROWS = 2**24  # number of log-probabilities of an adaptive softmax that are in memory at once in scoring


class SoftmaxHead(nn.Module):
    """Full softmax, log softmax(W P h + b), with a learned projection P or without.

    Args:
        input_size: number H of features.
        vocab_size: number V of tokens.
        projection_size: size E of the projection; with None there is none, unless ``tied`` vectors are not of size H.
        tied: embedding, (V, E), whose vectors are the rows of W; None learns W.

    Source: Press and Wolf 2017, "Using the output embedding to improve language models" (tied W); the projection is
    that of Sak et al. 2014, placed after the recurrence.
    """

    def __init__(self, input_size: int, vocab_size: int, projection_size: int | None, tied: nn.Embedding | None):
        super().__init__()
        size = projection_size or (input_size if tied is None else tied.embedding_dim)
        projects = projection_size is not None or size != input_size
        self.projection = Linear(input_size, size, bias=False) if projects else nn.Identity()
        if isinstance(self.projection, nn.Linear):
            nn.init.xavier_uniform_(self.projection.weight)
        self.weight = nn.Parameter(torch.empty(vocab_size, size)) if tied is None else cast(nn.Parameter, tied.weight)
        if tied is None:
            nn.init.xavier_uniform_(self.weight)
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def forward(self, features: Tensor) -> Tensor:
        """Logits (..., V) of features (..., H)."""
        return nn.functional.linear(self.projection(features), self.weight, self.bias)

    def nats(self, features: Tensor, targets: Tensor) -> Tensor:
        """Negative log-probability of each target (N,) from features (N, H)."""
        return linear_cross_entropy(self.projection(features), self.weight, self.bias, targets)

    def scores(self, features: Tensor, targets: Tensor) -> TokenScores:
        """Negative log-probability, rank and confidence of each target (N,) from features (N, H), without gradient."""
        return token_scores(self.projection(features), self.weight, self.bias, targets)


class SampledSoftmaxHead(SoftmaxHead):
    """Full softmax that is trained on a random part of the vocabulary, which is drawn anew at each step.

    In evaluation mode it is the full softmax.

    Args:
        num_sampled: expected number of tokens in the part.
        others: as of ``SoftmaxHead``; tokens are numbered from the most frequent.

    Source: see ``sampled_cross_entropy``.
    """

    inclusion: Tensor

    def __init__(
        self, input_size: int, vocab_size: int, projection_size: int | None, tied: nn.Embedding | None, num_sampled: int
    ):
        super().__init__(input_size, vocab_size, projection_size, tied)
        self.register_buffer("inclusion", inclusion_probabilities(vocab_size, num_sampled), persistent=False)

    def nats(self, features: Tensor, targets: Tensor) -> Tensor:
        """Negative log-probability of each target (N,) from features (N, H); in training an estimate."""
        if not self.training:
            return super().nats(features, targets)
        return sampled_cross_entropy(self.projection(features), self.weight, self.bias, targets, self.inclusion)


class AdaptiveSoftmaxHead(nn.Module):
    """Adaptive softmax: a small softmax for frequent tokens, and clusters with smaller projections for rarer ones.

    Args:
        input_size: number H of features.
        vocab_size: number V of tokens, which are numbered from the most frequent.
        projection_size: size E of the projection; None for no projection.
        cutoffs: first token of each cluster, ascending.

    Under autocast only the projection has the lower precision, since torch's layer fails on mixed types.

    Source: Grave et al. 2017, "Efficient softmax approximation for GPUs"; torch's own layer.
    """

    def __init__(self, input_size: int, vocab_size: int, projection_size: int | None, cutoffs: list[int]):
        super().__init__()
        size = projection_size or input_size
        self.projection = Linear(input_size, size, bias=False) if projection_size else nn.Identity()
        shrink = min(
            4.0, 0.99 * size ** (1 / len(cutoffs))
        )  # from cluster to cluster; 4, unless the last projection would vanish
        self.softmax = nn.AdaptiveLogSoftmaxWithLoss(size, vocab_size, cutoffs, div_value=shrink)

    def forward(self, features: Tensor) -> Tensor:
        """Log-probabilities (..., V) of features (..., H)."""
        projected = self.projection(features).to(self.softmax.head.weight.dtype).flatten(0, -2)
        with torch.autocast(features.device.type, enabled=False):
            return self.softmax.log_prob(projected).unflatten(0, features.shape[:-1])

    def nats(self, features: Tensor, targets: Tensor) -> Tensor:
        """Negative log-probability of each target (N,) from features (N, H)."""
        projected = self.projection(features).to(self.softmax.head.weight.dtype)
        with torch.autocast(features.device.type, enabled=False):
            return -self.softmax(projected, targets).output

    @torch.no_grad()
    def scores(self, features: Tensor, targets: Tensor) -> TokenScores:
        """Negative log-probability, rank and confidence of each target (N,) from features (N, H), without gradient."""
        parts = []
        size = max(1, ADAPTIVE_ROWS // self.softmax.n_classes)
        for rows, truth in zip(features.split(size), targets.split(size), strict=True):
            log_probabilities = self(rows)
            hit = log_probabilities.gather(1, truth[:, None])
            rank = (log_probabilities > hit).sum(-1)
            parts.append(TokenScores(-hit.squeeze(1), rank, log_probabilities.amax(-1).exp()))
        return TokenScores(*(torch.cat(column) for column in zip(*parts, strict=True)))
