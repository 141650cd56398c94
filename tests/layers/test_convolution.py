"""Batch normalisation without padding, and stacks of convolutions, against those of torch on rows without padding."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqtrain.layers.convolution import ConvolutionStack, MaskedBatchNorm, RunningScale, dilations_within
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
    own, torchs = MaskedBatchNorm(3), nn.BatchNorm1d(3, momentum=None)  # the plain mean of all batches
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


def test_running_means_are_plain_at_first_and_then_of_the_latest_batches() -> None:
    norm, x = MaskedBatchNorm(3, momentum=0.25), torch.randn(7, 4, 1, 3, dtype=torch.float64).float()
    expected = np.zeros(3)
    for n, batch in enumerate(x.numpy().astype(np.float64), start=1):
        norm(torch.from_numpy(batch).float(), torch.ones(4, 1, dtype=torch.bool))
        share = 1 / n if n < 4 else 0.25
        expected += share * (batch.mean((0, 1)) - expected)
    np.testing.assert_allclose(norm.running_mean, expected, atol=1e-6)


def test_a_state_without_the_number_of_batches_has_seen_many() -> None:
    norm, old = MaskedBatchNorm(3), MaskedBatchNorm(3).state_dict()
    del old["num_batches_tracked"]
    norm.load_state_dict(old)
    norm(torch.full((1, 2, 3), 5.0), torch.ones(1, 2, dtype=torch.bool))
    torch.testing.assert_close(norm.running_mean, torch.full((3,), 0.05))


@pytest.mark.parametrize("rows", [1, 6])
def test_scaled_features_have_mean_zero_and_deviation_one(rows: int) -> None:
    torch.manual_seed(0)
    scale, x = RunningScale(2), torch.randn(60, rows, 2) * torch.tensor([3.0, 0.1]) + torch.tensor([50.0, -2.0])
    mean, variance = np.zeros(2), np.ones(2)
    for n, batch in enumerate(x.numpy().astype(np.float64), start=1):
        found = scale(torch.from_numpy(batch).float()).numpy()
        before = mean if n > 1 else batch.mean(0)
        mean = mean + (batch.mean(0) - mean) / n
        variance = variance + (np.square(batch - before).mean(0) - variance) / n
        np.testing.assert_allclose(found, (batch - mean) / np.sqrt(variance + 1e-5), atol=1e-4, rtol=1e-3)
    features = scale.eval()(x.flatten(0, 1))
    assert (features.mean(0).abs() < 0.1).all() and ((features.std(0) - 1).abs() < 0.2).all()


def test_no_gradient_flows_through_the_scale_and_evaluation_tracks_nothing() -> None:
    scale, x = RunningScale(2), torch.randn(4, 2, requires_grad=True)
    found = torch.autograd.grad(scale(x).sum(), x)[0]
    torch.testing.assert_close(found, (scale.running_var + scale.eps).rsqrt().expand(4, 2))
    mean = scale.running_mean.clone()
    scale.eval()(x + 100)
    assert scale.running_mean.equal(mean)


def test_rows_that_do_not_count_change_no_statistics() -> None:
    x, real = inputs()
    whole, part = MaskedBatchNorm(3), MaskedBatchNorm(3)
    counted = real & torch.tensor([True, True, False, False])[:, None]
    whole(x[:2], real[:2]), part(x, counted)
    torch.testing.assert_close(whole.running_mean, part.running_mean)
    torch.testing.assert_close(whole.running_var, part.running_var)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dilations", [[1, 1, 1], [1, 2, 4]])
def test_a_stack_equals_torch_row_by_row(causal: bool, dilations: list[int]) -> None:
    x, real = inputs()
    stack = ConvolutionStack(3, [4, 6, 2], [8, 5, 3], dilations, causal).eval()
    for norm in stack.norms:
        assert isinstance(norm, MaskedBatchNorm)
        norm.running_mean.normal_(), norm.running_var.uniform_(0.5, 2)
    found = stack(x, real, real)
    assert found.shape == (4, 9, 2) == (4, 9, stack.output_size) and (found[~real] == 0).all()
    assert stack.reach == 7 * dilations[0] + 4 * dilations[1] + 2 * dilations[2]
    for row, length in enumerate(LENGTHS.tolist()):
        states = x[row : row + 1, :length].transpose(1, 2)
        for layer, norm in zip(stack.layers, stack.norms, strict=True):
            assert isinstance(layer, nn.Conv1d) and isinstance(norm, MaskedBatchNorm)
            (width,), (apart,) = layer.kernel_size, layer.dilation
            before = (width - 1 if causal else width // 2) * apart
            states = layer(F.pad(states, (before, (width - 1) * apart - before)))
            states = F.batch_norm(states, norm.running_mean, norm.running_var, norm.weight, norm.bias).relu()
        torch.testing.assert_close(found[row, :length], states[0].T, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("longest", "kernel_sizes", "expected"),
    [
        (500, [8, 5, 3], [1, 6, 36]),  # see 1 + 7 + 4 * 6 + 2 * 36 = 104 steps; with base 7, 134
        (250, [8, 5, 3], [1, 4, 16]),
        (100, [8, 5, 3], [1, 2, 4]),
        (95, [8, 5, 3], [1, 1, 1]),
        (0, [8, 5, 3], [1, 1, 1]),
        (40, [3], [1]),
        (40, [1, 1], [1, 10]),
    ],
)
def test_dilations_see_a_quarter_of_the_longest_series(
    longest: int, kernel_sizes: list[int], expected: list[int]
) -> None:
    assert dilations_within(longest // 4, kernel_sizes) == expected


@pytest.mark.parametrize("dilations", [[1, 1], [1, 2], [2, 3]])
def test_documents_are_convolved_alone(dilations: list[int]) -> None:
    stack = ConvolutionStack(3, [4, 2], [5, 3], dilations, causal=True).eval()
    x = torch.randn(1, 10, 3)
    real = torch.ones(1, 10, dtype=torch.bool)
    documents = torch.tensor([[0] * 4 + [1] + [2] * 5])
    parts = [stack(x[:, a:b], real[:, a:b], real[:, a:b]) for a, b in ((0, 4), (4, 5), (5, 10))]
    torch.testing.assert_close(stack(x, real, real, documents), torch.cat(parts, 1))


def test_padding_changes_no_gradient_in_training() -> None:
    x, real = inputs(padding=0.0)
    wide = F.pad(x, (0, 0, 0, 5), value=3.0)
    stack = ConvolutionStack(3, [4, 2], [5, 3], [1, 2], causal=False)
    other = copy.deepcopy(stack)
    stack(x, real, real).sum().backward()
    mask = F.pad(real, (0, 5))
    other(wide, mask, mask).sum().backward()
    for one, same in zip(stack.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one.grad, same.grad, atol=1e-4, rtol=1e-4)
