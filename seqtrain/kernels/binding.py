"""Python side of the compiled recurrence: the C structures, and the calls.

Shapes: B batch, T time, D features, H hidden.
"""

import ctypes
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from torch import Tensor

from seqtrain.kernels.compile import library

POINTERS = [
    *("w_ih", "w_hh", "b_ih", "b_hh", "h0", "outputs", "h_n", "saved", "grad_outputs", "grad_h_n"),
    *("grad_x", "grad_w_ih", "grad_w_hh", "grad_b_ih", "grad_b_hh", "grad_h0"),
]
MIN_ROWS_PER_THREAD = 8
"""Rows that a thread needs to run at full speed."""


class Cell(StrEnum):
    """The recurrences that have a kernel; each value is the name of the unit that compiles it."""

    gru_after = "gru_after"
    """torch.nn.GRU: the reset gate acts after the matrix product."""
    gru_before = "gru_before"
    """seqtrain.layers.cells.GRUCell: the reset gate acts before the matrix product."""
    rnn_tanh = "rnn_tanh"
    rnn_relu = "rnn_relu"
    lstm = "lstm"

    @property
    def num_gates(self) -> int:
        """Number of gates, which are blocks of H rows in the weights."""
        return {Cell.rnn_tanh: 1, Cell.rnn_relu: 1, Cell.lstm: 4}.get(self, 3)

    @property
    def num_states(self) -> int:
        """Number of vectors in a state: h, and for an LSTM also c."""
        return 2 if self is Cell.lstm else 1


class Weights(NamedTuple):
    """Weights of one direction, with the shapes of torch's layers."""

    w_ih: Tensor
    w_hh: Tensor
    b_ih: Tensor | None
    b_hh: Tensor | None


class Direction(ctypes.Structure):
    """C structure of one direction of a layer; the fields are documented in schedule.h."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in POINTERS),
        ("reverse", ctypes.c_int64),
        ("add_grad_x", ctypes.c_int64),
    ]


class Problem(ctypes.Structure):
    """C structure of one call; the fields are documented in schedule.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("B", "T", "I", "H")),
        *((name, ctypes.c_int64) for name in ("directions", "threads", "parts", "parallel_directions")),
        ("lengths", ctypes.c_void_p),
        ("x", ctypes.c_void_p),
        *((f"{name}_{of}", ctypes.c_int64) for name in ("x", "outputs", "grad_outputs") for of in ("row", "step")),
        ("direction", Direction * 2),
    ]


def data_pointer(tensor: Tensor | None) -> int | None:
    """Address of a tensor's first element; None for None."""
    return None if tensor is None else tensor.data_ptr()


def with_contiguous_rows(tensor: Tensor) -> Tensor:
    """The tensor, copied if its last dimension is not contiguous."""
    return tensor if tensor.shape[-1] == 1 or tensor.stride(-1) == 1 else tensor.contiguous()


def split_work(rows: int, directions: int, threads: int) -> tuple[int, bool]:
    """How to split a batch among threads.

    Args:
        rows: B.
        directions: 1 or 2.
        threads: threads available.

    Returns:
        Number of parts of the batch, and whether both directions of a part run in parallel.
    """
    parallel_directions = directions == 2 and threads > 1 and rows < MIN_ROWS_PER_THREAD * threads
    threads = threads // 2 if parallel_directions else threads
    return -(-rows // -(-rows // threads)), parallel_directions


def make_problem(
    x: Tensor,
    lengths: Tensor,
    weights: Sequence[Weights],
    reverse: Sequence[bool],
    threads: int,
    parts: int,
    parallel_directions: bool,
) -> Problem:
    """Arguments of one call, without its results. The tensors must stay alive until the call ends."""
    (B, T, D), H = x.shape, weights[0].w_hh.shape[1]
    problem = Problem(B=B, T=T, I=D, H=H, directions=len(weights))
    problem.threads, problem.parts, problem.parallel_directions = threads, parts, parallel_directions
    problem.lengths, problem.x = data_pointer(lengths), data_pointer(x)
    problem.x_row, problem.x_step = x.stride()[:2]
    problem.outputs_row, problem.outputs_step = T * H * len(weights), H * len(weights)
    for direction, own, is_reversed in zip(problem.direction, weights, reverse, strict=False):
        for name, tensor in own._asdict().items():
            setattr(direction, name, data_pointer(tensor))
        direction.reverse = is_reversed
    return problem


def saved_numbers(cell: Cell, hidden_size: int) -> int:
    """Numbers per step of a row that the forward pass saves for the backward pass."""
    return int(compiled(cell).saved_numbers(ctypes.c_int64(hidden_size)))


def call(unit: str, name: str, problem: ctypes.Structure) -> None:
    """Call the function ``name`` (``forward`` or ``backward``) of a unit."""
    compiled(unit)[name](ctypes.byref(problem))


def compiled(unit: str) -> ctypes.CDLL:
    """Library of a unit.

    Raises:
        RuntimeError: if it cannot be compiled here.
    """
    found = library(unit)
    if found is None:
        raise RuntimeError(f"the {unit} kernel is not compiled")
    return found
