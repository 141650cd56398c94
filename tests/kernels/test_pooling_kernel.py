"""The pooling kernel against the formula computed by torch, in float64 and float32."""

import pytest
import torch
from torch import Tensor

from seqtrain.kernels.pooling import additive_pooling

Tensors = tuple[Tensor, Tensor, Tensor, Tensor]


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)


def inputs(B: int, T: int, M: int) -> Tensors:
    torch.manual_seed(0)
    tensors = torch.randn(B, T, M), torch.randn(M, M) / M**0.5, torch.randn(M), torch.randn(M)
    return tuple(tensor.requires_grad_() for tensor in tensors)  # type: ignore[return-value]


def reference(states: Tensor, lengths: Tensor, weight: Tensor, bias: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
    scores = torch.tanh(states @ weight.t() + bias) @ query
    real = torch.arange(states.shape[1]) < lengths[:, None]
    weights = scores.masked_fill(~real, -torch.inf).softmax(-1)
    return (weights[..., None] * states.masked_fill(~real[..., None], 0)).sum(1), weights


def assert_close(found: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    assert found.shape == expected.shape
    error = (found.double() - expected.double()).abs().max() / expected.double().abs().max().clamp_min(1e-30)
    assert error.item() <= tolerance


@pytest.mark.parametrize(
    "lengths, M",
    [([1], 1), ([5, 1, 3], 7), ([50, 2, 49, 50, 1], 33), ([300, 299, 11], 16), ([1 + i % 4 for i in range(150)], 20)],
)
def test_values_and_gradients(lengths: list[int], M: int, two_threads: None) -> None:
    real = torch.tensor(lengths)
    own = inputs(len(lengths), max(lengths) + 2, M)
    by_pooled = torch.randn(len(lengths), M)
    pooled, weights = additive_pooling(own[0], real, *own[1:])
    gradients = torch.autograd.grad(pooled, own, by_pooled)
    for kind in (torch.float64, torch.float32):
        others = tuple(tensor.detach().to(kind).requires_grad_() for tensor in own)
        expected, expected_weights = reference(others[0], real, *others[1:])
        assert_close(pooled, expected)
        assert_close(weights, expected_weights)
        expected_gradients = torch.autograd.grad(expected, others, by_pooled.to(kind))
        if M > 1:  # with one feature the weights have no gradient
            for found, wanted in zip(gradients, expected_gradients, strict=True):
                assert_close(found, wanted)


def test_padding_is_not_read_and_has_no_gradient() -> None:
    own = inputs(2, 6, 5)
    spoilt = own[0].detach().clone()
    spoilt[0, 2:] = torch.nan
    spoilt.requires_grad_()
    pooled, weights = additive_pooling(spoilt, torch.tensor([2, 6]), *own[1:])
    assert torch.equal(pooled, additive_pooling(own[0], torch.tensor([2, 6]), *own[1:])[0])
    assert not weights[0, 2:].any()
    (gradient,) = torch.autograd.grad(pooled.sum(), spoilt)
    assert not gradient[0, 2:].any() and gradient[0, :2].any()


def test_an_infinite_state_counts_as_by_torch() -> None:
    """tanh saturates at 1; padding features of a vector must not contribute."""
    own = tuple(tensor.detach() for tensor in inputs(1, 3, 5))
    own[0][0, 1, 2] = torch.inf
    weights = additive_pooling(own[0], torch.tensor([3]), *own[1:])[1]
    assert_close(weights, reference(own[0], torch.tensor([3]), *own[1:])[1])


def test_scores_far_apart() -> None:
    states, weight, bias, query = inputs(1, 4, 3)
    _, weights = additive_pooling(states, torch.tensor([4]), weight, bias, 1e4 * query)
    assert weights.isfinite().all() and weights.sum().item() == pytest.approx(1)


def test_thread_counts_agree(two_threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    own, lengths = inputs(9, 70, 24), torch.tensor([70, 3, 65, 1, 70, 70, 8, 44, 69])

    def run() -> list[Tensor]:
        pooled, _ = additive_pooling(own[0], lengths, *own[1:])
        return [pooled, *torch.autograd.grad(pooled.square().sum(), own)]

    two = run()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    for a, b in zip(run(), two, strict=True):
        assert_close(a, b, 2e-6)


def test_rows_that_are_no_neighbours_in_memory() -> None:
    states, *rest = inputs(4, 6, 8)
    wide = torch.randn(6, 4, 12)
    turned = wide.transpose(0, 1)[..., 2:10]
    lengths = torch.tensor([6, 2, 5, 1])
    assert_close(additive_pooling(turned, lengths, *rest)[0], reference(turned, lengths, *rest)[0])
    turned = states.transpose(1, 2).contiguous().transpose(1, 2)
    assert_close(additive_pooling(turned, lengths, *rest)[0], reference(states, lengths, *rest)[0])


def test_gradients_that_are_not_wanted() -> None:
    states, *rest = inputs(3, 5, 6)
    lengths = torch.tensor([5, 2, 4])
    pooled, weights = additive_pooling(states.detach(), lengths, *rest)
    assert not weights.requires_grad
    expected = torch.autograd.grad(reference(states, lengths, *rest)[0].sum(), [states, *rest])
    for found, wanted in zip(torch.autograd.grad(pooled.sum(), rest), expected[1:], strict=True):
        assert_close(found, wanted)
    pooled, _ = additive_pooling(states, lengths, *(tensor.detach() for tensor in rest))
    assert_close(torch.autograd.grad(pooled.sum(), states)[0], expected[0])
    with torch.no_grad():
        assert not additive_pooling(states, lengths, *rest)[0].requires_grad


def test_what_does_not_fit_is_refused() -> None:
    states, weight, bias, query = inputs(2, 3, 4)
    lengths = torch.tensor([3, 1])
    with pytest.raises(ValueError, match=r"weight: is \(4, 3\) in torch.float32 on cpu; must be \(4, 4\)"):
        additive_pooling(states, lengths, weight[:, :3], bias, query)
    with pytest.raises(ValueError, match=r"states: is \(2, 3, 4\) in torch.float64"):
        additive_pooling(states.double(), lengths, weight, bias, query)
    for wrong in (torch.tensor([4, 1]), torch.tensor([0, 1]), torch.tensor([1])):
        with pytest.raises(ValueError, match="lengths: must be 2 numbers from 1 to 3"):
            additive_pooling(states, wrong, weight, bias, query)
