"""Convolutions over the steps of right-padded rows, and batch normalisation that leaves padding out.

Shapes: B batch, T time, D features, C filters.
"""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F


class MaskedBatchNorm(nn.Module):
    """Batch normalisation of each feature over the real steps of all rows.

    It equals torch.nn.BatchNorm1d on these steps. In training the statistics are those of the batch, of all processes
    together; in evaluation they are running means, so that a prediction depends on no other row.

    Args:
        size: D.
        eps: added to the variance.
        momentum: weight of a batch in the running means.

    Source: Ioffe and Szegedy 2015, "Batch normalization".
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, size: int, eps: float = 1e-5, momentum: float = 0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(size)), nn.Parameter(torch.zeros(size))
        self.register_buffer("running_mean", torch.zeros(size))
        self.register_buffer("running_var", torch.ones(size))

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
        """Mean and variance of each feature over the counted steps of all processes, which update the running means."""
        mask = counted[..., None].to(x.dtype)
        count = summed(mask.sum()).clamp(min=1)
        mean = summed((x * mask).sum((0, 1))) / count
        variance = summed(((x - mean).square() * mask).sum((0, 1))) / count
        with torch.no_grad():
            unbiased = variance * (count / (count - 1).clamp(min=1))
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(unbiased, self.momentum)
        return mean, variance


def summed(x: Tensor) -> Tensor:
    """The sum over all processes that train together, with its gradient."""
    if not dist.is_available() or not dist.is_initialized():
        return x
    from torch.distributed.nn.functional import all_reduce

    total: Tensor = all_reduce(x)
    return total


class ConvolutionStack(nn.Module):
    """Convolutions over time, each followed by batch normalisation and ReLU; the number of steps stays the same.

    Steps beyond the ends of a row, padding included, are zeros to every layer. A causal stack sees the past only.

    Args:
        input_size: D.
        filters: C of each layer.
        kernel_sizes: steps that each layer sees.
        causal: no output depends on a later step.

    Source: Wang et al. 2017, "Time series classification from scratch with deep neural networks: a strong baseline".
    """

    def __init__(self, input_size: int, filters: Sequence[int], kernel_sizes: Sequence[int], causal: bool):
        super().__init__()
        self.causal = causal
        self.reach = sum(kernel_sizes) - len(kernel_sizes)
        """Steps before the current one that an output of a causal stack depends on."""
        self.layers, self.norms = nn.ModuleList(), nn.ModuleList()
        for size, width in zip(filters, kernel_sizes, strict=True):
            layer = nn.Conv1d(input_size, size, width, bias=False)  # the normalisation has one
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
    width = layer.kernel_size[0]
    before = width - 1 if causal else width // 2
    padded = F.pad(x, (0, 0, before, width - 1 - before))
    if documents is None:
        return layer(padded.transpose(1, 2)).transpose(1, 2)
    same = F.pad(documents, (before, 0), value=-1).unfold(1, width, 1) == documents[..., None]
    seen = padded.unfold(1, width, 1) * same[:, :, None]  # (B, T, D, width)
    return F.linear(seen.flatten(2), layer.weight.flatten(1))
