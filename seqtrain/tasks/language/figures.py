"""Figures of language modelling, drawn from arrays: loss by position, calibration.

Only Matplotlib's object interface is used, so that no global state changes.

Shapes: T steps of a segment, K confidence bins.
"""

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from seqtrain.tasks.classification.figures import reliability_bars
from seqtrain.tasks.drawing import BAR_COLOUR, SMALL, label, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_POSITIONS = 100


def loss_by_position_figure(nats: NDArray[np.floating], counts: NDArray[np.integer]) -> "Figure":
    """Mean loss per token by position in the segment, with a dashed line at the mean of all tokens.

    With more than 100 positions, equally many neighbours share a point, at the mean position of their tokens. Positions
    without tokens are left out.

    Args:
        nats: sum of the loss at each position, in nats, (T,).
        counts: number of tokens at each position, (T,).

    Returns:
        The figure; its title gives the means of the first and of the last tenth of the T positions.
    """
    from matplotlib.ticker import MaxNLocator

    positions = np.arange(1, len(nats) + 1)
    starts = np.arange(0, len(nats), math.ceil(len(nats) / MAX_POSITIONS) or 1)
    tokens = np.add.reduceat(counts, starts)
    with_tokens = tokens > 0
    sums = np.add.reduceat(nats, starts, dtype=np.float64)
    centres = np.add.reduceat(positions * counts, starts)[with_tokens] / tokens[with_tokens]

    figure = new_figure()
    axes = figure.add_subplot()
    axes.plot(centres, sums[with_tokens] / tokens[with_tokens], ".-", color=BAR_COLOUR)
    label(axes, "no tokens", "position in the segment", "loss in nats per token")
    axes.set_xlim(0.5, max(len(nats), 1) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    if with_tokens.any():
        mean = sums.sum() / tokens.sum()
        axes.axhline(mean, linestyle="--", color="black", label=f"mean of all tokens, {mean:.3f}")
        axes.legend(fontsize=SMALL)
        tenth = math.ceil(len(nats) / 10)
        first, last = (
            f"{nats[part].sum(dtype=np.float64) / counts[part].sum():.3f}" if counts[part].any() else "(no tokens)"
            for part in (slice(tenth), slice(-tenth, None))
        )
        axes.set_title(f"mean of the first tenth {first}, of the last tenth {last}")
    return figure


def token_calibration_figure(
    confidence_sums: NDArray[np.floating], hits: NDArray[np.integer], counts: NDArray[np.integer]
) -> "Figure":
    """Accuracy of the most probable next token, per bin of its probability, above the number of tokens per bin.

    Args:
        confidence_sums: sum of the probabilities of the most probable token, per bin, (K,); the bins divide [0, 1]
            equally.
        hits: number of tokens that were the most probable one, per bin, (K,).
        counts: number of tokens, per bin, (K,).

    Returns:
        The figure; its title gives the expected calibration error.

    Source: Guo et al. 2017, figure 1 and eq. 3.
    """
    if not counts.any():
        return reliability_bars(hits, counts, "no tokens", "tokens")
    error = np.abs(hits - confidence_sums).sum() / counts.sum()
    return reliability_bars(hits / np.maximum(counts, 1), counts, f"calibration error {error:.3f}", "tokens")
