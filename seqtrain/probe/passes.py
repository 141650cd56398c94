"""A pass of a model over the probe batch, forward and backward, without a trace in the model.

Shapes: B batch, T time, D features, H hidden.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seqtrain.data.base import Batch
from seqtrain.layers.attention import recorded_weights
from seqtrain.probe.recurrences import Direction, recorded_recurrences
from seqtrain.tasks.base import Task


@dataclass
class Pass:
    """What was recorded in a pass, and the gradients of the loss of the last prediction of each row."""

    directions: list[Direction]
    """The recurrent layers, in the order in which they ran."""
    direct: list[Tensor]
    """For each direction, the gradient of what it computed, past its own later steps, (B, T, H), in its order."""
    after: list[tuple[Tensor, ...]]
    """For each direction, the gradient of each part of the state it returned, (B, H); empty without a state."""
    attention: dict[str, list[Tensor]]
    """Name of each attention layer -> the weights of each call; (B, N, T, S) with N heads, else (B, T, S) or (B, S)."""
    inputs: Tensor | None
    """Gradient of the embedded inputs, (B, T, D); None if the model has no ``embedding``."""


def probe_pass(task: Task, model: nn.Module, head: nn.Module, batch: Batch) -> Pass:
    """Run a model over a batch and differentiate the loss.

    Model and head are used as they are; put them in evaluation mode first, so that no random number is drawn. Their
    gradients are not touched. Autocast is off: a probe computes in the number format of the weights.

    Args:
        task: defines the loss; see ``Task.last_loss``.
        model: maps inputs to features.
        head: maps features to outputs.
        batch: on the device of both.
    """
    with ExitStack() as stack:
        stack.enter_context(differentiable(batch.inputs.device))
        directions = stack.enter_context(recorded_recurrences(model))
        attention = stack.enter_context(recorded_weights(model, by_head=True))
        embedded = stack.enter_context(recorded_embedding(model))
        features, _ = task.features(model, head, batch, None)
        loss = task.last_loss(head, features, batch)
        wanted = embedded + [tensor for d in directions for tensor in (d.outputs, *d.after)]
        found = gradients(loss, wanted)
        inputs = found.pop(0) if embedded else None
        direct: list[Tensor] = []
        after: list[tuple[Tensor, ...]] = []
        for direction in directions:
            direct.append(direction.in_order(found.pop(0)[..., direction.columns]))
            after.append(tuple(found.pop(0).reshape(-1, direction.unit.hidden_size) for _ in direction.after))
    return Pass(directions, direct, after, attention, inputs)


def gradients(loss: Tensor, tensors: list[Tensor]) -> list[Tensor]:
    """Gradients of a loss with respect to tensors; zeros where it does not depend on one."""
    needed = [tensor for tensor in tensors if tensor.requires_grad]
    found = iter(torch.autograd.grad(loss, needed, allow_unused=True) if needed else [])
    results = [next(found) if tensor.requires_grad else None for tensor in tensors]
    return [torch.zeros_like(t) if g is None else g.detach() for t, g in zip(tensors, results, strict=True)]


@contextmanager
def differentiable(device: torch.device) -> Iterator[None]:
    """Context for gradients in evaluation mode: cuDNN gives none there. Autocast is off."""
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False), torch.autocast(device.type, enabled=False):
        yield


@contextmanager
def unfrozen(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Context in which parameters require gradients, whatever is frozen at the moment."""
    frozen = [parameter for parameter in parameters if not parameter.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(True)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)


@contextmanager
def recorded_embedding(model: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the embedded inputs of the first call while the context is open; they require gradients."""
    embedded: list[Tensor] = []

    def keep(module: nn.Module, inputs: Any, output: Tensor) -> Tensor | None:
        if embedded:
            return None
        embedded.append(output.detach().requires_grad_())  # also if the embedding itself is not trained
        return embedded[0]

    embedding = getattr(model, "embedding", None)
    if not isinstance(embedding, nn.Module):
        yield embedded
        return
    handle = embedding.register_forward_hook(keep)
    try:
        yield embedded
    finally:
        handle.remove()
