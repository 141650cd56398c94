"""The health panel: all measures of a model on the probe batch, by tag.

The batch has ``ROWS`` rows of validation, evenly spaced by row number (see ``Dataset.examples``), and as many of train.

Shapes: B batch, S steps of a memory, V vocabulary.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seqtrain.data.base import Batch, Dataset
from seqtrain.layers.decoding import DecoderBlock
from seqtrain.probe import attention, gates, matrices, memory
from seqtrain.probe.cells import KEEP
from seqtrain.probe.optimisation import gradient_noise_scale
from seqtrain.probe.passes import Pass, differentiable, probe_pass
from seqtrain.probe.recurrences import Direction, recorded_recurrences, unroll
from seqtrain.tasks.base import Task

ROWS = 16
"""Rows of the probe batch of each split, if it has as many."""

PARTS = 4
"""Equal parts of the rows of train between which gradients are compared, at most."""

RECOMPUTED = 8
"""Rows whose recurrent steps are computed again, which takes most of the time of a panel."""

MOST_NUMBERS = 2**21
"""Numbers that the states of a layer may hold when it is recomputed (8 MB); of more, fewer rows are recomputed."""


@dataclass(frozen=True)
class Panel:
    """The measures of a model."""

    values: dict[str, float]
    """By tag (seqtrain.probe.tags), without those that could not be measured; all are finite."""
    by_lag: memory.Curve | None
    """Norm of the gradient with respect to the embedded inputs at each lag; None if the model embeds none."""


@dataclass(frozen=True)
class Rows:
    """The rows that a panel is measured on."""

    validation: Batch
    train: Batch
    punctuation: Tensor | None
    """True for tokens without a letter or a digit, (V,); None if inputs are not tokens."""

    @classmethod
    def of(cls, data: Dataset, device: torch.device) -> "Rows":
        """The rows of a dataset, on a device."""
        validation, train = (data.examples(split, ROWS)[0].to(device) for split in ("validation", "train"))
        marks = [not any(letter.isalnum() for letter in name) for name in data.token_names()]
        return cls(validation, train, torch.tensor(marks, device=device) if marks else None)


def measure(task: Task, model: nn.Module, head: nn.Module, rows: Rows) -> Panel:
    """All measures of a model, which is put in evaluation mode. No random number is drawn, no gradient is kept.

    Args:
        task: defines the loss.
        model: maps inputs to features.
        head: maps features to outputs.
        rows: what to measure on, on the device of both.
    """
    model.eval()
    head.eval()
    with differentiable(rows.validation.inputs.device):
        batch = rows.validation
        found = probe_pass(task, model, head, batch)
        values = {"memory/row_length": float(batch.lengths.median())}
        curve = None
        if found.inputs is not None:
            norms = found.inputs.norm(dim=-1)
            curve = memory.by_lag(norms, own_lengths(batch, norms))
            values["memory/inputs"] = float(memory.effective_memory(curve))
        norms_on_train = state_norms(task, model, head, rows.train)
        for direction, direct, after in zip(found.directions, found.direct, found.after, strict=True):
            if direction.inputs.shape[1] == 1:
                continue  # a decoder that runs step by step: its first step says nothing of its memory
            measured = dict(of_direction(direction, direct, after, norms_on_train[direction.name]))
            values |= {f"{name}/{direction.name}": value for name, value in measured.items()}
        values |= {f"{name}/{part}": value for part, name, value in of_attention(model, found, batch, rows.punctuation)}
        count = next((n for n in range(PARTS, 1, -1) if len(rows.train.rows) % n == 0), 0)
        if count:
            parts = [rows.train.shard(rank, count) for rank in range(count)]
            values["optimisation/noise_scale"] = gradient_noise_scale(task, model, head, parts)
    return Panel({tag: value for tag, value in values.items() if math.isfinite(value)}, curve)


def own_lengths(batch: Batch, steps: Tensor) -> Tensor:
    """Real steps of each row of what a model made of a batch, (B, T, ...): those of the batch, or all, if it cut rows.

    Forecasters read each variable as a row of its own, and their windows have no padding.
    """
    fits = len(steps) == len(batch.lengths) and steps.shape[1] == batch.inputs.shape[1]
    return batch.lengths if fits else torch.full((len(steps),), steps.shape[1], device=steps.device)


def state_norms(task: Task, model: nn.Module, head: nn.Module, batch: Batch) -> dict[str, float]:
    """Mean norm of the state of each direction over the real steps of a batch, by name."""
    with torch.no_grad(), recorded_recurrences(model) as directions:
        task.features(model, head, batch, None)
        return {d.name: gates.mean_norm(d.own, d.real) for d in directions}


def of_direction(
    direction: Direction, direct: Tensor, after: Sequence[Tensor], norm_on_train: float
) -> Iterator[tuple[str, float]]:
    """The measures of one direction of a recurrent layer, without its name."""
    own = direction.own
    yield "gates/norm_shift", gates.mean_norm(own, direction.real) / norm_on_train if norm_on_train else math.nan
    yield "gates/norm_drift", gates.norm_drift(own, direction.lengths)
    yield "gates/dead_units", gates.dead_units(own, direction.real)
    matrix = direction.unit.matrix
    yield "memory/spectral_radius", matrices.spectral_radius(matrix)
    yield "memory/singular_value", matrices.largest_singular_value(matrix)
    B, T, H = own.shape
    count = min(B, RECOMPUTED, max(1, MOST_NUMBERS // (T * H)))
    rows = torch.linspace(0, B - 1, count, device=own.device).round().long()
    few = direction.narrowed(rows)
    unrolled = unroll(few)
    gradients = memory.state_gradients(
        few, unrolled, direct[rows, : few.inputs.shape[1]], tuple(part[rows] for part in after)
    )
    carried = memory.by_lag(gradients.carried, few.lengths)
    yield "memory/loss", float(memory.effective_memory(memory.by_lag(gradients.total, few.lengths)))
    yield "memory/recurrence", float(memory.effective_memory(carried))
    yield "memory/growth", memory.growth(carried)
    yield "memory/jacobian", float(matrices.jacobian_norms(few, unrolled).median())
    yield "gates/saturated", gates.saturated_gates(unrolled.gates, few.real)
    yield "gates/saturated_tanh", gates.saturated_tanh(unrolled.gates, few.real)
    if KEEP in unrolled.gates:
        constants = gates.time_constants(unrolled.gates[KEEP], few.real)
        yield "gates/time_constant", constants.median
        yield "gates/time_constant_low", constants.low
        yield "gates/time_constant_high", constants.high


def of_attention(
    model: nn.Module, found: Pass, batch: Batch, punctuation: Tensor | None
) -> Iterator[tuple[str, str, float]]:
    """Name of the layer, measure and value, for each attention layer of a model."""
    causal, has_decoder = bool(getattr(model, "causal", False)), hasattr(model, "decoder")
    for path, calls in found.attention.items():
        if not calls or isinstance(model.get_submodule(path), DecoderBlock):  # over the target, not over the inputs
            continue
        recorded = calls[0] if calls[0].dim() == 2 else torch.cat(calls, dim=-2)  # a decoder may call it at each step
        memory_steps = recorded[:, 0, 0] if recorded.dim() == 4 else recorded[:, 0] if recorded.dim() == 3 else recorded
        lengths = own_lengths(batch, memory_steps)
        context = int(getattr(model, "context_length", 0)) if causal else None
        weights = attention.Weights.of(
            recorded, lengths, context, own_steps=not has_decoder or path.startswith("encoder")
        )
        name = path.removesuffix(".attention").replace(".", "_")
        yield name, "attention/entropy", attention.relative_entropy(weights)
        yield name, "attention/padding", attention.padding_mass(weights)
        yield name, "attention/first", attention.first_mass(weights)
        yield name, "attention/last", attention.last_mass(weights)
        yield name, "attention/agreement", attention.agreement(weights)
        if not has_decoder:  # whose queries are steps of the horizon, or of the target
            yield name, "attention/distance", attention.distance(weights)
        if punctuation is not None and memory_steps.shape[1] == batch.inputs.shape[1]:
            marks = attention.mass_on(weights, punctuation[batch.inputs].cpu())
            yield name, "attention/punctuation", marks
