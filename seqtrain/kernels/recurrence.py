"""GRU, LSTM and Elman network on the CPU by fused kernels, with gradients.

torch runs its LSTM by oneDNN on the CPU, but never its GRU and RNN. Here each thread takes rows of the batch through
all steps alone, the gates follow the product while it is in registers, padded steps cost nothing, and the backward pass
makes all gradients of a few steps while they are in the cache.

Shapes: B batch, T time, D features in, H hidden, N directions.
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
    problem,
    saved_numbers,
    split_work,
    with_contiguous_rows,
)


class Recurrence(torch.autograd.Function):
    """One layer in one direction or two. See ``recurrence``; the weights of the directions follow one another."""

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
        made = problem(x, lengths, weights, reverse, threads, *shares)
        set_directions(made, outputs=outputs.view(B, T, N, H).permute(2, 0, 1, 3), h_n=h_n, saved=saved, h0=h0)
        call(cell, "forward", made)
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
        made = problem(x, lengths, weights, ctx.reverse, torch.get_num_threads(), *ctx.shares)
        parallel_directions = made.parallel_directions
        set_directions(made, outputs=outputs.view(B, T, N, H).permute(2, 0, 1, 3), saved=saved, h0=h0)
        if grad_outputs is not None:
            grad_outputs = with_contiguous_rows(grad_outputs)
            made.grad_outputs_row, made.grad_outputs_step = grad_outputs.stride()[:2]
            set_directions(made, grad_outputs=grad_outputs.unflatten(2, (N, H)).permute(2, 0, 1, 3))
        if grad_h_n is not None:
            grad_h_n = grad_h_n.contiguous()
            set_directions(made, grad_h_n=grad_h_n)
        grad_h0 = torch.empty_like(h0) if wanted_h0 else None
        set_directions(made, grad_h0=grad_h0)
        # One after the other the directions add to one gradient of x; side by side each has its own.
        grad_x = x.new_empty(N if parallel_directions else 1, *x.shape) if wanted_x else None
        grads: list[Tensor | None] = []
        for i, own in enumerate(weights):
            made.direction[i].add_grad_x = i > 0 and not parallel_directions
            if grad_x is not None:
                made.direction[i].grad_x = data_pointer(grad_x[i if parallel_directions else 0])
            for pair in (own[:2], own[2:]):
                both = any(wanted[len(grads) : len(grads) + 2])
                grads += [torch.empty_like(weight) if both and weight is not None else None for weight in pair]
            for name, grad in zip(Weights._fields, grads[-4:], strict=True):
                setattr(made.direction[i], f"grad_{name}", data_pointer(grad))
        call(ctx.cell, "backward", made)
        total_x = None if grad_x is None else grad_x[0] if len(grad_x) == 1 else grad_x[0].add_(grad_x[1])
        return None, None, None, None, total_x, grad_h0, *grads


def split_directions(flat: Sequence[Tensor | None]) -> list[Weights]:
    """Weights of each direction, of the list of all."""
    return [Weights(*flat[i : i + 4]) for i in range(0, len(flat), 4)]  # type: ignore[arg-type]


def set_directions(made: Problem, **tensors: Tensor | None) -> None:
    """Give each direction its part of tensors (directions, ...)."""
    for name, tensor in tensors.items():
        if tensor is not None:
            for direction, own in zip(made.direction, tensor, strict=False):
                setattr(direction, name, data_pointer(own))


def recurrence(
    cell: Cell,
    x: Tensor,
    weights: Sequence[Weights],
    h0: Tensor | None = None,
    lengths: Tensor | None = None,
    reverse: Sequence[bool] = (False, True),
) -> tuple[Tensor, Tensor]:
    """Run a layer in one direction or two.

    Args:
        cell: what is computed.
        x: inputs, (B, T, D), padded on the right.
        weights: of each direction N.
        h0: states before the first step, (N, B, H), or of an LSTM h and c joined, (N, B, 2 H); None is zero.
        lengths: real steps of each row, (B,) from 0 to T; None for T each.
        reverse: of each direction, whether it runs from a row's last real step to its first.

    Returns:
        Outputs (B, T, N * H), the directions side by side, 0 on padding; and the state after each row's last step,
        as ``h0``.

    Raises:
        ValueError: if a tensor has another type, device or shape.
        RuntimeError: if the kernels cannot be compiled here.
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
    """Raise ValueError unless all fits, so that the kernels stay within the memory that they are given."""
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
            raise ValueError(f"{name}: has the shape {tuple(tensor.shape)}; must be {shape}")
        if tensor.dtype is not torch.float32 or tensor.device.type != "cpu":
            raise ValueError(f"{name}: is {tensor.dtype} on {tensor.device}; must be float32 on the CPU")
    if len(weights) not in (1, 2):
        raise ValueError(f"{len(weights)} directions; must be 1 or 2")
    if lengths.shape != (B,) or (B and not 0 <= int(lengths.min()) <= int(lengths.max()) <= T):
        raise ValueError(f"lengths: must be {B} numbers from 0 to {T}")


