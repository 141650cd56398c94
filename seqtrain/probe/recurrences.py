"""The recurrent layers of a model, recomputed step by step from what they read in a pass over a batch.

Shapes: B batch, T time, D features, H hidden.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from seqtrain.layers.masks import real_steps
from seqtrain.layers.memory import map_tensors, zero_rows
from seqtrain.layers.recurrence import RecurrentLayer, reversal_index
from seqtrain.layers.restarts import MoveSteps, Restarts
from seqtrain.probe.cells import Factors, Gates, Parts, Unit, unit_of


@dataclass
class Direction:
    """One direction of a recurrent layer, and what it read. Steps are in the order in which it runs over them."""

    name: str
    """Such as ``encoder1``, or ``encoder1_backward``."""
    unit: Unit
    inputs: Tensor
    """(B, T, D), detached, in fp32 or fp64."""
    lengths: Tensor
    """Real steps of each row, (B,)."""
    state: Parts
    """State before the first step."""
    restarts: Tensor | None
    """True where a row restarts from a zero state, (B, T); None: nowhere."""
    outputs: Tensor
    """What the layer computed, (B, T, H for each direction), in the order of the row; part of the model's graph."""
    after: Parts
    """The state that it returned, (B, H) or (1, B, H), part of the model's graph; empty if it returns none."""
    columns: slice
    """Its columns of ``outputs``."""

    @property
    def real(self) -> Tensor:
        """True at real steps, (B, T)."""
        return real_steps(self.lengths, self.inputs.shape[1])

    @property
    def own(self) -> Tensor:
        """What this direction computed, (B, T, H), in its order, detached."""
        return self.in_order(self.outputs[..., self.columns].detach())

    def narrowed(self, rows: Tensor) -> "Direction":
        """The same with some rows only, by number, cut at the end of the longest, and without the state after them."""
        lengths = self.lengths[rows]
        T = int(lengths.max())
        return replace(
            self,
            inputs=self.inputs[rows, :T],
            lengths=lengths,
            state=tuple(part[rows] for part in self.state),
            restarts=None if self.restarts is None else self.restarts[rows, :T],
            outputs=self.outputs[rows, :T],
            after=(),
        )

    def in_order(self, steps: Tensor) -> Tensor:
        """Steps (B, T, H) of a row in the order in which this direction runs over them."""
        if not self.name.endswith(BACKWARD):
            return steps
        reverse = reversal_index(self.lengths, steps.shape[1])
        return MoveSteps.apply(steps, reverse, reverse)


@dataclass(frozen=True)
class Unrolled:
    """The steps of a direction."""

    before: Parts
    """The states before the steps, (B, T, H) each."""
    states: Parts
    """The states after them."""
    gates: Gates
    """Values of each gate, (B, T, H)."""
    factors: Factors
    """Factors of the derivatives of the steps, (B, T, ...) each."""


BACKWARD = "_backward"


@contextmanager
def recorded_recurrences(model: nn.Module) -> Iterator[list[Direction]]:
    """Collect what the recurrent layers of a model read at their first call while the context is open.

    The results of the layers are made to require gradients, also if all weights below are frozen.
    """
    directions: list[Direction] = []
    names = layer_names(model)
    done: set[str] = set()

    def keep(module: nn.Module, args: Any, kwargs: Any, result: Any) -> Any:
        name = names[module]
        if name in done:
            return None
        done.add(name)
        assert isinstance(module, RecurrentLayer)
        outputs, after = result
        if torch.is_grad_enabled() and not outputs.requires_grad:
            outputs = outputs.detach().requires_grad_()
        # A cell's last state is a part of its outputs; the gradient of an alias is of its own use only.
        after = map_tensors(after, lambda tensor: tensor.view_as(tensor))
        directions.extend(directions_of(name, module, outputs, after, *args, **kwargs))
        return outputs, after

    handles = [layer.register_forward_hook(keep, with_kwargs=True) for layer in names]
    try:
        yield directions
    finally:
        for handle in handles:
            handle.remove()


def layer_names(model: nn.Module) -> dict[nn.Module, str]:
    """The recurrent layers of a model that can be recomputed, and their names, such as ``encoder1``."""
    names: dict[nn.Module, str] = {}
    for path, module in model.named_modules():
        if isinstance(module, RecurrentLayer):
            try:
                unit_of(module.forward_layer)
            except TypeError:
                continue
            part, _, number = path.partition(".layers.")
            names[module] = f"{part.replace('.', '_')}{int(number) + 1}" if number.isdigit() else path.replace(".", "_")
    return names


def directions_of(
    name: str,
    layer: RecurrentLayer,
    outputs: Tensor,
    after: Any,
    x: Tensor,
    lengths: Tensor,
    state: Any = None,
    restarts: Restarts | None = None,
) -> Iterator[Direction]:
    """The directions of a layer, from its call and its results."""
    dtype = layer_dtype(layer)
    x = x.detach().to(dtype)
    H = outputs.shape[-1] // (1 if layer.backward_layer is None else 2)
    unit = unit_of(layer.forward_layer)
    before = tuple(part.detach().to(dtype).reshape(-1, H) for part in parts_of(state)) or unit.zeros(len(x))
    mask = None if restarts is None or not restarts.steps else restarts.mask
    yield Direction(name, unit, x, lengths, before, mask, outputs, parts_of(after), slice(0, H))
    if layer.backward_layer is not None:
        reverse = reversal_index(lengths, x.shape[1])
        unit = unit_of(layer.backward_layer)
        read = MoveSteps.apply(x, reverse, reverse), lengths, unit.zeros(len(x)), None
        yield Direction(name + BACKWARD, unit, *read, outputs, (), slice(H, 2 * H))


def layer_dtype(layer: nn.Module) -> torch.dtype:
    """The number format of a layer's weights."""
    return next(layer.parameters()).dtype


def parts_of(state: Any) -> Parts:
    """The tensors of a state as a layer takes it; none of None."""
    if state is None:
        return ()
    return tuple(state) if isinstance(state, tuple | list) else (state,)


@torch.no_grad()
def unroll(direction: Direction) -> Unrolled:
    """Recompute the steps of a direction: all at once from its outputs, or one by one if a state is more than those."""
    unit, state, restarts = direction.unit, direction.state, direction.restarts
    projected = unit.project(direction.inputs)
    if unit.parts == 1:
        h = torch.cat([state[0][:, None], direction.own.to(projected.dtype)[:, :-1]], 1)
        if restarts is not None:
            h = h * ~restarts[..., None]
        return Unrolled((h,), *unit.step(projected, (h,)))
    steps: list[tuple[Parts, Parts, Parts, Factors]] = []
    for t, inputs in enumerate(projected.unbind(1)):
        if restarts is not None:
            state = tuple(zero_rows(part, restarts[:, t]) for part in state)
        after, gates, factors = unit.step(inputs, state)
        steps.append((state, after, tuple(gates.values()), factors))
        state = after
    before, after, values, factors = (
        tuple(torch.stack(own, 1) for own in zip(*kind, strict=True)) for kind in zip(*steps, strict=True)
    )
    return Unrolled(before, after, dict(zip(gates, values, strict=True)), factors)
