"""Attributions: how much each step of a row adds to the score of what the model predicts.

Shapes: B rows, T steps, D numbers of a step.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqtrain.data.base import Batch
from seqtrain.layers.masks import real_steps
from seqtrain.tasks.explaining.subject import Subject

NODES = 32
"""Points between baseline and input at which integrated gradients takes gradients."""


def attention(subject: Subject, batch: Batch, choice: Tensor) -> Tensor:
    """The weights of the model's attention, see ``attention_over_steps``."""
    with torch.no_grad():
        return subject.attention(batch, choice)


def gradient_input(subject: Subject, batch: Batch, choice: Tensor) -> Tensor:
    """Gradient x input: sum over d of (x_td - b_td) df/dx_td, where b is the baseline.

    Source: Shrikumar et al. 2017, "Learning important features through propagating activation differences", section
    2.2; there the baseline is 0.
    """
    inputs = subject.inputs(batch)
    return ((inputs - subject.baseline(batch)) * gradient(subject, inputs, batch, choice)).sum(-1)


def integrated_gradients(subject: Subject, batch: Batch, choice: Tensor) -> Tensor:
    """Integrated gradients: sum over d of (x_td - b_td) times the mean of df/dx_td on the line from b to x.

    The mean is a Gauss-Legendre quadrature with ``NODES`` points. The attributions of a row add up to f(x) - f(b), as
    far as the quadrature is exact.

    Source: Sundararajan et al. 2017, "Axiomatic attribution for deep networks", eq. 1 and proposition 1.
    """
    inputs, baseline = subject.inputs(batch), subject.baseline(batch)
    points, weights = np.polynomial.legendre.leggauss(NODES)
    total = torch.zeros_like(inputs, dtype=torch.float64)
    for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
        total += weight * gradient(subject, torch.lerp(baseline, inputs, float(point)), batch, choice)
    return ((inputs - baseline) * total).sum(-1)


def occlusion(subject: Subject, batch: Batch, choice: Tensor) -> Tensor:
    """Occlusion: f(x) - f(x without step t), where removing is what the subject says.

    Source: Zeiler and Fergus 2014, "Visualizing and understanding convolutional networks"; for words Li et al. 2016,
    "Understanding neural networks through representation erasure".
    """
    with torch.no_grad():
        whole = subject.score(batch, choice)
        found = torch.zeros(batch.inputs.shape[:2], dtype=whole.dtype, device=whole.device)
        for step in range(found.shape[1]):
            kept = torch.ones_like(found, dtype=torch.bool)
            kept[:, step] = step >= batch.lengths
            found[:, step] = whole - subject.score(subject.without(batch, kept), choice)
    return found


METHODS: dict[str, Callable[[Subject, Batch, Tensor], Tensor]] = {
    "attention": attention,
    "gradient_input": gradient_input,
    "integrated_gradients": integrated_gradients,
    "occlusion": occlusion,
}


def attributions(subject: Subject, batch: Batch, choice: Tensor, method: str) -> Tensor:
    """The attribution of each step by a method of ``METHODS``, (B, T), float64; 0 on padding."""
    found = METHODS[method](subject, batch, choice).double()
    return found * real_steps(batch.lengths, found.shape[1])


def completeness_errors(subject: Subject, batch: Batch, choice: Tensor, found: Tensor) -> Tensor:
    """How far integrated gradients (B, T) are from adding up to f(x) - f(b): the absolute difference, (B,)."""
    with torch.no_grad():
        ends = (
            subject.score_of_inputs(inputs, batch, choice)
            for inputs in (subject.inputs(batch), subject.baseline(batch))
        )
        whole, empty = ends
    return (found.sum(-1) - (whole - empty)).abs()


def gradient(subject: Subject, inputs: Tensor, batch: Batch, choice: Tensor) -> Tensor:
    """Gradient of the score for its inputs, (B, T, D). Rows do not depend on each other, so one pass has all.

    cuDNN computes no gradient of a recurrent layer in evaluation mode; torch's own kernels do.
    """
    inputs = inputs.detach().requires_grad_()
    without_cudnn: AbstractContextManager[Any] = (
        torch.backends.cudnn.flags(enabled=False) if inputs.is_cuda else nullcontext()
    )
    with torch.enable_grad(), without_cudnn:
        (found,) = torch.autograd.grad(subject.score_of_inputs(inputs, batch, choice).sum(), inputs)
    return found
