"""Shares with intervals, and bins."""

import numpy as np
import pytest

from seqtrain.tasks.inspecting.rates import binned_rates, frequency_bins, place_bins, quantile_bins, wilson
from tests.html_page import Page


def test_wilson_intervals() -> None:
    """Against Brown, Cai and DasGupta's formula for 15 of 148, and at the ends."""
    lower, upper = wilson(np.array([15, 0, 10, 0]), np.array([148, 10, 10, 0]))
    assert lower[0] == pytest.approx(0.0624, abs=1e-4) and upper[0] == pytest.approx(0.1605, abs=1e-4)
    assert (lower[1], upper[1]) == (0.0, pytest.approx(0.2775, abs=1e-4))
    assert (lower[2], upper[2]) == (pytest.approx(0.7225, abs=1e-4), pytest.approx(1))
    assert (lower[3], upper[3]) == (0.0, 1.0)


def test_bins_have_about_as_many_rows_and_split_no_equal_values() -> None:
    numbers, ends = quantile_bins(np.arange(60))
    assert np.bincount(numbers).tolist() == [10] * 6 and ends[0].tolist() == [0, 9] and ends[-1].tolist() == [50, 59]
    shares = np.array([0.0] * 50 + [0.1, 0.2, 0.2, 0.3])
    numbers, ends = quantile_bins(shares)
    assert (numbers[:50] == 0).all() and ends[0].tolist() == [0, 0] and ends[-1, 1] == 0.3
    assert quantile_bins(np.full(7, 3))[1].tolist() == [[3, 3]]


def test_error_rates_by_bins() -> None:
    values, wrong = np.arange(12), np.arange(12) < 3
    (table,) = Page.of(binned_rates(values, wrong, "tokens", whole=True)).tables[""]
    assert [row[:4] for row in table[1:]] == [
        ["0 to 1", "2", "2", "100.0 %"],
        ["2 to 3", "2", "1", "50.0 %"],
        *([f"{low} to {low + 1}", "2", "0", "0.0 %"] for low in (4, 6, 8, 10)),
    ]


def test_places_and_frequencies_have_bins_of_growing_width() -> None:
    numbers, names = place_bins(np.array([1, 2, 4, 5, 16, 17, 1025]))
    assert [names[number] for number in numbers] == [
        "1", "2 to 4", "2 to 4", "5 to 16", "5 to 16", "17 to 64", "1,025 to 4,096"
    ]  # fmt: skip
    numbers, names = frequency_bins(np.array([0, 1, 9, 10, 99, 1000]))
    assert [names[number] for number in numbers] == ["0", "1 to 9", "1 to 9", "10 to 99", "10 to 99", "1,000 to 9,999"]
