"""Softmax cross-entropy that is estimated from a random part of a large vocabulary.

Shapes: N rows, D features, V vocabulary, S sampled tokens.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from seqtrain.layers.products import linear


def inclusion_probabilities(vocab_size: int, expected: int) -> Tensor:
    """Probability that each token is in a sample.

    Tokens are numbered from the most frequent. By Zipf's law the frequency of token i is about proportional to
    1 / (i + 1), and so is its probability: p_i = min(1, c / (i + 1)). c is at least 2: the two most frequent tokens are
    always in the sample, so that every target has another one to be told from.

    Args:
        vocab_size: V.
        expected: expected size of a sample, the sum of all p_i; at most V. It is never below that of c = 2, which is 29
            of a million tokens.

    Returns:
        (V,), fp32, descending.
    """
    zipf = 1 / torch.arange(1, vocab_size + 1, dtype=torch.float64)
    low, high = 2.0, float(vocab_size)
    while high - low > 1e-9 * high:  # the sum grows with c
        c = (low + high) / 2
        low, high = (c, high) if (c * zipf).clamp_(max=1).sum() < expected else (low, c)
    return (high * zipf).clamp_(max=1).float()


def sampled_cross_entropy(x: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, inclusion: Tensor) -> Tensor:
    """Estimate of the negative log-probability of each target under softmax(x W^T + b), in nats.

    One sample of tokens serves all rows. Token i is in it with probability p_i, independently of the others. With the
    logits s of a row and its target y, the normaliser sum_i exp(s_i) is estimated without bias by

        exp(s_y) + sum over i in the sample, i != y, of exp(s_i) / p_i

    (Horvitz and Thompson). Its log, and so the loss, is a little too small on average, the less the larger the sample.
    With all p_i = 1 it is the exact loss.

    Args:
        x: features, (N, D).
        weight: W, (V, D).
        bias: b, (V,).
        targets: (N,).
        inclusion: p, (V,), see ``inclusion_probabilities``. The draws are of torch's generator, like dropout's.

    Returns:
        (N,), in the dtype of the bias.

    Source: Jean et al. 2015, "On using very large target vocabulary for neural machine translation", with tokens drawn
    independently of each other in place of parts of train that were fixed before, and so without repetitions.
    """
    sample = (torch.rand(inclusion.shape, device=inclusion.device) < inclusion).nonzero().squeeze(1)
    read = torch.cat([sample, targets])  # together, so that backward makes one gradient of (V, D)
    (W, W_own), (b, b_own) = (values[read].split([len(sample), len(targets)]) for values in (weight, bias))
    logits = linear(x, W).to(b.dtype) + (b - inclusion[sample].log())
    columns = torch.full_like(inclusion, -1, dtype=torch.long)
    columns[sample] = torch.arange(len(sample), device=sample.device)
    found = columns[targets]
    rows = (found >= 0).nonzero().squeeze(1)
    logits[rows, found[rows]] = -torch.inf
    own = (x.to(b.dtype) * W_own).sum(-1) + b_own
    return F.softplus(logits.logsumexp(-1) - own)
