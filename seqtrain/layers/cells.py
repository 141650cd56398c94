"""Recurrent cells that torch has no layer for, and ``CellLayer``, which runs a cell over time.

A cell splits its work like the fused kernels. ``project`` multiplies the inputs of all steps by the input matrix at
once. ``step`` computes what depends on the previous step. Parameters have the names and shapes of torch's layers (gates
stacked on the first axis), so both are initialised by the same code.

Shapes: B batch, T time, D features, H hidden, G gates.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqtrain.layers.products import linear


class Cell(nn.Module, ABC):
    """Base class of a cell with G gates: ``weight_ih`` (G * H, D), ``weight_hh`` (G * H, H) and ``bias`` (G * H).

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
        """Compute W x + b of all gates at all steps: (B, T, D) to (B, T, G * H)."""
        return linear(x, self.weight_ih, self.bias)

    def initial_state(self, like: Tensor) -> Any:
        """State before the first step: zeros (B, H), with the device and dtype of ``like``."""
        return like.new_zeros(like.shape[0], self.hidden_size)

    @abstractmethod
    def step(self, projected: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Compute one time step.

        Args:
            projected: result of ``project`` at this step, (B, G * H).
            state: state after the previous step.

        Returns:
            The output (B, H) and the new state.
        """


class CellLayer(nn.Module):
    """Runs a cell over time, with the interface of torch's recurrent layers with ``batch_first``.

    Args:
        cell: the cell.
    """

    def __init__(self, cell: Cell):
        super().__init__()
        self.cell = cell
        self.hidden_size = cell.hidden_size

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Run the cell over inputs (B, T, D): outputs (B, T, H), and the state after step T."""
        projected = self.cell.project(x)
        state = self.cell.initial_state(projected) if state is None else state
        outputs = []
        for step in projected.unbind(1):
            output, state = self.cell.step(step, state)
            outputs.append(output)
        return torch.stack(outputs, dim=1), state


class GRUCell(Cell):
    """Gated recurrent unit whose reset gate acts before the matrix product.

    z = sigmoid(W_z x + U_z h + b_z);  r = sigmoid(W_r x + U_r h + b_r);
    h~ = tanh(W x + U (r * h) + b);  h' = (1 - z) * h + z * h~.  Gates are stacked z, r, h~.

    Source: Cho et al. 2014, eq. 5-8, with z and 1 - z as in Chung et al. 2014, section 3.2. torch.nn.GRU differs in two
    ways: its reset gate acts on U h + b after the product, and its z is 1 - z here.
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
    """GRU variant found in print: the candidate depends on the previous candidate, and there is no reset gate.

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
    """GRU variant found in print: the update gate also scales the recurrent input of the candidate.

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
