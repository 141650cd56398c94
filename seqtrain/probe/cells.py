"""One step of every recurrent cell with its gates and its derivative, which fused kernels and torch's layers hide.

The derivatives are written out: autograd would take many times as long over many small steps. A step gives the factors
of its derivative, which are computed for all steps at once where that is possible; ``pull`` applies them.

Shapes: B batch, T time, D features, H hidden, G gates. Steps work on (B, ...) and on (B, T, ...).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqtrain.layers.cells import CandidateGRUCell, CellLayer, CoupledGRUCell, GRUCell

Parts = tuple[Tensor, ...]  # a state: (h,), (h, c) of an LSTM, (h, candidate) of CandidateGRUCell; (..., H) each
Gates = dict[str, Tensor]  # name -> values, (..., H): ``keep``, ``candidate``, and the other gates
Factors = tuple[Tensor, ...]  # of the derivative of a step, (..., H) or (..., G, H) each
Step = Callable[[Tensor, Parts], tuple[Parts, Gates, Factors]]  # (projected inputs, state) -> (state, ...)
Pull = Callable[[Parts, Factors], Parts]  # gradients by the state after a step -> those by the state before it

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
    pull: Pull
    """The derivative of a step."""
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
        cells: dict[type, Callable[[Tensor], tuple[Step, Pull]]] = {
            GRUCell: gru_before,
            CandidateGRUCell: gru_candidate,
            CoupledGRUCell: gru_coupled,
        }
        if type(cell) not in cells:
            raise TypeError(f"no steps are known of {type(cell).__name__}")
        parts = 2 if type(cell) is CandidateGRUCell else 1
        return Unit(cell.weight_ih, cell.weight_hh, cell.bias, parts, *cells[type(cell)](cell.weight_hh), -1)
    if not isinstance(layer, nn.RNN | nn.LSTM | nn.GRU):
        raise TypeError(f"no steps are known of {type(layer).__name__}")
    named = {name: cast(Tensor, parameter) for name, parameter in layer.named_parameters()}
    weight, biases = named["weight_hh_l0"], (named.get("bias_ih_l0"), named.get("bias_hh_l0"))
    if isinstance(layer, nn.GRU):  # its second bias stands inside the product with the reset gate
        return Unit(named["weight_ih_l0"], weight, biases[0], 1, *gru_after(weight, biases[1]), -1)
    bias = biases[0] if biases[1] is None or biases[0] is None else biases[0] + biases[1]
    if isinstance(layer, nn.LSTM):
        return Unit(named["weight_ih_l0"], weight, bias, 2, *lstm(weight), 2)
    return Unit(named["weight_ih_l0"], weight, bias, 1, *rnn(weight, layer.nonlinearity == "tanh"), 0)


def rnn(weight: Tensor, squashes: bool) -> tuple[Step, Pull]:
    """H' = tanh(W x + U h + b), which is the candidate too; or the same with relu."""

    def step(projected: Tensor, state: Parts) -> tuple[Parts, Gates, Factors]:
        total = projected + F.linear(state[0], weight)
        h = total.tanh() if squashes else total.relu()
        return (h,), {CANDIDATE: h} if squashes else {}, (1 - h.square() if squashes else (h > 0).to(h.dtype),)

    def pull(after: Parts, factors: Factors) -> Parts:
        return ((after[0] * factors[0]) @ weight,)

    return step, pull


def lstm(weight: Tensor) -> tuple[Step, Pull]:
    """torch.nn.LSTM: c' = f * c + i * g, h' = o * tanh(c'); gates are stacked i, f, g, o."""

    def step(projected: Tensor, state: Parts) -> tuple[Parts, Gates, Factors]:
        h, before = state
        i, f, g, o = (projected + F.linear(h, weight)).chunk(4, -1)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        c = f * before + i * g
        shown = c.tanh()
        by_c = torch.stack([g * slope(i), before * slope(f), i * (1 - g.square())], -2)
        factors = o * (1 - shown.square()), by_c, shown * slope(o), f
        return (o * shown, c), {KEEP: f, CANDIDATE: g, "input": i, "output": o}, factors

    def pull(after: Parts, factors: Factors) -> Parts:
        shown, by_c, output, f = factors
        c = after[1] + after[0] * shown
        return torch.cat([stacked(c, by_c), after[0] * output], -1) @ weight, c * f

    return step, pull


