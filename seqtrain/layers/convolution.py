"""Convolutions over the steps of right-padded rows, and batch normalisation that leaves padding out.

Shapes: B batch, T time, D features, C filters.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


class RankSum(torch.autograd.Function):
    """Autograd function of the sum over all processes that train together; so is its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """The sum of the x of all processes."""
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """The sum of the gradients of all processes."""
        total = grad.clone()
        dist.all_reduce(total)
        return total


def summed(x: Tensor) -> Tensor:
    """The sum over all processes that train together, with its gradient."""
    if not dist.is_available() or not dist.is_initialized():
        return x
    total: Tensor = RankSum.apply(x)
    return total


class RunningStatistics(nn.Module):
    """Running mean and variance of features.

    They are the plain means over the first batches, and those over about the latest 1 / momentum from then on.

    Args:
        size: C, the number of features.
        eps: added to the variance.
        momentum: weight of a batch, once there have been 1 / momentum. Batches of a few series differ much, so it is
            that of Keras, with which the papers on series measured, not torch's 0.1.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, size: int, eps: float = 1e-5, momentum: float = 0.01):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.register_buffer("running_mean", torch.zeros(size))
        self.register_buffer("running_var", torch.ones(size))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    @torch.no_grad()
    def track(self, mean: Tensor, variance: Tensor) -> None:
        """Add the mean and variance of a batch, (C,) each."""
        self.num_batches_tracked += 1
        share = (1 / self.num_batches_tracked).clamp(min=self.momentum)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # Older checkpoints do not have the number of batches. Their running means are taken for those of many.
        state_dict.setdefault(f"{prefix}num_batches_tracked", torch.tensor(round(1 / self.momentum)))
        super()._load_from_state_dict(state_dict, prefix, *args)


class MaskedBatchNorm(RunningStatistics):
    """Batch normalisation of each feature over the real steps of all rows.

    It equals torch.nn.BatchNorm1d on these steps. In training the statistics are those of the batch, of all processes
    together; in evaluation they are running means, so that a prediction depends on no other row.

    Args:
        size: D.
        eps: added to the variance.
        momentum: see RunningStatistics.

    Source: Ioffe and Szegedy 2015, "Batch normalization".
    """

    def __init__(self, size: int, eps: float = 1e-5, momentum: float = 0.01):
        super().__init__(size, eps, momentum)
        self.weight, self.bias = nn.Parameter(torch.ones(size)), nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor, counted: Tensor) -> Tensor:
        """Normalise x (B, T, D) in fp32; ``counted`` (B, T) is true at the steps that the statistics are of."""
        x = x.float()
        if self.training:
            mean, variance = self.statistics(x, counted)
        else:
            mean, variance = self.running_mean, self.running_var
        scale = self.weight * (variance + self.eps).rsqrt()
        return x * scale + (self.bias - mean * scale)

    def statistics(self, x: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of each feature over the counted steps of all processes, which are tracked."""
        mask = counted[..., None].to(x.dtype)
        count = summed(mask.sum()).clamp(min=1)
        mean = summed((x * mask).sum((0, 1))) / count
        variance = summed(((x - mean).square() * mask).sum((0, 1))) / count
        self.track(mean, variance * (count / (count - 1).clamp(min=1)))  # without bias, as torch does
        return mean, variance


class RunningScale(RunningStatistics):
    """Features of rows, less their running mean and divided by their running standard deviation.

    This is so in training too, where no gradient flows through the statistics. So a batch may have a single row, and
    the scale is not that of the batch. A linear output learns from such features at the same speed from all of them.

    Source: our own. It is ``MaskedBatchNorm`` in evaluation, without its weights.
    """

    def forward(self, x: Tensor, counts: bool = True) -> Tensor:
        """Scale x (B, C) in fp32; rows of a batch that does not count are not tracked."""
        x = x.float()
        if self.training:
            with torch.no_grad():
                rows = x if counts else x[:0]
                count = summed(x.new_tensor(float(len(rows)))).clamp(min=1)
                mean = summed(rows.sum(0)) / count
                # From the running mean, since a batch of one row has no spread of its own.
                before = torch.where(self.num_batches_tracked > 0, self.running_mean, mean)
                self.track(mean, summed((rows - before).square().sum(0)) / count)
        return (x - self.running_mean) * (self.running_var + self.eps).rsqrt()


