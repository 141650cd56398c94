"""Matrix products on the CPU with oneDNN.

torch computes fp32 matrix products on the CPU with MKL. On processors not made by Intel, MKL reaches less than half the
speed of oneDNN (190 against 440 GFLOP/s on two AVX-512 cores of an EPYC). The operator used here is the one that
torch's compiler calls for oneDNN. If a build of torch lacks it, the plain product is used.

Shapes: N rows, D input features, M output features.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F

MIN_MULTIPLICATIONS, MIN_SIDE = 2**20, 16
"""With fewer multiplications, or a shorter side, torch's own product is as fast."""
CHUNK_ROWS = 1024
"""Rows in a chunk of a weight's gradient: over tens of thousands of rows at once, oneDNN falls to half its speed."""


def matmul(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """Matrix product a b + bias, of a (N, D), b (D, M) and bias (M,) in one dtype; no gradient on the CPU in fp32."""
    if a.device.type == "cpu" and a.dtype is torch.float32 and HAS_ONEDNN:
        return torch.ops.mkldnn._linear_pointwise(a, b.t(), bias, "none", [], "")
    return a @ b if bias is None else torch.addmm(bias, a, b)


def has_onednn() -> bool:
    """Whether torch has oneDNN's product and it runs on this machine."""
    try:
        torch.ops.mkldnn._linear_pointwise(torch.ones(1, 1), torch.ones(1, 1), None, "none", [], "")
    except (AttributeError, RuntimeError, TypeError):
        return False
    return True


HAS_ONEDNN = has_onednn()


class LinearProduct(torch.autograd.Function):
    """Autograd function x W^T + b of matrices."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """(N, M), from x (N, D), W (M, D) and b (M,)."""
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
    """Equivalent of torch.nn.functional.linear that uses oneDNN for large fp32 products on the CPU.

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
    """torch.nn.Linear that computes with ``linear``."""

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)
