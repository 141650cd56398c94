"""Update ratios and the gradient noise scale against numpy."""

import math
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seqtrain.data.base import Batch
from seqtrain.probe.optimisation import gradient_noise_scale, update_ratios
from seqtrain.tasks.base import Task
from seqtrain.tasks.regression.task import SequenceRegression


def test_update_ratios_are_of_whole_groups() -> None:
    before = {"head": [torch.tensor([3.0]), torch.tensor([[4.0]])], "new": [torch.zeros(2)]}
    after = {"head": [torch.tensor([3.3]), torch.tensor([[4.4]])], "new": [torch.ones(2)]}
    assert update_ratios(before, after) == pytest.approx({"head": 0.1, "new": 0.0})


class Linear(nn.Module):
    """Features w * x of the first step, whose gradient by w is x."""

    def __init__(self, size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size, dtype=torch.double))
        self.unused = nn.Parameter(torch.zeros(2))

    def forward(self, batch: Batch, state: Any = None) -> tuple[Tensor, None]:
        return batch.inputs[:, 0] @ self.weight[:, None], None


class Summed(SequenceRegression):
    """The loss of a row is its feature."""

    def __init__(self) -> None:
        pass

    def loss(self, head: nn.Module, features: Tensor, batch: Batch) -> Tensor:
        return features.sum()


@pytest.mark.parametrize("rows", [1, 3])
def test_the_noise_scale_is_the_unbiased_estimate(rows: int) -> None:
    """With one row a part, the trace of the covariance is numpy's with ddof=1."""
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(8 * rows, 5)) + 1
    inputs = torch.from_numpy(gradients)[:, None]
    sizes = torch.ones(len(gradients), dtype=torch.long)
    whole = Batch(inputs, torch.zeros(len(gradients)), sizes, np.arange(len(gradients)), len(gradients))
    parts = [whole.shard(rank, 8) for rank in range(8)]
    found = gradient_noise_scale(cast(Task, Summed()), Linear(5), nn.Identity(), parts)
    means = np.stack([gradients[rank::8].mean(0) for rank in range(8)])
    noise = rows * means.var(0, ddof=1).sum()
    size = (gradients.mean(0) ** 2).sum() - noise / len(gradients)
    assert found == pytest.approx(noise / size)


def test_noise_that_hides_the_gradient_has_no_scale() -> None:
    inputs = torch.tensor([[[1.0]], [[-1.0]]], dtype=torch.double)
    parts = [Batch(part[None], torch.zeros(1), torch.ones(1, dtype=torch.long), np.arange(1), 1) for part in inputs]
    assert math.isnan(gradient_noise_scale(cast(Task, Summed()), Linear(1), nn.Identity(), parts))
