"""Blockwise cross-entropy against torch's on whole logits, and its memory use."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from seqtrain.layers import cross_entropy, products
from seqtrain.layers.cross_entropy import linear_cross_entropy, token_scores, vocab_blocks
from seqtrain.layers.products import matmul

SIZES = {  # N, D, V, logits in a block; a block has at least 256 tokens
    "one block": (7, 5, 50, 2**20),
    "blocks of 256, the last of 88": (7, 5, 600, 1),
    "blocks of 300, the last full": (4, 3, 900, 1200),
    "a last block of one token": (5, 8, 513, 1),
    "one row": (1, 4, 300, 1),
    "one token": (6, 4, 1, 2**20),
}


def make(N: int, E: int, V: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features, W, b, and targets on both sides of every block boundary."""
    torch.manual_seed(N + V)
    x, weight, bias = (torch.randn(size).requires_grad_() for size in ((N, E), (V, E), (V,)))
    edges = [token for token in (0, V - 1, 255, 256, 299, 300, 511, 512) if token < V]
    return x, weight, bias, torch.tensor([*edges, *torch.randint(V, (N,)).tolist()][:N])


def copies(*tensors: Tensor) -> list[Tensor]:
    return [tensor.detach().clone().requires_grad_() for tensor in tensors]


@pytest.fixture(params=[True, False], ids=["oneDNN", "plain"])
def product(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run with and without oneDNN."""
    if request.param and not products.HAS_ONEDNN:
        pytest.skip("this build of torch has no oneDNN")
    monkeypatch.setattr(products, "HAS_ONEDNN", request.param)


@pytest.mark.parametrize("kept", [0, 2**23], ids=["recomputed", "kept"])
@pytest.mark.parametrize("case", SIZES)
@pytest.mark.usefixtures("product")
def test_equals_torch(case: str, kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loss and all three gradients; the rows have different weights, some of them zero."""
    N, E, V, numbers = SIZES[case]
    monkeypatch.setattr(cross_entropy, "BLOCK_LOGITS", numbers)
    monkeypatch.setattr(cross_entropy, "KEPT_LOGITS", kept)
    x, weight, bias, targets = make(N, E, V)
    inputs, others = [x, weight, bias], copies(x, weight, bias)
    nats = linear_cross_entropy(x, weight, bias, targets)
    expected = F.cross_entropy(F.linear(*others), targets, reduction="none")
    torch.testing.assert_close(nats, expected, atol=1e-5, rtol=1e-5)
    upstream = torch.randn(N)
    upstream[1::3] = 0
    nats.backward(upstream)
    expected.backward(upstream)
    for own, other in zip(inputs, others, strict=True):
        torch.testing.assert_close(own.grad, other.grad, atol=1e-5, rtol=1e-5)
    assert x.grad is not None and (x.grad[1::3] == 0).all()


def test_gradient_of_a_mean_and_of_views() -> None:
    """The inputs are not contiguous: an expanded gradient, and features that are a slice."""
    x, weight, bias, targets = make(6, 5, 40)
    wide = torch.randn(6, 10).requires_grad_()
    other_wide, other_weight, other_bias = copies(wide, weight, bias)
    linear_cross_entropy(wide[:, ::2], weight, bias, targets).mean().backward()
    F.cross_entropy(F.linear(other_wide[:, ::2], other_weight, other_bias), targets).backward()
    for own, other in ((wide, other_wide), (weight, other_weight), (bias, other_bias)):
        torch.testing.assert_close(own.grad, other.grad, atol=1e-5, rtol=1e-5)


def test_blocks_cover_the_vocabulary() -> None:
    for rows, vocab_size in ((1, 1), (64, 20_000), (700, 33_278), (10**7, 300), (0, 5)):
        parts = vocab_blocks(rows, vocab_size)
        assert [start for start, _ in parts] == [0, *(end for _, end in parts[:-1])] and parts[-1][1] == vocab_size
        assert all(end - start <= max(cross_entropy.BLOCK_LOGITS // max(rows, 1), 256) for start, end in parts)


def test_autocast_multiplies_in_bf16_and_keeps_parameters_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_entropy, "BLOCK_LOGITS", 1)
    x, weight, bias, targets = make(9, 16, 600)
    inputs, others = [x, weight, bias], copies(x, weight, bias)
    expected = F.cross_entropy(F.linear(*others), targets, reduction="none")
    expected.sum().backward()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        nats = linear_cross_entropy(x, weight, bias, targets)
        scores = token_scores(x, weight, bias, targets)
    nats.sum().backward()
    assert nats.dtype is scores.nats.dtype is torch.float32
    assert (nats - expected).abs().max() > 1e-3  # the products are rounded
    for values in (nats, scores.nats):
        torch.testing.assert_close(values, expected, atol=0.05, rtol=0.02)
    for own, other in zip(inputs, others, strict=True):
        assert own.grad is not None and own.grad.dtype is torch.float32
        torch.testing.assert_close(own.grad, other.grad, atol=0.05, rtol=0.05)


class Largest(TorchDispatchMode):
    """Number of elements of the largest tensor that any operation returned."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for value in out if isinstance(out, tuple | list) else [out]:
            if isinstance(value, Tensor):
                self.numbers = max(self.numbers, value.numel())
        return out


def test_kept_logits_change_no_bit_and_last_for_a_second_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_entropy, "BLOCK_LOGITS", 2**10)
    found = []
    for kept in (0, 2**23):
        monkeypatch.setattr(cross_entropy, "KEPT_LOGITS", kept)
        x, weight, bias, targets = make(16, 32, 700)
        loss = linear_cross_entropy(x, weight, bias, targets).sum()
        for _ in range(2):
            found.append(torch.autograd.grad(loss, (x, weight, bias), retain_graph=True))
    for other in found[1:]:
        assert all(map(torch.equal, found[0], other))


@pytest.mark.usefixtures("product")
def test_many_logits_are_never_all_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    N, V, E, block = 64, 20_000, 8, 2**17
    monkeypatch.setattr(cross_entropy, "BLOCK_LOGITS", block)
    monkeypatch.setattr(cross_entropy, "KEPT_LOGITS", N * V - 1)
    x, weight, bias, targets = make(N, E, V)
    with Largest() as whole:
        F.linear(x, weight, bias)
    assert whole.numbers == N * V
    with Largest() as seen:
        linear_cross_entropy(x, weight, bias, targets).sum().backward()
        token_scores(x, weight, bias, targets)
    assert seen.numbers == max(block, N * E, V * E)


@pytest.mark.parametrize("case", SIZES)
@pytest.mark.usefixtures("product")
def test_token_scores_equal_brute_force(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    N, E, V, numbers = SIZES[case]
    monkeypatch.setattr(cross_entropy, "BLOCK_LOGITS", numbers)
    x, weight, bias, targets = make(N, E, V)
    logits = (x @ weight.T + bias).detach().double().numpy()
    targets[::2] = torch.from_numpy(logits.argmax(1))[::2]  # half of the predictions are right
    probabilities = np.exp(logits - logits.max(1, keepdims=True))
    probabilities /= probabilities.sum(1, keepdims=True)
    hit = probabilities[np.arange(N), targets]
    scores = token_scores(x, weight, bias, targets)
    assert not scores.nats.requires_grad
    np.testing.assert_allclose(scores.nats, -np.log(hit), atol=1e-5, rtol=1e-5)
    assert scores.rank.tolist() == (probabilities > hit[:, None]).sum(1).tolist()
    assert (scores.rank[::2] == 0).all()
    np.testing.assert_allclose(scores.confidence, probabilities.max(1), atol=1e-6, rtol=1e-5)
    np.testing.assert_allclose(scores.confidence[::2], scores.nats[::2].neg().exp(), atol=1e-6, rtol=1e-5)


def test_extreme_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logits of 10,000 and -10,000: the loss is exact where they decide it, and finite everywhere."""
    monkeypatch.setattr(cross_entropy, "BLOCK_LOGITS", 1)
    x = torch.tensor([[1.0], [1.0], [-1.0]], requires_grad=True)
    weight = torch.zeros(600, 1)
    weight[300], weight[10] = 1e4, -1e4
    weight.requires_grad_()
    bias = torch.zeros(600, requires_grad=True)
    targets = torch.tensor([300, 10, 10])
    nats = linear_cross_entropy(x, weight, bias, targets)
    nats.sum().backward()
    assert nats.tolist() == [0.0, 2e4, 0.0]
    for tensor in (x, weight, bias):
        assert tensor.grad is not None and tensor.grad.isfinite().all()
    scores = token_scores(x, weight, bias, targets)
    assert scores.nats.tolist() == [0.0, 2e4, 0.0]
    assert scores.rank.tolist() == [0, 599, 0] and scores.confidence.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.usefixtures("product")
def test_multiply(dtype: torch.dtype) -> None:
    tolerance = 1e-2 if dtype is torch.bfloat16 else 1e-5
    torch.manual_seed(0)
    for N, K, M in ((1, 1, 1), (3, 5, 7), (33, 17, 1), (1, 64, 65)):
        a, b = torch.randn(N, K).to(dtype), torch.randn(K, M).to(dtype)
        expected = a @ b
        lefts = [a, a.t().contiguous().t(), torch.cat([a, a], 1)[:, :K]]
        rights = [b, b.t().contiguous().t(), torch.cat([b, b])[:K], torch.cat([b, b], 1)[:, M:]]
        for left in lefts:
            for right in rights:
                out = matmul(left, right)
                assert out.dtype is dtype
                torch.testing.assert_close(out, expected, atol=tolerance, rtol=tolerance)
