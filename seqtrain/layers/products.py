"""Matrix products at the speed of the machine.

On CPU torch hands products of fp32 matrices to MKL, which reaches less than half of what oneDNN does on processors that
are not Intel's (190 against 440 GFLOP/s on two AVX-512 cores of an EPYC). torch's own compiler calls oneDNN by the
operator used here; where a build of torch lacks it, the plain product serves.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F

MIN_MULTIPLICATIONS, MIN_SIDE = 2**20, 16
"""With fewer multiplications, or a side shorter than this, torch's own product is as fast."""
CHUNK_ROWS = 1024
"""Rows of which the gradient of a weight is made at a time: over tens of thousands oneDNN falls to half its speed."""


def matmul(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """Product of matrices (N, K) and (K, M) of one type, plus a bias (M,); without gradients on the CPU in fp32."""
    if a.device.type == "cpu" and a.dtype is torch.float32 and HAS_ONEDNN:
        return torch.ops.mkldnn._linear_pointwise(a, b.t(), bias, "none", [], "")
    return a @ b if bias is None else torch.addmm(bias, a, b)


def has_onednn() -> bool:
    """Whether oneDNN's product is there and can be called."""
    try:
        torch.ops.mkldnn._linear_pointwise(torch.ones(1, 1), torch.ones(1, 1), None, "none", [], "")
    except (AttributeError, RuntimeError, TypeError):
        return False
    return True


HAS_ONEDNN = has_onednn()


class LinearProduct(torch.autograd.Function):
    """x W^T + b for matrices, with gradients."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """(N, M) of x (N, D), W (M, D) and b (M,)."""
        ctx.save_for_backward(x, weight)
        return matmul(x, weight.t(), bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Gradients of x, W and b."""
        x, weight = ctx.saved_tensors
        wants_x, wants_weight, wants_bias = ctx.needs_input_grad
        grad_x = matmul(grad, weight) if wants_x else None
        grad_weight = None
        if wants_weight:
            grad_weight = torch.zeros_like(weight)
            for part, rows in zip(grad.split(CHUNK_ROWS), x.split(CHUNK_ROWS), strict=True):
                grad_weight += matmul(part.t(), rows)
        return grad_x, grad_weight, grad.sum(0) if wants_bias else None


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """torch.nn.functional.linear, by oneDNN where x is in fp32 on the CPU and the product large.

    Args:
        x: (..., D).
        weight: W, (M, D).
        bias: b, (M,).

    Returns:
        x W^T + b, (..., M).
    """
    M, D = weight.shape
    large = min(M, D) >= MIN_SIDE and x.numel() * M >= MIN_MULTIPLICATIONS
    plain = x.device.type != "cpu" or x.dtype is not torch.float32 or torch.is_autocast_enabled("cpu")
    if plain or not large or not HAS_ONEDNN:
        return F.linear(x, weight, bias)
    out: Tensor = LinearProduct.apply(x.reshape(-1, D), weight, bias)
    return out.view(*x.shape[:-1], M)


class Linear(nn.Linear):
    """torch.nn.Linear by ``linear``."""

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)
