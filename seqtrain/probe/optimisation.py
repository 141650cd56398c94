"""How training goes: the size of updates, and how much gradients of different rows agree."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from seqtrain.data.base import Batch
from seqtrain.probe.passes import differentiable, unfrozen
from seqtrain.tasks.base import Task


def norm_of(tensors: Sequence[Tensor]) -> float:
    """Norm of all tensors together."""
    return math.sqrt(sum(float(torch.linalg.vector_norm(tensor.detach())) ** 2 for tensor in tensors))


def update_ratios(before: Mapping[str, Sequence[Tensor]], after: Mapping[str, Sequence[Tensor]]) -> dict[str, float]:
    """Norm of an update over the norm of the weights before it, by group of parameters; 0 where weights are 0."""
    ratios = {}
    for name, old in before.items():
        size = norm_of(old)
        moved = norm_of([new.detach() - tensor for new, tensor in zip(after[name], old, strict=True)])
        ratios[name] = moved / size if size else 0.0
    return ratios


def gradient_noise_scale(task: Task, model: nn.Module, head: nn.Module, parts: Sequence[Batch]) -> float:
    """The gradient noise scale in rows: with fewer rows in a step, the gradient is mostly noise; with more, mostly not.

    It is tr(S) / |G|^2, with S the covariance of the gradient of one row and G the mean gradient, both estimated
    without bias from the gradients of equal parts. Frozen parameters count, so that it means the same throughout a run.

    Args:
        task: defines the loss.
        model: in evaluation mode, so that dropout adds no noise and no random number is drawn.
        head: the same.
        parts: batches of train, at least two, of equally many rows, on the device of both.

    Returns:
        The scale; NaN where the estimate of |G|^2 is not positive, that is, where noise hides the gradient.

    Source: McCandlish et al. 2018, "An empirical model of large-batch training", appendix A.1.
    """
    parameters = list(nn.ModuleList([model, head]).parameters())
    rows, small, total = len(parts[0].rows), 0.0, [torch.zeros_like(p) for p in parameters]
    for part in parts:
        with differentiable(part.inputs.device), unfrozen(parameters):
            features, _ = task.features(model, head, part, None)
            loss = task.loss(head, features, part) / task.count(part).clamp(min=1e-12)
            found = torch.autograd.grad(loss, parameters, allow_unused=True)
        own = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]
        small += norm_of(own) ** 2 / len(parts)
        torch._foreach_add_(total, own)
    big = norm_of(total) ** 2 / len(parts) ** 2
    whole = rows * len(parts)
    gradient = (whole * big - rows * small) / (whole - rows)
    noise = (small - big) / (1 / rows - 1 / whole)
    return noise / gradient if gradient > 0 else math.nan