def gru_after(weight: Tensor, bias: Tensor | None) -> tuple[Step, Pull]:
    """torch.nn.GRU: h' = (1 - z) * tanh(W x + b + r * (U h + b')) + z * h; gates are stacked r, z, candidate."""

    def step(projected: Tensor, state: Parts) -> tuple[Parts, Gates, Factors]:
        (h,) = state
        H = h.shape[-1]
        recurrent = F.linear(h, weight, bias)
        r, z = (projected[..., : 2 * H] + recurrent[..., : 2 * H]).sigmoid().chunk(2, -1)
        product = recurrent[..., 2 * H :]
        candidate = (projected[..., 2 * H :] + r * product).tanh()
        inner = (1 - z) * (1 - candidate.square())
        factors = torch.stack([inner * product * slope(r), (h - candidate) * slope(z), inner * r], -2), z
        return (candidate + z * (h - candidate),), {KEEP: z, CANDIDATE: candidate, "reset": r}, factors

    return step, one_product(weight)


def gru_before(weight: Tensor) -> tuple[Step, Pull]:
    """See GRUCell."""
    H = weight.shape[-1]

    def step(projected: Tensor, state: Parts) -> tuple[Parts, Gates, Factors]:
        (h,) = state
        z, r = (projected[..., : 2 * H] + F.linear(h, weight[: 2 * H])).sigmoid().chunk(2, -1)
        candidate = (projected[..., 2 * H :] + F.linear(r * h, weight[2 * H :])).tanh()
        factors = z * (1 - candidate.square()), (candidate - h) * slope(z), h * slope(r), r, 1 - z
        return (h + z * (candidate - h),), {KEEP: 1 - z, CANDIDATE: candidate, "reset": r}, factors

    def pull(after: Parts, factors: Factors) -> Parts:
        inner, update, reset, r, keep = factors
        by_reset = (after[0] * inner) @ weight[2 * H :]  # by r * h
        by_gates = torch.cat([after[0] * update, by_reset * reset], -1)
        return (by_gates @ weight[: 2 * H] + by_reset * r + after[0] * keep,)

    return step, pull


def gru_candidate(weight: Tensor) -> tuple[Step, Pull]:
    """See CandidateGRUCell."""
    H = weight.shape[-1]

    def step(projected: Tensor, state: Parts) -> tuple[Parts, Gates, Factors]:
        h, before = state
        z = (projected[..., :H] + F.linear(h, weight[:H])).sigmoid()
        candidate = (projected[..., H:] + F.linear(before, weight[H:])).tanh()
        factors = z, 1 - candidate.square(), (candidate - h) * slope(z)
        return (h + z * (candidate - h), candidate), {KEEP: 1 - z, CANDIDATE: candidate}, factors

    def pull(after: Parts, factors: Factors) -> Parts:
        z, inner, update = factors
        by_candidate = (after[1] + after[0] * z) * inner
        return (after[0] * update) @ weight[:H] + after[0] * (1 - z), by_candidate @ weight[H:]

    return step, pull


def gru_coupled(weight: Tensor) -> tuple[Step, Pull]:
    """See CoupledGRUCell."""

    def step(projected: Tensor, state: Parts) -> tuple[Parts, Gates, Factors]:
        (h,) = state
        H = h.shape[-1]
        recurrent = F.linear(h, weight)
        z, r = (projected[..., : 2 * H] + recurrent[..., : 2 * H]).sigmoid().chunk(2, -1)
        product = recurrent[..., 2 * H :]
        candidate = (projected[..., 2 * H :] + (1 - z) * product).tanh()
        inner = (1 - z) * r * (1 - candidate.square())
        by_update = (h - r * candidate - inner * product) * slope(z)
        factors = torch.stack([by_update, (1 - z) * candidate * slope(r), inner * (1 - z)], -2), z
        return ((1 - z) * r * candidate + z * h,), {KEEP: z, CANDIDATE: candidate, "reset": r}, factors

    return step, one_product(weight)


def one_product(weight: Tensor) -> Pull:
    """The derivative of a cell whose state h enters by U h, with factors (..., G, H) of G products, and beside it."""

    def pull(after: Parts, factors: Factors) -> Parts:
        products, beside = factors
        return (stacked(after[0], products) @ weight + after[0] * beside,)

    return pull


def stacked(gradient: Tensor, factors: Tensor) -> Tensor:
    """A gradient (..., H) times each of the factors (..., G, H), side by side, (..., G * H)."""
    return (gradient[..., None, :] * factors).flatten(-2)


def slope(gate: Tensor) -> Tensor:
    """Derivative of a sigmoid, from its value."""
    return gate * (1 - gate)
