"""Batch normalisation without padding, and stacks of convolutions, against those of torch on rows without padding."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqtrain.layers.convolution import ConvolutionStack, MaskedBatchNorm
from seqtrain.layers.masks import real_steps

LENGTHS = torch.tensor([9, 4, 1, 7])


def inputs(size: int = 3, padding: float = 1e6) -> tuple[Tensor, Tensor]:
    """Rows (4, 9, size) with nonsense on padding, and their mask."""
    torch.manual_seed(0)
    real = real_steps(LENGTHS, 9)
    return torch.where(real[..., None], torch.randn(4, 9, size) * 3 + 1, padding), real


def test_normalisation_equals_that_of_torch_on_the_real_steps() -> None:
    x, real = inputs()
    x.requires_grad_()
    own, torchs = MaskedBatchNorm(3), nn.BatchNorm1d(3)
    for norm in (own, torchs):
        with torch.no_grad():
            norm.weight.copy_(torch.tensor([1.0, 2.0, 0.5])), norm.bias.copy_(torch.tensor([0.0, -1.0, 3.0]))
    for _ in range(3):
        found, expected = own(x, real)[real], torchs(x[real])
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(own.running_mean, torchs.running_mean)
    torch.testing.assert_close(own.running_var, torchs.running_var)
    gradients = [torch.autograd.grad(out.sin().sum(), x)[0] for out in (found, expected)]
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-4)
    own.eval(), torchs.eval()
    torch.testing.assert_close(own(x, real)[real], torchs(x[real]), atol=1e-4, rtol=1e-4)


def test_rows_that_do_not_count_change_no_statistics() -> None:
    x, real = inputs()
    whole, part = MaskedBatchNorm(3), MaskedBatchNorm(3)
    counted = real & torch.tensor([True, True, False, False])[:, None]
    whole(x[:2], real[:2]), part(x, counted)
    torch.testing.assert_close(whole.running_mean, part.running_mean)
    torch.testing.assert_close(whole.running_var, part.running_var)


@pytest.mark.parametrize("causal", [False, True])
def test_a_stack_equals_torch_row_by_row(causal: bool) -> None:
    x, real = inputs()
    stack = ConvolutionStack(3, [4, 6, 2], [8, 5, 3], causal).eval()
    for norm in stack.norms:
        assert isinstance(norm, MaskedBatchNorm)
        norm.running_mean.normal_(), norm.running_var.uniform_(0.5, 2)
    found = stack(x, real, real)
    assert found.shape == (4, 9, 2) == (4, 9, stack.output_size) and (found[~real] == 0).all() and stack.reach == 13
    for row, length in enumerate(LENGTHS.tolist()):
        states = x[row : row + 1, :length].transpose(1, 2)
        for layer, norm in zip(stack.layers, stack.norms, strict=True):
            assert isinstance(layer, nn.Conv1d) and isinstance(norm, MaskedBatchNorm)
            width = layer.kernel_size[0]
            before = width - 1 if causal else width // 2
            states = layer(F.pad(states, (before, width - 1 - before)))
            states = F.batch_norm(states, norm.running_mean, norm.running_var, norm.weight, norm.bias).relu()
        torch.testing.assert_close(found[row, :length], states[0].T, atol=1e-5, rtol=1e-4)


def test_documents_are_convolved_alone() -> None:
    stack = ConvolutionStack(3, [4, 2], [5, 3], causal=True).eval()
    x = torch.randn(1, 10, 3)
    real = torch.ones(1, 10, dtype=torch.bool)
    documents = torch.tensor([[0] * 4 + [1] + [2] * 5])
    parts = [stack(x[:, a:b], real[:, a:b], real[:, a:b]) for a, b in ((0, 4), (4, 5), (5, 10))]
    torch.testing.assert_close(stack(x, real, real, documents), torch.cat(parts, 1))


def test_padding_changes_no_gradient_in_training() -> None:
    x, real = inputs(padding=0.0)
    wide = F.pad(x, (0, 0, 0, 5), value=3.0)
    stack = ConvolutionStack(3, [4, 2], [5, 3], causal=False)
    other = copy.deepcopy(stack)
    stack(x, real, real).sum().backward()
    mask = F.pad(real, (0, 5))
    other(wide, mask, mask).sum().backward()
    for one, same in zip(stack.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one.grad, same.grad, atol=1e-4, rtol=1e-4)
