"""The floating-point operations (FLOPs) of what torch and the kernels compute.

As usual, only matrix products, convolutions and attention count: a product of (N, D) and (D, M) has 2 N D M. torch's
recurrent layers and the products of unfused layers include padding; the kernels skip it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop, sdpa_flop

from seqtrain.kernels.flops import reported_flops

aten: Any = torch.ops.aten


def vector_flops(matrix: Tensor, *_: Any, **__: Any) -> int:
    """FLOPs of a matrix times a vector."""
    return 2 * matrix.numel()


def linear_flops(x: Tensor, weight: Tensor, *_: Any, **__: Any) -> int:
    """FLOPs of oneDNN's product of x (..., D) and W (M, D)."""
    return 2 * x.numel() * weight.shape[0]


def recurrence_flops(x: Tensor, matrices: Sequence[Tensor]) -> int:
    """FLOPs of one product of each matrix with a vector at each step of x (B, T, ...) or (T, B, ...)."""
    return 2 * x.shape[0] * x.shape[1] * sum(matrix.numel() for matrix in matrices)


def onednn_recurrence(x: Tensor, w_ih: Tensor, w_hh: Tensor, *_: Any, **__: Any) -> int:
    """FLOPs of a layer in one direction by oneDNN."""
    return recurrence_flops(x, [w_ih, w_hh])


def cudnn_recurrence(x: Tensor, weights: Sequence[Tensor], *_: Any, **__: Any) -> int:
    """FLOPs of all layers and directions by cuDNN, from their matrices and biases."""
    return recurrence_flops(x, [weight for weight in weights if weight.dim() == 2])


def twice(formula: Callable[..., int]) -> Callable[..., int]:
    """The formula of a backward pass: gradients of inputs and of weights."""
    return lambda *arguments, **named: 2 * formula(*arguments, **named)


def attention_forward(q: Tensor, k: Tensor, v: Tensor, *_: Any, **__: Any) -> int:
    """FLOPs of torch's attention on the CPU."""
    return int(sdpa_flop(q.shape, k.shape, v.shape))


def attention_backward(grad: Tensor, q: Tensor, k: Tensor, v: Tensor, *_: Any, **__: Any) -> int:
    """FLOPs of its backward pass."""
    return int(sdpa_backward_flop(grad.shape, q.shape, k.shape, v.shape))


FORMULAS: Mapping[Any, Callable[..., int]] = flop_registry | {
    aten.mv: vector_flops,
    aten.mkldnn_rnn_layer: onednn_recurrence,
    aten.mkldnn_rnn_layer_backward: twice(onednn_recurrence),
    aten._cudnn_rnn: cudnn_recurrence,
    aten._cudnn_rnn_backward: twice(cudnn_recurrence),
    aten._scaled_dot_product_flash_attention_for_cpu: attention_forward,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: attention_backward,
    torch.ops.mkldnn._linear_pointwise: linear_flops,
}
"""torch's own formulas, and those of operators that it has none for."""


class FlopCount(TorchDispatchMode):
    """Adds up the FLOPs of operators while it is active. ``total`` is the sum."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def add(self, flops: int) -> None:
        """Add the FLOPs of a kernel."""
        self.total += flops

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = FORMULAS.get(func._overloadpacket)
        if formula is not None:
            self.total += int(formula(*args, **(kwargs or {}), out_val=out))
        return out


@contextmanager
def counted_flops() -> Iterator[FlopCount]:
    """Context in which FLOPs are counted, of forward and backward passes."""
    count = FlopCount()
    with count, reported_flops(count.add):
        yield count
