"""The sampled softmax against the exact one, and against its formula in float64."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from seqtrain.layers.sampled_softmax import inclusion_probabilities, sampled_cross_entropy

N, D, V = 9, 6, 50


def inputs(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features, weights and biases, which take gradients, and targets, one of them twice."""
    torch.manual_seed(0)
    x, weight, bias = (torch.randn(*shape, dtype=dtype) for shape in ((N, D), (V, D), (V,)))
    targets = torch.tensor([0, 1, 2, 7, 7, 20, 30, V - 2, V - 1])
    return x.requires_grad_(), weight.requires_grad_(), bias.requires_grad_(), targets


@pytest.mark.parametrize(("vocab_size", "expected"), [(50, 12), (50, 50), (33_278, 4096), (1_000_000, 32)])
def test_inclusion_follows_zipf(vocab_size: int, expected: int) -> None:
    p = inclusion_probabilities(vocab_size, expected).double()
    assert p.sum().item() == pytest.approx(expected, rel=1e-5)
    assert (p[:2] == 1).all()
    below = (p < 1).nonzero().squeeze(1)
    if len(below):
        products = p[below] * (below + 1)
        torch.testing.assert_close(products, products[0].expand_as(products), rtol=1e-6, atol=0)


def test_a_sample_of_all_tokens_is_the_exact_loss() -> None:
    x, weight, bias, targets = inputs(torch.float64)
    exact = F.cross_entropy(F.linear(x, weight, bias), targets, reduction="none")
    sampled = sampled_cross_entropy(x, weight, bias, targets, torch.ones(V))
    torch.testing.assert_close(sampled, exact)
    shares = torch.rand(N, dtype=torch.float64)
    found = torch.autograd.grad((sampled * shares).sum(), (x, weight, bias))
    expected = torch.autograd.grad((exact * shares).sum(), (x, weight, bias))
    torch.testing.assert_close(found, expected)


def test_each_row_is_the_formula_of_the_sample() -> None:
    x, weight, bias, targets = inputs()
    p = inclusion_probabilities(V, 12)
    torch.manual_seed(5)
    losses = sampled_cross_entropy(x, weight, bias, targets, p)
    torch.manual_seed(5)
    sample = (torch.rand(V) < p).nonzero().squeeze(1).tolist()
    assert {int(y) in sample for y in targets} == {True, False}
    logits = F.linear(x.double(), weight.double(), bias.double())
    for row, y, loss in zip(logits, targets.tolist(), losses.tolist(), strict=True):
        normaliser = row[y].exp() + sum(row[i].exp() / p[i].double() for i in sample if i != y)
        assert loss == pytest.approx((normaliser.log() - row[y]).item(), abs=1e-5)


def test_the_normaliser_is_estimated_without_bias() -> None:
    x, weight, bias, targets = (values.detach() for values in inputs())
    p = inclusion_probabilities(V, 12)
    logits = F.linear(x, weight, bias)
    exact = logits.exp().sum(-1)
    own = logits.gather(1, targets[:, None]).squeeze(1)
    torch.manual_seed(0)
    draws = torch.stack([(sampled_cross_entropy(x, weight, bias, targets, p) + own).exp() for _ in range(2000)])
    errors = (draws.mean(0) - exact) / (draws.std(0) / len(draws) ** 0.5)
    assert errors.abs().max() < 4
    assert (draws.std(0) > 0.01 * exact).all()  # it is an estimate


def test_autocast_keeps_sums_in_fp32() -> None:
    x, weight, bias, targets = (values.detach() for values in inputs())
    exact = F.cross_entropy(F.linear(x, weight, bias), targets, reduction="none")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = sampled_cross_entropy(x.bfloat16(), weight, bias, targets, torch.ones(V))
    assert losses.dtype is torch.float32
    torch.testing.assert_close(losses, exact, atol=0.05, rtol=0.02)
