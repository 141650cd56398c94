"""Recurrent cells that torch has no layer for: each one step function, run over time by ``CellLayer``.

A cell splits its work as the fast kernels do: ``project`` multiplies all inputs by the input matrix at once, ``step``
does what depends on the step before. Its parameters are named and shaped as those of torch's layers (gates stacked on
the first axis), so that they are initialised alike.

Shapes: B batch, T time, D features in, H hidden, G gates.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqtrain.layers.products import linear


class Cell(nn.Module, ABC):
    """The base of a cell with G gates: ``weight_ih`` (G * H, D), ``weight_hh`` (G * H, H) and ``bias`` (G * H).

    Args:
        input_size: D.
        hidden_size: H.
    """

    num_gates: ClassVar[int]

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.hidden_size = hidden_size
        self.weight_ih = nn.Parameter(torch.empty(self.num_gates * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(self.num_gates * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(self.num_gates * hidden_size))

    def project(self, x: Tensor) -> Tensor:
        """W x + b of every gate and step: (B, T, D) to (B, T, G * H)."""
        return linear(x, self.weight_ih, self.bias)

    def initial_state(self, like: Tensor) -> Any:
        """The state before the first step, zeros (B, H), of the device and type of ``like``."""
        return like.new_zeros(like.shape[0], self.hidden_size)

    @abstractmethod
    def step(self, projected: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One step.

        Args:
            projected: ``project`` of the step's input, (B, G * H).
            state: after the step before.

        Returns:
            The output, (B, H), and the state after the step.
        """


class CellLayer(nn.Module):
    """Runs a cell over time, with the interface of torch's layers with ``batch_first``.

    Args:
        cell: the cell.
    """

    def __init__(self, cell: Cell):
        super().__init__()
        self.cell = cell
        self.hidden_size = cell.hidden_size

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Outputs (B, T, H) of inputs (B, T, D), and the state after step T."""
        projected = self.cell.project(x)
        state = self.cell.initial_state(projected) if state is None else state
        outputs = []
        for step in projected.unbind(1):
            output, state = self.cell.step(step, state)
            outputs.append(output)
        return torch.stack(outputs, dim=1), state


class GRUCell(Cell):
    """Gated recurrent unit whose reset gate acts before the product.

    z = sigmoid(W_z x + U_z h + b_z);  r = sigmoid(W_r x + U_r h + b_r);
    h~ = tanh(W x + U (r * h) + b);  h' = (1 - z) * h + z * h~.  Gates are stacked z, r, h~.

    Source: Cho et al. 2014, eq. 5-8, with z and 1 - z as in Chung et al. 2014, section 3.2. torch.nn.GRU differs in two
    ways: its reset gate acts on U h + b after the product, and its z is this 1 - z.
    """

    num_gates = 3

    def step(self, projected: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        H = self.hidden_size
        gates = torch.sigmoid(projected[:, : 2 * H] + F.linear(state, self.weight_hh[: 2 * H]))
        z, r = gates.chunk(2, dim=-1)
        candidate = torch.tanh(projected[:, 2 * H :] + F.linear(r * state, self.weight_hh[2 * H :]))
        state = state + z * (candidate - state)
        return state, state


class CandidateGRUCell(Cell):
    """A form seen in print: the candidate recurs on the candidate before it, and there is no reset gate.

    z = sigmoid(W_z x + U_z h + b_z);  h~' = tanh(W x + U h~ + b);  h' = (1 - z) * h + z * h~'.
    Gates are stacked z, h~; the state is (h, h~).
    """

    num_gates = 2

    def initial_state(self, like: Tensor) -> tuple[Tensor, Tensor]:
        zeros = super().initial_state(like)
        return zeros, zeros

    def step(self, projected: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        h, candidate = state
        H = self.hidden_size
        z = torch.sigmoid(projected[:, :H] + F.linear(h, self.weight_hh[:H]))
        candidate = torch.tanh(projected[:, H:] + F.linear(candidate, self.weight_hh[H:]))
        h = h + z * (candidate - h)
        return h, (h, candidate)


class CoupledGRUCell(Cell):
    """A form seen in print: the update gate also scales what the candidate sees of the state.

    z, r as in GRUCell;  h' = (1 - z) * r * tanh(W x + (1 - z) * (U h) + b) + z * h.  Gates are stacked z, r, candidate.
    """

    num_gates = 3

    def step(self, projected: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        H = self.hidden_size
        recurrent = F.linear(state, self.weight_hh)
        z, r = torch.sigmoid(projected[:, : 2 * H] + recurrent[:, : 2 * H]).chunk(2, dim=-1)
        candidate = torch.tanh(projected[:, 2 * H :] + (1 - z) * recurrent[:, 2 * H :])
        state = (1 - z) * r * candidate + z * state
        return state, state