def dilations_within(steps: int, kernel_sizes: Sequence[int]) -> list[int]:
    """Dilations 1, b, b², ... of convolutions with these kernels, with the largest b that sees no more than ``steps``.

    b is 1, without any dilation, where no larger one does.
    """
    base = 1
    while base < steps and 1 + sum((size - 1) * (base + 1) ** i for i, size in enumerate(kernel_sizes)) <= steps:
        base += 1
    return [base**i for i in range(len(kernel_sizes))]


class ConvolutionStack(nn.Module):
    """Convolutions over time, each followed by batch normalisation and ReLU; the number of steps stays the same.

    Steps beyond the ends of a row, padding included, are zeros to every layer. A causal stack sees the past only.

    Args:
        input_size: D.
        filters: C of each layer.
        kernel_sizes: steps that each layer sees.
        dilations: distance between these steps, for each layer.
        causal: no output depends on a later step.

    Source: Wang et al. 2017, "Time series classification from scratch with deep neural networks: a strong baseline".
    The dilations are those of Yu and Koltun 2016, "Multi-scale context aggregation by dilated convolutions".
    """

    def __init__(
        self,
        input_size: int,
        filters: Sequence[int],
        kernel_sizes: Sequence[int],
        dilations: Sequence[int],
        causal: bool,
    ):
        super().__init__()
        self.causal = causal
        self.reach = sum((width - 1) * apart for width, apart in zip(kernel_sizes, dilations, strict=True))
        """Steps before the current one that an output of a causal stack depends on."""
        self.layers, self.norms = nn.ModuleList(), nn.ModuleList()
        for size, width, apart in zip(filters, kernel_sizes, dilations, strict=True):
            layer = nn.Conv1d(input_size, size, width, dilation=apart, bias=False)  # the normalisation has one
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            self.layers.append(layer)
            self.norms.append(MaskedBatchNorm(size))
            input_size = size
        self.output_size = input_size

    def forward(self, x: Tensor, real: Tensor, counted: Tensor, documents: Tensor | None = None) -> Tensor:
        """Run over a batch.

        Args:
            x: inputs, (B, T, D), padded on the right.
            real: true at real steps, (B, T).
            counted: true at the steps that the normalisation is computed from, (B, T).
            documents: number of the document of each step, (B, T), for a causal stack: an output depends on the steps
                of its own document alone. None: each row is one.

        Returns:
            Outputs, (B, T, C), 0 on padding.
        """
        mask = real[..., None]
        x = x.masked_fill(~mask, 0)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            assert isinstance(layer, nn.Conv1d)
            outputs = norm(convolve(layer, x, self.causal, documents), counted)
            x = F.relu(outputs).masked_fill(~mask, 0)
        return x


def convolve(layer: nn.Conv1d, x: Tensor, causal: bool, documents: Tensor | None) -> Tensor:
    """The convolution of x (B, T, D) with zeros beyond its ends, (B, T, C); see ``ConvolutionStack`` for documents."""
    width, apart = layer.kernel_size[0], layer.dilation[0]
    span = (width - 1) * apart
    before = span if causal else width // 2 * apart
    padded = F.pad(x, (0, 0, before, span - before))
    if documents is None:
        return layer(padded.transpose(1, 2)).transpose(1, 2)
    same = F.pad(documents, (before, 0), value=-1).unfold(1, span + 1, 1)[..., ::apart] == documents[..., None]
    seen = padded.unfold(1, span + 1, 1)[..., ::apart] * same[:, :, None]  # (B, T, D, width)
    return F.linear(seen.flatten(2), layer.weight.flatten(1))