def gru(
    x: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
    h0: Tensor | None = None,
    lengths: Tensor | None = None,
    reverse: bool = False,
    reset_after: bool = True,
) -> tuple[Tensor, Tensor]:
    """Gated recurrent unit in one direction.

    Args:
        x: inputs, (B, T, D), padded on the right.
        w_ih: (3 H, D).
        w_hh: (3 H, H).
        b_ih: (3 H,), or None.
        b_hh: (3 H,), or None.
        h0: state before the first step, (B, H); None is zero.
        lengths: real steps of each row, (B,); None for T each.
        reverse: run from each row's last real step to its first.
        reset_after: torch.nn.GRU, whose gates are stacked r, z, n; else seqtrain.layers.cells.GRUCell, with z, r, h~.

    Returns:
        Outputs (B, T, H), 0 on padding, and the state after each row's last step, (B, H).
    """
    cell = Cell.gru_after if reset_after else Cell.gru_before
    return single(cell, x, Weights(w_ih, w_hh, b_ih, b_hh), h0, lengths, reverse)


def rnn(
    x: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
    h0: Tensor | None = None,
    lengths: Tensor | None = None,
    reverse: bool = False,
    nonlinearity: str = "tanh",
) -> tuple[Tensor, Tensor]:
    """Elman network in one direction, torch.nn.RNN; see ``gru``. Weights are (H, D) and (H, H), biases (H,).

    Args:
        x: see ``gru``.
        w_ih: see ``gru``.
        w_hh: see ``gru``.
        b_ih: see ``gru``.
        b_hh: see ``gru``.
        h0: see ``gru``.
        lengths: see ``gru``.
        reverse: see ``gru``.
        nonlinearity: ``tanh`` or ``relu``.

    Returns:
        As ``gru``.
    """
    cell = {"tanh": Cell.rnn_tanh, "relu": Cell.rnn_relu}[nonlinearity]
    return single(cell, x, Weights(w_ih, w_hh, b_ih, b_hh), h0, lengths, reverse)


def lstm(
    x: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
    state: tuple[Tensor, Tensor] | None = None,
    lengths: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Long short-term memory, torch.nn.LSTM; see ``gru``. Gates are stacked i, f, g, o.

    Args:
        x: see ``gru``.
        w_ih: (4 H, D).
        w_hh: (4 H, H).
        b_ih: (4 H,), or None.
        b_hh: (4 H,), or None.
        state: h and c before the first step, (B, H) each; None is zero.
        lengths: see ``gru``.
        reverse: see ``gru``.

    Returns:
        Outputs (B, T, H), 0 on padding, and h and c after each row's last step.
    """
    joined = None if state is None else torch.cat(state, dim=-1)
    outputs, after = single(Cell.lstm, x, Weights(w_ih, w_hh, b_ih, b_hh), joined, lengths, reverse)
    h, c = after.chunk(2, dim=-1)
    return outputs, (h, c)


def single(
    cell: Cell, x: Tensor, weights: Weights, h0: Tensor | None, lengths: Tensor | None, reverse: bool
) -> tuple[Tensor, Tensor]:
    """``recurrence`` in one direction, with states (B, H)."""
    outputs, h_n = recurrence(cell, x, [weights], None if h0 is None else h0[None], lengths, [reverse])
    return outputs, h_n[0]
