"""Bins of rows, and shares with intervals of rows in groups, as tables.

Shapes: N rows, G groups.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seqtrain.pages.html import Html, bar, html_table

Floats = NDArray[np.float64]

Z = 1.959963984540054
"""Of a 95 % interval."""
MOST_BINS = 6


def wilson(hits: NDArray[np.integer], counts: NDArray[np.integer]) -> tuple[Floats, Floats]:
    """Ends of 95 % intervals of shares, hits / counts; 0 and 1 where the count is 0.

    Source: Wilson 1927; Brown, Cai and DasGupta 2001, section 3.1.1.
    """
    n = np.maximum(counts, 1).astype(np.float64)
    share = hits / n
    centre = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * np.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    lower, upper = np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)
    return np.where(counts > 0, lower, 0.0), np.where(counts > 0, upper, 1.0)


def quantile_bins(values: NDArray[np.number], most: int = MOST_BINS) -> tuple[NDArray[np.int64], Floats]:
    """Bins with about as many rows each; equal values share a bin.

    Args:
        values: a value of each row, (N,).
        most: largest number of bins.

    Returns:
        Number of each row's bin, from 0, (N,); and the smallest and largest value in each bin, (G, 2).
    """
    tops = np.unique(np.quantile(values, np.arange(1, most + 1) / most, method="inverted_cdf"))
    numbers = np.searchsorted(tops, values)
    ends = [(values[numbers == g].min(), values[numbers == g].max()) for g in range(len(tops))]
    return numbers, np.array(ends, dtype=np.float64)


def place_bins(places: NDArray[np.integer]) -> tuple[NDArray[np.int64], list[str]]:
    """Bins of places from 1 on, each four times as wide as the one before: 1, 2 to 4, 5 to 16, ...

    Returns:
        Number of each place's bin, (N,), and the names of the bins.
    """
    tops = 4 ** np.arange(20)
    numbers = np.searchsorted(tops, places)
    names = [f"{tops[i - 1] + 1:,} to {tops[i]:,}" if i else "1" for i in range(int(numbers.max(initial=0)) + 1)]
    return numbers, names


def frequency_bins(counts: NDArray[np.integer]) -> tuple[NDArray[np.int64], list[str]]:
    """Bands of how often train has a token: never, 1 to 9 times, 10 to 99 times, ...

    Returns:
        Number of each count's band, (N,), and the names of the bands.
    """
    tens = 10 ** np.arange(15)
    numbers = np.searchsorted(tens, counts, side="right")
    names = ["0" if i == 0 else f"{tens[i - 1]:,} to {tens[i] - 1:,}" for i in range(int(numbers.max(initial=0)) + 1)]
    return numbers, names


def percent(share: float, decimals: int = 1) -> str:
    """A share as per cent."""
    return f"{100 * share:.{decimals}f} %"


def interval(lower: float, upper: float) -> str:
    """An interval of shares as per cent."""
    return f"{100 * lower:.1f} to {100 * upper:.1f}"


def rate_table(
    names: Sequence[str], wrong: NDArray[np.integer], counts: NDArray[np.integer], first: str, unit: str = "rows"
) -> str:
    """A table of error rates: a line for each group with its rows, its rate as a bar, and the 95 % interval.

    Args:
        names: the groups.
        wrong: number of wrong rows of each, (G,).
        counts: number of rows of each, (G,).
        first: heading of the groups.
        unit: what is counted.
    """
    lower, upper = wilson(wrong, counts)
    rates = wrong / np.maximum(counts, 1)
    header = [first, unit, "wrong", "error", "", "95 % interval"]
    rows, values = [], list[list[object]]()
    for place, (name, bad, count) in enumerate(zip(names, wrong.tolist(), counts.tolist(), strict=True)):
        ends = interval(lower[place], upper[place]) if count else "-"
        rate = percent(rates[place]) if count else "-"
        rows.append([name, f"{count:,}", f"{bad:,}", rate, Html(bar(rates[place])), ends])
        values.append([place, count, bad, rates[place], rates[place], lower[place]])
    return html_table(header, rows, values)


def binned_rates(
    values: NDArray[np.number], wrong: NDArray[np.bool_], first: str, whole: bool, unit: str = "rows"
) -> str:
    """Error rates by bins of a value of each row, see ``quantile_bins``.

    Args:
        values: the values, (N,).
        wrong: which rows are wrong, (N,).
        first: heading of the values.
        whole: they are whole numbers, not shares.
        unit: what is counted.
    """
    numbers, ends = quantile_bins(values)
    counts = np.bincount(numbers, minlength=len(ends))
    bad = np.bincount(numbers, weights=wrong, minlength=len(ends)).astype(np.int64)
    names = [span(low, high, whole) for low, high in ends.tolist()]
    return rate_table(names, bad, counts, first, unit)


def span(low: float, high: float, whole: bool) -> str:
    """The smallest and the largest value of a bin, in words."""
    ends = [f"{end:,.0f}" if whole else f"{100 * end:.1f} %" for end in (low, high)]
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
