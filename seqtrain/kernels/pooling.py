"""Additive attention pooling on the CPU by a fused kernel, with gradients.

Product, tanh, score, softmax and weighted sum of a chunk of steps are computed while the chunk is in the cache. Padding
costs nothing.

Shapes: B batch, T time, M features.
"""

import ctypes
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from seqtrain.kernels.binding import call, compiled, data_pointer, with_contiguous_rows
from seqtrain.kernels.flops import listeners, report

UNIT = "additive_pooling"


class Problem(ctypes.Structure):
    """C structure of one call; the fields are documented in pooling.cpp."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("B", "T", "M", "threads")),
        *((name, ctypes.c_void_p) for name in ("lengths", "states", "weight", "bias", "query")),
        *((name, ctypes.c_int64) for name in ("states_row", "states_step")),
        *((name, ctypes.c_void_p) for name in ("pooled", "weights", "saved", "grad_pooled")),
        *((name, ctypes.c_void_p) for name in ("grad_states", "grad_weight", "grad_bias", "grad_query")),
    ]


def run(name: str, states: Tensor, lengths: Tensor, **tensors: Tensor | None) -> None:
    """Call ``forward`` or ``backward``. Keywords are the structure's fields and their tensors."""
    B, T, M = states.shape
    row, step = states.stride()[:2]
    problem = Problem(B=B, T=T, M=M, threads=torch.get_num_threads(), states_row=row, states_step=step)
    for field, tensor in {"states": states, "lengths": lengths, **tensors}.items():
        setattr(problem, field, data_pointer(tensor))
    call(UNIT, name, problem)


class AdditivePooling(torch.autograd.Function):
    """Autograd function of ``additive_pooling``."""

    @staticmethod
    def forward(
        ctx: Any, keep: bool, lengths: Tensor, states: Tensor, weight: Tensor, bias: Tensor, query: Tensor
    ) -> tuple[Tensor, Tensor]:
        B, T, M = states.shape
        pooled, weights = states.new_empty(B, M), states.new_empty(B, T)
        per_step = compiled(UNIT).saved_numbers(ctypes.c_int64(M))
        saved = states.new_empty(int(lengths.sum()) * per_step) if keep else None
        run("forward", states, lengths, weight=weight, bias=bias, query=query, pooled=pooled, weights=weights,
            saved=saved)  # fmt: skip
        if listeners:
            report(2 * int(lengths.sum()) * (weight.numel() + 2 * M))
        if keep:
            ctx.save_for_backward(lengths, states, weight, bias, query, weights, saved)
        ctx.mark_non_differentiable(weights)
        return pooled, weights

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_pooled: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        lengths, states, weight, bias, query, weights, saved = ctx.saved_tensors
        wants_states, *wanted = ctx.needs_input_grad[2:]
        grad_states = states.new_empty(states.shape) if wants_states else None
        grads = [torch.empty_like(tensor) if any(wanted) else None for tensor in (weight, bias, query)]
        run("backward", states, lengths, weight=weight, bias=bias, query=query, weights=weights, saved=saved,
            grad_pooled=grad_pooled.contiguous(), grad_states=grad_states,
            grad_weight=grads[0], grad_bias=grads[1], grad_query=grads[2])  # fmt: skip
        if listeners:
            times = bool(wants_states) + any(wanted)
            report(2 * int(lengths.sum()) * times * (weight.numel() + 2 * states.shape[-1]))
        return None, None, grad_states, *grads


def additive_pooling(
    states: Tensor, lengths: Tensor, weight: Tensor, bias: Tensor, query: Tensor
) -> tuple[Tensor, Tensor]:
    """Weighted mean of the states of each row, with weights from a learned query.

    u_t = tanh(W h_t + b);  s_t = v u_t;  a = softmax of s over the real steps;  pooled = sum_t a_t h_t.

    Args:
        states: h, (B, T, M), padded on the right.
        lengths: real steps of each row, (B,), from 1 to T.
        weight: W, (M, M).
        bias: b, (M,).
        query: v, (M,).

    Returns:
        Pooled states (B, M), and the weights a (B, T), 0 on padding. No gradient flows through the weights.

    Raises:
        ValueError: if a tensor has another dtype, device or shape.
        RuntimeError: if the kernel cannot be compiled here.
    """
    B, T, M = states.shape
    named = {"states": states, "weight": weight, "bias": bias, "query": query}
    shapes = {"states": (B, T, M), "weight": (M, M), "bias": (M,), "query": (M,)}
    for name, tensor in named.items():
        if tensor.shape != shapes[name] or tensor.dtype is not torch.float32 or tensor.device.type != "cpu":
            raise ValueError(
                f"{name}: is {tuple(tensor.shape)} in {tensor.dtype} on {tensor.device}; must be {shapes[name]} in "
                "float32 on the CPU"
            )
    if lengths.shape != (B,) or (B and not 1 <= int(lengths.min()) <= int(lengths.max()) <= T):
        raise ValueError(f"lengths: must be {B} numbers from 1 to {T}")
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in named.values())
    contiguous = [tensor.contiguous() for tensor in (weight, bias, query)]
    return AdditivePooling.apply(keep, lengths.long().contiguous(), with_contiguous_rows(states), *contiguous)
