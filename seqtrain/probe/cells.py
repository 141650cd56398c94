"""One step of every recurrent cell with its gates and its derivative, which fused kernels and torch's layers hide.

The derivatives are written out: autograd would take ten times as long over many small steps.

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
Pull = Callable[[Parts], Parts]  # gradients by the state after a step, (..., B, H) each -> those by the state before
Step = Callable[[Tensor, Parts], tuple[Parts, Gates, Pull]]  # (projected inputs, state) -> (state, gates, derivative)

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

    def step(projected: Tensor, state: Parts) -> tuple[Parts, Gates, Pull]:
        h = activation(projected + F.linear(state[0], weight))
        squashes = activation is torch.tanh
        steep = 1 - h.square() if squashes else (h > 0).to(h.dtype)
        return (h,), {CANDIDATE: h} if squashes else {}, lambda after: ((after[0] * steep) @ weight,)

    return step


def lstm(weight: Tensor) -> Step:
    """torch.nn.LSTM: c' = f * c + i * g, h' = o * tanh(c'); gates are stacked i, f, g, o."""

    def step(projected: Tensor, state: Parts) -> tuple[Parts, Gates, Pull]:
        h, before = state
        i, f, g, o = (projected + F.linear(h, weight)).chunk(4, -1)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        c = f * before + i * g
        shown = c.tanh()

        def pull(after: Parts) -> Parts:
            by_c = after[1] + after[0] * o * (1 - shown.square())
            by_gates = by_c * g * slope(i), by_c * before * slope(f), by_c * i * (1 - g.square())
            return torch.cat([*by_gates, after[0] * shown * slope(o)], -1) @ weight, by_c * f

        return (o * shown, c), {KEEP: f, CANDIDATE: g, "input": i, "output": o}, pull

    return step


def gru_after(weight: Tensor, bias: Tensor | None) -> Step:
    """torch.nn.GRU: h' = (1 - z) * tanh(W x + b + r * (U h + b')) + z * h; gates are stacked r, z, candidate."""

    def step(projected: Tensor, state: Parts) -> tuple[Parts, Gates, Pull]:
        (h,) = state
        H = h.shape[-1]
        recurrent = F.linear(h, weight, bias)
        r, z = (projected[:, : 2 * H] + recurrent[:, : 2 * H]).sigmoid().chunk(2, -1)
        product = recurrent[:, 2 * H :]
        candidate = (projected[:, 2 * H :] + r * product).tanh()

        def pull(after: Parts) -> Parts:
            by_candidate = after[0] * (1 - z) * (1 - candidate.square())
            by_gates = by_candidate * product * slope(r), after[0] * (h - candidate) * slope(z)
            return (torch.cat([*by_gates, by_candidate * r], -1) @ weight + after[0] * z,)

        return (candidate + z * (h - candidate),), {KEEP: z, CANDIDATE: candidate, "reset": r}, pull

    return step


def gru_before(weight: Tensor) -> Step:
    """See GRUCell."""

    def step(projected: Tensor, state: Parts) -> tuple[Parts, Gates, Pull]:
        (h,) = state
        H = h.shape[-1]
        z, r = (projected[:, : 2 * H] + F.linear(h, weight[: 2 * H])).sigmoid().chunk(2, -1)
        candidate = (projected[:, 2 * H :] + F.linear(r * h, weight[2 * H :])).tanh()

        def pull(after: Parts) -> Parts:
            by_reset = (after[0] * z * (1 - candidate.square())) @ weight[2 * H :]  # by r * h
            by_gates = after[0] * (candidate - h) * slope(z), by_reset * h * slope(r)
            return (torch.cat(by_gates, -1) @ weight[: 2 * H] + by_reset * r + after[0] * (1 - z),)

        return (h + z * (candidate - h),), {KEEP: 1 - z, CANDIDATE: candidate, "reset": r}, pull

    return step


def gru_candidate(weight: Tensor) -> Step:
    """See CandidateGRUCell."""

    def step(projected: Tensor, state: Parts) -> tuple[Parts, Gates, Pull]:
        h, before = state
        H = h.shape[-1]
        z = (projected[:, :H] + F.linear(h, weight[:H])).sigmoid()
        candidate = (projected[:, H:] + F.linear(before, weight[H:])).tanh()

        def pull(after: Parts) -> Parts:
            by_candidate = (after[1] + after[0] * z) * (1 - candidate.square())
            by_update = after[0] * (candidate - h) * slope(z)
            return by_update @ weight[:H] + after[0] * (1 - z), by_candidate @ weight[H:]

        return (h + z * (candidate - h), candidate), {KEEP: 1 - z, CANDIDATE: candidate}, pull

    return step


def gru_coupled(weight: Tensor) -> Step:
    """See CoupledGRUCell."""

    def step(projected: Tensor, state: Parts) -> tuple[Parts, Gates, Pull]:
        (h,) = state
        H = h.shape[-1]
        recurrent = F.linear(h, weight)
        z, r = (projected[:, : 2 * H] + recurrent[:, : 2 * H]).sigmoid().chunk(2, -1)
        product = recurrent[:, 2 * H :]
        candidate = (projected[:, 2 * H :] + (1 - z) * product).tanh()

        def pull(after: Parts) -> Parts:
            by_candidate = after[0] * (1 - z) * r * (1 - candidate.square())
            by_update = (after[0] * (h - r * candidate) - by_candidate * product) * slope(z)
            by_gates = by_update, after[0] * (1 - z) * candidate * slope(r), by_candidate * (1 - z)
            return (torch.cat(by_gates, -1) @ weight + after[0] * z,)

        return ((1 - z) * r * candidate + z * h,), {KEEP: z, CANDIDATE: candidate, "reset": r}, pull

    return step


def slope(gate: Tensor) -> Tensor:
    """Derivative of a sigmoid, from its value."""
    return gate * (1 - gate)
