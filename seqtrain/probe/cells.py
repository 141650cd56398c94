"""One step of every recurrent cell with its gates, which the fused kernels and torch's layers do not show.

Shapes: B batch, D features, H hidden, G gates.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqtrain.layers.cells import CandidateGRUCell, CellLayer, CoupledGRUCell, GRUCell

Parts = tuple[Tensor, ...]  # a state: (h,), (h, c) of an LSTM, (h, candidate) of CandidateGRUCell; (B, H) each
Gates = dict[str, Tensor]  # name -> values, (B, H): ``keep``, ``candidate``, and the other gates
Step = Callable[[Tensor, Parts], tuple[Parts, Gates]]  # (projected inputs, state) -> (state, gates)

KEEP, CANDIDATE = "keep", "candidate"
"""Names of the gate that keeps the state, and of the activation that is written into it."""


@dataclass(frozen=True)
class Unit:
    """One direction of a recurrent layer as a function of one step.

    Its input products are linear in the inputs, so they are computed for all steps at once.
    """

    weight_ih: Tensor
    """Input matrices of all gates, (G * H, D)."""
    weight_hh: Tensor
    """Recurrent matrices of all gates, (G * H, H)."""
    bias: Tensor | None
    """Bias of the input products, (G * H)."""
    parts: int
    """Number of tensors in the state."""
    step: Step
    """One step."""
    candidate: int
    """Which of the G recurrent matrices maps the state into the candidate."""

    @property
    def hidden_size(self) -> int:
        """H."""
        return int(self.weight_hh.shape[1])

    @property
    def matrix(self) -> Tensor:
        """The matrix that maps the state into the candidate, (H, H); the only one of a plain RNN."""
        return self.weight_hh.split(self.hidden_size)[self.candidate]

    def project(self, x: Tensor) -> Tensor:
        """W x + b of all gates, (..., D) to (..., G * H)."""
        return F.linear(x, self.weight_ih, self.bias)

    def zeros(self, rows: int) -> Parts:
        """The state before the first step, of a number of rows."""
        return tuple(self.weight_hh.new_zeros(rows, self.hidden_size) for _ in range(self.parts))


def unit_of(layer: nn.Module) -> Unit:
    """The unit of one direction of a layer: torch.nn.RNN, LSTM or GRU with one layer, or a CellLayer.

    Raises:
        TypeError: if it is another kind of layer.
    """
    if isinstance(layer, CellLayer):
        cell = layer.cell
        steps: dict[type, Callable[[Tensor], Step]] = {
            GRUCell: gru_before,
            CandidateGRUCell: gru_candidate,
            CoupledGRUCell: gru_coupled,
        }
        if type(cell) not in steps:
            raise TypeError(f"no steps are known of {type(cell).__name__}")
        parts = 2 if type(cell) is CandidateGRUCell else 1
        return Unit(cell.weight_ih, cell.weight_hh, cell.bias, parts, steps[type(cell)](cell.weight_hh), -1)
    if not isinstance(layer, nn.RNN | nn.LSTM | nn.GRU):
        raise TypeError(f"no steps are known of {type(layer).__name__}")
    named = {name: cast(Tensor, parameter) for name, parameter in layer.named_parameters()}
    weight, biases = named["weight_hh_l0"], (named.get("bias_ih_l0"), named.get("bias_hh_l0"))
    if isinstance(layer, nn.GRU):  # its second bias stands inside the product with the reset gate
        return Unit(named["weight_ih_l0"], weight, biases[0], 1, gru_after(weight, biases[1]), -1)
    bias = biases[0] if biases[1] is None or biases[0] is None else biases[0] + biases[1]
    if isinstance(layer, nn.LSTM):
        return Unit(named["weight_ih_l0"], weight, bias, 2, lstm(weight), 2)
    activation = torch.tanh if layer.nonlinearity == "tanh" else torch.relu
    return Unit(named["weight_ih_l0"], weight, bias, 1, rnn(weight, activation), 0)


def rnn(weight: Tensor, activation: Callable[[Tensor], Tensor]) -> Step:
    """H' = activation(W x + U h + b), which is the candidate too if the activation is tanh."""

    def step(projected: Tensor, state: Parts) -> tuple[Parts, Gates]:
        h = activation(projected + F.linear(state[0], weight))
        return (h,), {CANDIDATE: h} if activation is torch.tanh else {}

    return step


def lstm(weight: Tensor) -> Step:
    """torch.nn.LSTM: c' = f * c + i * g, h' = o * tanh(c'); gates are stacked i, f, g, o."""

    def step(projected: Tensor, state: Parts) -> tuple[Parts, Gates]:
        h, c = state
        i, f, g, o = (projected + F.linear(h, weight)).chunk(4, -1)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        c = f * c + i * g
        return (o * c.tanh(), c), {KEEP: f, CANDIDATE: g, "input": i, "output": o}

    return step


def gru_after(weight: Tensor, bias: Tensor | None) -> Step:
    """torch.nn.GRU: h' = (1 - z) * tanh(W x + b + r * (U h + b')) + z * h; gates are stacked r, z, candidate."""

    def step(projected: Tensor, state: Parts) -> tuple[Parts, Gates]:
        (h,) = state
        H = h.shape[-1]
        recurrent = F.linear(h, weight, bias)
        r, z = (projected[:, : 2 * H] + recurrent[:, : 2 * H]).sigmoid().chunk(2, -1)
        candidate = (projected[:, 2 * H :] + r * recurrent[:, 2 * H :]).tanh()
        return (candidate + z * (h - candidate),), {KEEP: z, CANDIDATE: candidate, "reset": r}

    return step


def gru_before(weight: Tensor) -> Step:
    """See GRUCell."""

    def step(projected: Tensor, state: Parts) -> tuple[Parts, Gates]:
        (h,) = state
        H = h.shape[-1]
        z, r = (projected[:, : 2 * H] + F.linear(h, weight[: 2 * H])).sigmoid().chunk(2, -1)
        candidate = (projected[:, 2 * H :] + F.linear(r * h, weight[2 * H :])).tanh()
        return (h + z * (candidate - h),), {KEEP: 1 - z, CANDIDATE: candidate, "reset": r}

    return step


def gru_candidate(weight: Tensor) -> Step:
    """See CandidateGRUCell."""

    def step(projected: Tensor, state: Parts) -> tuple[Parts, Gates]:
        h, before = state
        H = h.shape[-1]
        z = (projected[:, :H] + F.linear(h, weight[:H])).sigmoid()
        candidate = (projected[:, H:] + F.linear(before, weight[H:])).tanh()
        return (h + z * (candidate - h), candidate), {KEEP: 1 - z, CANDIDATE: candidate}

    return step


def gru_coupled(weight: Tensor) -> Step:
    """See CoupledGRUCell."""

    def step(projected: Tensor, state: Parts) -> tuple[Parts, Gates]:
        (h,) = state
        H = h.shape[-1]
        recurrent = F.linear(h, weight)
        z, r = (projected[:, : 2 * H] + recurrent[:, : 2 * H]).sigmoid().chunk(2, -1)
        candidate = (projected[:, 2 * H :] + (1 - z) * recurrent[:, 2 * H :]).tanh()
        return ((1 - z) * r * candidate + z * h,), {KEEP: z, CANDIDATE: candidate, "reset": r}

    return step
