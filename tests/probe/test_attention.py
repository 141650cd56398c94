"""Measures of attention, on weights where they are known."""

import math

import pytest
import torch

from seqtrain.probe.attention import (
    Weights,
    agreement,
    distance,
    first_mass,
    last_mass,
    mass_on,
    padding_mass,
    relative_entropy,
)

LENGTHS = torch.tensor([4, 2])


def even(lengths: torch.Tensor, steps: int) -> torch.Tensor:
    """Equal weights on the real steps, (B, S)."""
    real = torch.arange(steps) < lengths[:, None]
    return real / lengths[:, None]


def test_equal_weights_and_a_single_step() -> None:
    weights = Weights.of(even(LENGTHS, 4), LENGTHS)
    assert relative_entropy(weights) == pytest.approx(1)
    assert padding_mass(weights) == 0
    assert first_mass(weights) == last_mass(weights) == pytest.approx((1 / 4 + 1 / 2) / 2)
    assert math.isnan(agreement(weights)) and math.isnan(distance(weights))
    single = Weights.of(torch.eye(4)[[3, 0]], LENGTHS)
    assert relative_entropy(single) == 0
    assert last_mass(single) == 0.5 and first_mass(single) == 0.5


def test_rows_of_one_step_have_no_entropy() -> None:
    one = torch.tensor([1])
    assert math.isnan(relative_entropy(Weights.of(torch.ones(1, 1), one)))


def test_padding_and_chosen_steps() -> None:
    values = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.5, 0.25, 0.15, 0.1]])
    weights = Weights.of(values, LENGTHS)
    assert padding_mass(weights) == pytest.approx(0.25 / 2)
    chosen = torch.tensor([[False, True, False, True], [False, True, True, True]])
    assert mass_on(weights, chosen) == pytest.approx((0.6 + 0.25) / 2)


def test_causal_queries_see_a_window() -> None:
    """Equal weights on what each of four queries sees of three steps."""
    values = torch.tensor([[1.0, 0, 0, 0], [0.5, 0.5, 0, 0], [1 / 3, 1 / 3, 1 / 3, 0], [0, 1 / 3, 1 / 3, 1 / 3]])
    weights = Weights.of(values[None], torch.tensor([4]), context_length=3)
    assert relative_entropy(weights) == pytest.approx(1)
    assert last_mass(weights) == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 3) / 4)
    assert distance(weights) == pytest.approx((0 + 0.5 + 1 + 1) / 4)


def test_queries_on_padding_do_not_count() -> None:
    values = torch.zeros(2, 4, 4)
    values[..., 0] = 1.0
    weights = Weights.of(values, LENGTHS)
    assert distance(weights) == pytest.approx((0 + 1 + 2 + 3 + 0 + 1) / 6)


def test_agreement_of_heads() -> None:
    same = even(LENGTHS, 4)[:, None, None].expand(2, 3, 4, 4)
    assert agreement(Weights.of(same, LENGTHS)) == pytest.approx(1)
    apart = torch.eye(4)[None, :, None].expand(1, 4, 4, 4)
    assert agreement(Weights.of(apart, torch.tensor([4]))) == pytest.approx(0)
    two = torch.stack([torch.tensor([0.5, 0.5, 0, 0]), torch.tensor([0.5, 0, 0.5, 0])])[None, :, None]
    # The mean is 1/2, 1/4, 1/4 with entropy 1.5 log 2; each head has log 2.
    assert agreement(Weights.of(two, torch.tensor([4]))) == pytest.approx(0.5)
