"""Which layers can run on the fused CPU kernels, and how to run them.

A layer stays a torch layer (or a ``CellLayer``) with its own parameters. Only the implementation changes, so
checkpoints work with every kernel and device. The option ``kernel`` is ``torch`` (torch's operators), ``fused`` (the
fused kernels wherever they can run) or ``auto`` (the fused kernels where they can run and are faster).

Shapes: B batch, T time, D features, H hidden.
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
"""A state as the layer takes it: h (1, B, H), (h, c) for an LSTM, or (B, H) for a ``CellLayer``."""

MIN_FUSED_STEPS = 32
"""Below this number of steps (rows * time) torch's layer is faster, since the kernels repack the weights at each call.
"""


def kernel_cell(layer: nn.Module) -> Cell | None:
    """The kernel for a layer's recurrence; None if there is none."""
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
    """Whether the kernels can take a tensor: on the CPU, and in fp32 or under autocast."""
    return x.device.type == "cpu" and (x.dtype is torch.float32 or torch.is_autocast_enabled("cpu"))


def can_fuse(layer: nn.Module, x: Tensor, kernel: str) -> bool:
    """Whether the fused kernels run a layer over inputs x (B, T, D).

    Under bf16 autocast the kernels compute in fp32. That is faster than torch's GRU and RNN in bf16, but slower than
    its LSTM on CPUs that have a bf16 LSTM.
    """
    cell = kernel_cell(layer)
    if kernel == "torch" or cell is None or not runs_in_fp32(x):
        return False
    few = x.shape[0] * x.shape[1] < MIN_FUSED_STEPS
    slower = cell is Cell.lstm and torch.is_autocast_enabled("cpu") and bf16_lstm()
    return (kernel == "fused" or not (few or slower)) and library(cell) is not None


def can_fuse_pooling(states: Tensor, kernel: str) -> bool:
    """Whether the fused kernel pools these states; under bf16 autocast torch's products are faster."""
    usable = kernel != "torch" and runs_in_fp32(states) and not torch.is_autocast_enabled("cpu")
    return usable and library(POOLING) is not None


class Fusible(nn.Module):
    """Base class of modules that a fused kernel can compute."""

    def kernels(self) -> Iterable[str]:
        """Names of the kernels that the module uses on the CPU."""
        raise NotImplementedError


def kernels_of(model: nn.Module) -> set[str]:
    """Names of the kernels that a model uses on the CPU."""
    return {name for module in model.modules() if isinstance(module, Fusible) for name in module.kernels()}


def cell_kernels(layer: nn.Module, kernel: str) -> list[str]:
    """Name of the kernel that a recurrent layer uses, as a list; empty if it uses none."""
    cell = kernel_cell(layer)
    return [] if kernel == "torch" or cell is None else [cell]


def kernel_weights(layer: nn.Module, named: Mapping[str, Tensor]) -> Weights:
    """Parameters of a layer in the form that the kernels take.

    Args:
        layer: the layer.
        named: its parameters by name.
    """
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
    """Run a recurrent layer with the fused kernels, in one direction or in both.

    Args:
        layers: the forward layer and, for both directions, the backward layer, which starts at each row's last valid
            step.
        parameters: parameters of each layer, by name.
        x: inputs, (B, T, D).
        lengths: real steps of each row, (B,); None means T.
        state: state before the first step; None means zeros.

    Returns:
        Outputs in fp32, (B, T, H) for each direction, concatenated on the last axis, 0 on padding; and the state after
        each row's last real step.
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
