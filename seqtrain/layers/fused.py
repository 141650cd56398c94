"""Which layers the fused kernels of the CPU serve, and how they are run by them.

The layers stay torch's own (or a cell's), with their parameters: only who computes changes, so that a checkpoint moves
freely between kernels and devices. ``kernel`` is ``torch`` for torch's own operators, ``auto`` for the fused kernels
where they can be used and are faster, or ``fused`` for them wherever they can be used.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqtrain.kernels.binding import Cell, Weights
from seqtrain.kernels.compile import library
from seqtrain.kernels.machine import bf16_lstm
from seqtrain.kernels.pooling import UNIT as POOLING
from seqtrain.kernels.recurrence import recurrence
from seqtrain.layers.cells import CellLayer, GRUCell

State = Any
"""As the layer itself takes it: h (1, B, H), (h, c) of an LSTM, or (B, H) of a cell."""

MIN_FUSED_STEPS = 32
"""Below so many, of all rows together, torch's layer is faster: the kernels lay out the weights anew at each call."""


def kernel_cell(layer: nn.Module) -> Cell | None:
    """What the kernels call the recurrence of a layer; None where they have none for it."""
    if type(layer) is nn.GRU:
        return Cell.gru_after
    if type(layer) is nn.LSTM and layer.proj_size == 0:
        return Cell.lstm
    if type(layer) is nn.RNN:
        return Cell.rnn_tanh if layer.nonlinearity == "tanh" else Cell.rnn_relu
    if isinstance(layer, CellLayer) and type(layer.cell) is GRUCell:
        return Cell.gru_before
    return None


def runs_in_fp32(x: Tensor) -> bool:
    """Whether numbers are of the kernels' device and type, or autocast would choose their type."""
    return x.device.type == "cpu" and (x.dtype is torch.float32 or torch.is_autocast_enabled("cpu"))


def can_fuse(layer: nn.Module, x: Tensor, kernel: str) -> bool:
    """Whether the kernels run a layer over these inputs (B, T, D).

    Under bf16 autocast they compute in fp32, which is faster than torch's GRU and RNN in bf16, but not than its LSTM,
    where this CPU has one.
    """
    cell = kernel_cell(layer)
    if kernel == "torch" or cell is None or not runs_in_fp32(x):
        return False
    few = x.shape[0] * x.shape[1] < MIN_FUSED_STEPS
    slower = cell is Cell.lstm and torch.is_autocast_enabled("cpu") and bf16_lstm()
    return (kernel == "fused" or not (few or slower)) and library(cell) is not None


def can_fuse_pooling(states: Tensor, kernel: str) -> bool:
    """Whether the kernel pools these states; under bf16 autocast torch's products are faster."""
    usable = kernel != "torch" and runs_in_fp32(states) and not torch.is_autocast_enabled("cpu")
    return usable and library(POOLING) is not None


class Fusible(nn.Module):
    """A module that a compiled kernel can compute."""

    def kernels(self) -> Iterable[str]:
        """The kernels that it uses on the CPU, by the names of their units."""
        raise NotImplementedError


def kernels_of(model: nn.Module) -> set[str]:
    """The kernels that a model uses on the CPU."""
    return {name for module in model.modules() if isinstance(module, Fusible) for name in module.kernels()}


def cell_kernels(layer: nn.Module, kernel: str) -> list[str]:
    """The kernel of a recurrent layer, if it uses one."""
    cell = kernel_cell(layer)
    return [] if kernel == "torch" or cell is None else [cell]


def kernel_weights(layer: nn.Module, named: Mapping[str, Tensor]) -> Weights:
    """The weights as the kernels take them, of a layer's parameters by name."""
    if isinstance(layer, CellLayer):
        return Weights(named["cell.weight_ih"], named["cell.weight_hh"], named["cell.bias"], None)
    return Weights(
        named["weight_ih_l0"], named["weight_hh_l0"], named.get("bias_ih_l0"), named.get("bias_hh_l0")
    )  # fmt: skip


def run_fused(
    layers: Sequence[nn.Module],
    parameters: Sequence[Mapping[str, Tensor]],
    x: Tensor,
    lengths: Tensor | None,
    state: State = None,
) -> tuple[Tensor, State]:
    """Run a layer in one direction, or two layers of one kind, the second from each row's last real step.

    Args:
        layers: the layer of each direction.
        parameters: of each layer, by name.
        x: inputs, (B, T, D).
        lengths: real steps of each row, (B,); None for T each.
        state: before the first step; None is zero.

    Returns:
        Outputs in fp32, those of the directions joined, 0 on padding; and the state after each row's last real step.
    """
    cell = kernel_cell(layers[0])
    assert cell is not None
    weights = [kernel_weights(layer, named) for layer, named in zip(layers, parameters, strict=True)]
    flat = isinstance(layers[0], CellLayer)
    if state is not None:
        state = torch.cat(state, dim=-1) if cell is Cell.lstm else state[None] if flat else state
        state = state.float()
    outputs, after = recurrence(cell, x.float(), weights, state, lengths)
    return outputs, after.chunk(2, dim=-1) if cell is Cell.lstm else after[0] if flat else after
