"""Linear layers on oneDNN against torch's in float64."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqtrain.layers import products
from seqtrain.layers.products import CHUNK_ROWS, MIN_MULTIPLICATIONS, Linear, linear

needs_onednn = pytest.mark.skipif(not products.HAS_ONEDNN, reason="this build of torch has no oneDNN product")


def is_fast(out: Tensor) -> bool:
    """Whether oneDNN computed an output, or the base of which it is a view."""
    assert out.grad_fn is not None
    functions = [out.grad_fn, *(function for function, _ in out.grad_fn.next_functions)]
    return any(type(function).__name__ == "LinearProductBackward" for function in functions)


def check(x: Tensor, size: int, bias: bool) -> None:
    """Compare output and gradients, to 1e-5 of the largest number."""
    torch.manual_seed(0)
    layer = Linear(x.shape[-1], size, bias=bias)
    exact = nn.Linear(x.shape[-1], size, bias=bias).double()
    exact.load_state_dict(layer.state_dict())
    x, y = x.detach().requires_grad_(), x.detach().double().requires_grad_()
    found, expected = layer(x), exact(y)
    assert is_fast(found)
    weight = torch.randn(found.shape)
    grads = torch.autograd.grad((found * weight).sum(), [x, *layer.parameters()])
    references = torch.autograd.grad((expected * weight).sum(), [y, *exact.parameters()])
    for a, b in zip([found, *grads], [expected, *references], strict=True):
        assert a.shape == b.shape
        assert (a.double() - b).abs().max() <= 1e-5 * b.abs().max()


@needs_onednn
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [CHUNK_ROWS, CHUNK_ROWS + 1, 3 * CHUNK_ROWS - 7])
def test_outputs_and_gradients(rows: int, bias: bool) -> None:
    check(torch.randn(rows, 33), 48, bias)


@needs_onednn
def test_inputs_of_any_shape_and_layout() -> None:
    check(torch.randn(4, 60, 5, 32), 64, bias=True)
    check(torch.randn(40, 33, 50).transpose(1, 2), 40, bias=True)
    check(torch.randn(500, 96)[::2, 16:80], 80, bias=True)
    check(torch.randn(1, 1, 64).expand(20, 30, 64), 64, bias=True)


@needs_onednn
def test_gradients_that_are_not_wanted() -> None:
    x, weight = torch.randn(600, 64), torch.randn(64, 64, requires_grad=True)
    (found,) = torch.autograd.grad(linear(x, weight).square().sum(), weight)
    (expected,) = torch.autograd.grad(F.linear(x, weight).square().sum(), weight)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    frozen, x = weight.detach(), x.requires_grad_()
    (found,) = torch.autograd.grad(linear(x, frozen).square().sum(), x)
    (expected,) = torch.autograd.grad(F.linear(x, frozen).square().sum(), x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_where_torch_multiplies(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight = torch.randn(MIN_MULTIPLICATIONS // 1024, 32), torch.randn(32, 32, requires_grad=True)
    assert is_fast(linear(x, weight)) == products.HAS_ONEDNN
    for other, matrix in ((x[:-1], weight), (x.double(), weight.double()), (x.repeat(8, 1), weight[:15])):
        assert not is_fast(linear(other, matrix))
        assert torch.equal(linear(other, matrix), F.linear(other, matrix))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert linear(x, weight).dtype is torch.bfloat16
    monkeypatch.setattr(products, "HAS_ONEDNN", False)
    assert torch.equal(linear(x, weight), F.linear(x, weight))
    assert torch.equal(products.matmul(x, weight, x[0]), torch.addmm(x[0], x, weight))
