"""GRU, LSTM and Elman network on the CPU by fused kernels, with gradients.

torch runs its LSTM with oneDNN on the CPU, but not its GRU and RNN. In these kernels each thread takes some rows of the
batch through all steps. Gates are computed while the product is in registers, padding costs nothing, and the backward
pass computes all gradients of a few steps while they are in the cache.

Shapes: B batch, T time, D features, H hidden, N directions.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from seqtrain.kernels.binding import (
    Cell,
    Problem,
    Weights,
    call,
    data_pointer,
    make_problem,
    saved_numbers,
    split_work,
    with_contiguous_rows,
)
from seqtrain.kernels.flops import listeners, report


class Recurrence(torch.autograd.Function):
    """Autograd function of ``recurrence``; the weights of all directions are its last arguments."""

    @staticmethod
    def forward(
        ctx: Any,
        cell: Cell,
        reverse: Sequence[bool],
        lengths: Tensor,
        keep: bool,
        x: Tensor,
        h0: Tensor | None,
        *flat: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        weights = split_directions(flat)
        (B, T, _), H, N = x.shape, weights[0].w_hh.shape[1], len(weights)
        threads = torch.get_num_threads()
        shares = split_work(B, N, threads)
        outputs, h_n = x.new_empty(B, T, N * H), x.new_empty(N, B, cell.num_states * H)
        saved = x.new_empty(N, int(lengths.sum()) * saved_numbers(cell, H)) if keep else None
        problem = make_problem(x, lengths, weights, reverse, threads, *shares)
        set_directions(problem, outputs=outputs.view(B, T, N, H).permute(2, 0, 1, 3), h_n=h_n, saved=saved, h0=h0)
        call(cell, "forward", problem)
        if listeners:
            report(product_flops(lengths, [matrix for own in weights for matrix in own[:2]]))
        if keep:
            ctx.set_materialize_grads(False)
            ctx.save_for_backward(lengths, x, h0, outputs, saved, *flat)
            ctx.cell, ctx.reverse, ctx.shares = cell, reverse, shares
        return outputs, h_n

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_outputs: Tensor | None, grad_h_n: Tensor | None) -> tuple[Tensor | None, ...]:
        lengths, x, h0, outputs, saved, *flat = ctx.saved_tensors
        weights = split_directions(flat)
        (B, T, _), H, N = x.shape, weights[0].w_hh.shape[1], len(weights)
        wanted_x, wanted_h0, *wanted = ctx.needs_input_grad[4:]
        problem = make_problem(x, lengths, weights, ctx.reverse, torch.get_num_threads(), *ctx.shares)
        parallel_directions = problem.parallel_directions
        set_directions(problem, outputs=outputs.view(B, T, N, H).permute(2, 0, 1, 3), saved=saved, h0=h0)
        if grad_outputs is not None:
            grad_outputs = with_contiguous_rows(grad_outputs)
            problem.grad_outputs_row, problem.grad_outputs_step = grad_outputs.stride()[:2]
            set_directions(problem, grad_outputs=grad_outputs.unflatten(2, (N, H)).permute(2, 0, 1, 3))
        if grad_h_n is not None:
            grad_h_n = grad_h_n.contiguous()
            set_directions(problem, grad_h_n=grad_h_n)
        grad_h0 = torch.empty_like(h0) if wanted_h0 else None
        set_directions(problem, grad_h0=grad_h0)
        # Directions that run in turn add to one gradient of x; directions in parallel have one each.
        grad_x = x.new_empty(N if parallel_directions else 1, *x.shape) if wanted_x else None
        grads: list[Tensor | None] = []
        for i, own in enumerate(weights):
            problem.direction[i].add_grad_x = i > 0 and not parallel_directions
            if grad_x is not None:
                problem.direction[i].grad_x = data_pointer(grad_x[i if parallel_directions else 0])
            for pair in (own[:2], own[2:]):
                both = any(wanted[len(grads) : len(grads) + 2])
                grads += [torch.empty_like(weight) if both and weight is not None else None for weight in pair]
            for name, grad in zip(Weights._fields, grads[-4:], strict=True):
                setattr(problem.direction[i], f"grad_{name}", data_pointer(grad))
        call(ctx.cell, "backward", problem)
        if listeners:
            by_inputs = [matrix for own in weights for matrix in (own.w_hh, *[own.w_ih] * wanted_x)]
            by_weights = [grad for grad in grads if grad is not None and grad.dim() == 2]
            report(product_flops(lengths, [*by_inputs, *by_weights]))
        total_x = None if grad_x is None else grad_x[0] if len(grad_x) == 1 else grad_x[0].add_(grad_x[1])
        return None, None, None, None, total_x, grad_h0, *grads


def product_flops(lengths: Tensor, matrices: Sequence[Tensor]) -> int:
    """FLOPs of one product of each matrix with a vector at every real step of rows of these lengths."""
    return 2 * int(lengths.sum()) * sum(matrix.numel() for matrix in matrices)


def split_directions(flat: Sequence[Tensor | None]) -> list[Weights]:
    """Weights of each direction, from a flat list of all."""
    return [Weights(*flat[i : i + 4]) for i in range(0, len(flat), 4)]  # type: ignore[arg-type]


def set_directions(problem: Problem, **tensors: Tensor | None) -> None:
    """Set a field of every direction to its part of a tensor (N, ...)."""
    for name, tensor in tensors.items():
        if tensor is not None:
            for direction, own in zip(problem.direction, tensor, strict=False):
                setattr(direction, name, data_pointer(own))


def recurrence(
    cell: Cell,
    x: Tensor,
    weights: Sequence[Weights],
    h0: Tensor | None = None,
    lengths: Tensor | None = None,
    reverse: Sequence[bool] = (False, True),
) -> tuple[Tensor, Tensor]:
    """Run a recurrent layer in one direction or in two.

    Args:
        cell: the recurrence.
        x: inputs, (B, T, D), padded on the right.
        weights: weights of each direction.
        h0: states before the first step, (N, B, H), or (N, B, 2 H) for an LSTM with h and c concatenated; None means
            zeros.
        lengths: real steps of each row, (B,), from 0 to T; None means T.
        reverse: for each direction, whether it runs from a row's last real step to its first.

    Returns:
        Outputs (B, T, N * H), 0 on padding; and the states after each row's last step, with the shape of ``h0``.

    Raises:
        ValueError: if a tensor has another dtype, device or shape.
        RuntimeError: if the kernel cannot be compiled here.
    """
    B, T, D = x.shape
    lengths = torch.full((B,), T) if lengths is None else lengths.to("cpu", torch.int64).contiguous()
    flat = [None if tensor is None else tensor.contiguous() for own in weights for tensor in own]
    check_arguments(cell, x, h0, lengths, weights)
    if B == 0 or T == 0:
        H = weights[0].w_hh.shape[1]
        state = x.new_zeros(len(weights), B, cell.num_states * H) if h0 is None else h0
        return x.new_zeros(B, T, len(weights) * H), state
    keep = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, h0, *flat))
    h0 = None if h0 is None else h0.contiguous()
    outputs, h_n = Recurrence.apply(cell, tuple(reverse), lengths, keep, with_contiguous_rows(x), h0, *flat)
    return outputs, h_n


def check_arguments(cell: Cell, x: Tensor, h0: Tensor | None, lengths: Tensor, weights: Sequence[Weights]) -> None:
    """Raise ValueError unless all shapes fit, so that the kernels never access memory outside their tensors."""
    (B, T, D), H = x.shape, weights[0].w_hh.shape[1]
    rows, state = cell.num_gates * H, (len(weights), B, cell.num_states * H)
    shapes: dict[str, tuple[Tensor | None, tuple[int, ...]]] = {"x": (x, (B, T, D)), "h0": (h0, state)}
    for own, name in zip(weights, ("", " of the second direction"), strict=False):
        wanted = ((rows, D), (rows, H), (rows,), (rows,))
        for field, tensor, shape in zip(Weights._fields, own, wanted, strict=True):
            shapes[field + name] = tensor, shape
    for name, (tensor, shape) in shapes.items():
        if tensor is None:
            continue
        if tensor.shape != shape:
            raise ValueError(f"{name}: must have the shape {shape}, got {tuple(tensor.shape)}")
        if tensor.dtype is not torch.float32 or tensor.device.type != "cpu":
            raise ValueError(f"{name}: must be float32 on the CPU, got {tensor.dtype} on {tensor.device}")
    if len(weights) not in (1, 2):
        raise ValueError(f"weights: must be of 1 or 2 directions, got {len(weights)}")
    if lengths.shape != (B,) or (B and not 0 <= int(lengths.min()) <= int(lengths.max()) <= T):
        raise ValueError(f"lengths: must be {B} numbers from 0 to {T}")
