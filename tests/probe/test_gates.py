"""Measures of gates and states, on values where they are known."""

import math

import pytest
import torch

from seqtrain.layers.masks import real_steps
from seqtrain.probe.cells import CANDIDATE, KEEP
from seqtrain.probe.gates import (
    dead_units,
    mean_norm,
    norm_drift,
    saturated_gates,
    saturated_tanh,
    time_constants,
)

REAL = real_steps(torch.tensor([3, 1]), 3)


def test_time_constants_are_quartiles_over_units() -> None:
    keep = torch.tensor([math.exp(-1 / steps) for steps in (1, 2, 4, 8, 100)], dtype=torch.double).expand(2, 3, 5)
    keep = torch.where(REAL[..., None], keep, 0.5)  # padding does not count
    assert time_constants(keep, REAL) == pytest.approx((4, 2, 8))


def test_time_constants_of_a_gate_that_changes() -> None:
    """What is left after the steps is the product of the gate's values."""
    keep = torch.tensor([0.9, 0.5, 0.99])[None, :, None].expand(1, 3, 1)
    found = time_constants(keep, torch.ones(1, 3, dtype=torch.bool))
    assert found.median == pytest.approx(-3 / math.log(0.9 * 0.5 * 0.99), rel=1e-6)


def test_a_gate_that_keeps_all_has_no_finite_time_constant() -> None:
    assert time_constants(torch.ones(2, 3, 4), REAL).median == math.inf


def test_saturated_shares() -> None:
    keep = torch.tensor([[[0.05, 0.5]] * 3, [[0.95, 0.5]] * 3])
    gates = {KEEP: keep, "reset": torch.full_like(keep, 0.5), CANDIDATE: torch.tensor([[[-0.95, 0.8]] * 3] * 2)}
    assert saturated_gates(gates, REAL) == 0.25
    assert saturated_tanh(gates, REAL) == 0.5
    assert math.isnan(saturated_gates({CANDIDATE: keep}, REAL))
    assert math.isnan(saturated_tanh({}, REAL))


def test_dead_units_and_norms() -> None:
    outputs = torch.zeros(2, 3, 4)
    outputs[0, :, 1] = torch.tensor([1.0, 2.0, 3.0])
    outputs[..., 2] = 0.7
    outputs[1, 1:, 3] = 9.0  # padding does not count
    assert dead_units(outputs, REAL) == 0.75
    assert mean_norm(torch.tensor([[[3.0, 4.0]] * 3, [[0.0, 1.0]] * 3]), REAL) == pytest.approx((15 + 1) / 4)


def test_norm_drift_compares_the_last_quarter_with_the_second() -> None:
    outputs = torch.full((2, 9, 1), 99.0)
    outputs[0, :8, 0] = torch.tensor([50.0, 50, 1, 3, 7, 7, 4, 8])
    outputs[1, :3, 0] = torch.tensor([1.0, 5, 9])  # too short
    assert norm_drift(outputs, torch.tensor([8, 3])) == pytest.approx(6 / 2)
    assert math.isnan(norm_drift(outputs, torch.tensor([3, 2])))
