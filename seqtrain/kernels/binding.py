"""The interface of the compiled kernels: their structures, and a call.

Shapes: B batch, T time, D features in, H hidden.
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
"""Rows that a thread should have to be at its best."""


class Cell(StrEnum):
    """What a recurrence computes, by the name of the unit which does."""

    gru_after = "gru_after"
    """torch.nn.GRU: the reset gate acts after the product."""
    gru_before = "gru_before"
    """seqtrain.layers.cells.GRUCell: before."""
    rnn_tanh = "rnn_tanh"
    rnn_relu = "rnn_relu"
    lstm = "lstm"

    @property
    def num_gates(self) -> int:
        """Blocks of rows in the weights."""
        return {Cell.rnn_tanh: 1, Cell.rnn_relu: 1, Cell.lstm: 4}.get(self, 3)

    @property
    def num_states(self) -> int:
        """Vectors that a state is joined of: h, and an LSTM's c after it."""
        return 2 if self is Cell.lstm else 1


class Weights(NamedTuple):
    """Of one direction, named and shaped as those of torch's layers."""

    w_ih: Tensor
    w_hh: Tensor
    b_ih: Tensor | None
    b_hh: Tensor | None


class Direction(ctypes.Structure):
    """One direction of a layer; see recurrence.cpp."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in POINTERS),
        ("reverse", ctypes.c_int64),
        ("add_grad_x", ctypes.c_int64),
    ]


class Problem(ctypes.Structure):
    """What a call is about; see recurrence.cpp."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("B", "T", "I", "H")),
        *((name, ctypes.c_int64) for name in ("directions", "threads", "parts", "parallel_directions")),
        ("lengths", ctypes.c_void_p),
        ("x", ctypes.c_void_p),
        *((f"{name}_{of}", ctypes.c_int64) for name in ("x", "outputs", "grad_outputs") for of in ("row", "step")),
        ("direction", Direction * 2),
    ]


def data_pointer(tensor: Tensor | None) -> int | None:
    """Of a tensor's first number."""
    return None if tensor is None else tensor.data_ptr()


def with_contiguous_rows(tensor: Tensor) -> Tensor:
    """The tensor, copied if the numbers of its last dimension are not neighbours."""
    return tensor if tensor.shape[-1] == 1 or tensor.stride(-1) == 1 else tensor.contiguous()


def split_work(rows: int, directions: int, threads: int) -> tuple[int, bool]:
    """Parts that a batch is dealt to, and whether the directions of a part have threads of their own."""
    parallel_directions = directions == 2 and threads > 1 and rows < MIN_ROWS_PER_THREAD * threads
    threads = threads // 2 if parallel_directions else threads
    return -(-rows // -(-rows // threads)), parallel_directions


def problem(
    x: Tensor,
    lengths: Tensor,
    weights: Sequence[Weights],
    reverse: Sequence[bool],
    threads: int,
    parts: int,
    parallel_directions: bool,
) -> Problem:
    """A call without its results: the tensors must outlive it."""
    (B, T, D), H = x.shape, weights[0].w_hh.shape[1]
    made = Problem(B=B, T=T, I=D, H=H, directions=len(weights))
    made.threads, made.parts, made.parallel_directions = threads, parts, parallel_directions
    made.lengths, made.x = data_pointer(lengths), data_pointer(x)
    made.x_row, made.x_step = x.stride()[:2]
    made.outputs_row, made.outputs_step = T * H * len(weights), H * len(weights)
    for direction, own, back in zip(made.direction, weights, reverse, strict=False):
        for name, tensor in own._asdict().items():
            setattr(direction, name, data_pointer(tensor))
        direction.reverse = back
    return made


def saved_numbers(cell: Cell, hidden_size: int) -> int:
    """Numbers that the forward pass leaves for the backward pass for each step of a row."""
    return int(compiled(cell).saved_numbers(ctypes.c_int64(hidden_size)))


def call(unit: str, name: str, made: ctypes.Structure) -> None:
    """Run a unit's ``forward`` or ``backward``."""
    compiled(unit)[name](ctypes.byref(made))


def compiled(unit: str) -> ctypes.CDLL:
    """A unit's library.

    Raises:
        RuntimeError: if it cannot be had.
    """
    found = library(unit)
    if found is None:
        raise RuntimeError(f"the {unit} kernel is not compiled")
    return found
