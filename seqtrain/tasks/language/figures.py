"""Figures of language modelling, drawn from arrays: loss by position, gradient by lag, calibration.

Only Matplotlib's object interface is used, so that no global state changes.

Shapes: T steps of a segment, L lags, K confidence bins.
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
FADED = 0.01


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


def gradient_by_lag_figure(norms: NDArray[np.floating]) -> "Figure":
    """Norm of the gradient of the loss at the last step with respect to the input ``lag`` steps before, on a log axis.

    Norms that are zero, subnormal or infinite as float32, or NaN, leave a gap. A dashed line marks 1 % of the largest.

    Args:
        norms: norm at each lag from 0 on, (L,), not negative.

    Returns:
        The figure; its title gives the lag from which all norms are below 1 % of the largest.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    float32 = np.finfo(np.float32)
    values = norms.astype(np.float64)
    drawable = (values >= float(float32.tiny)) & (values <= float(float32.max))

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.set_yscale("log")
    axes.plot(np.arange(len(norms)), np.where(drawable, values, np.nan), ".-", color=BAR_COLOUR)
    axes.set(xlabel="lag in steps", ylabel="norm of the gradient", title="no gradient at any lag")
    axes.set_xlim(-0.5, max(len(norms), 1) - 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    if drawable.any():
        limit = FADED * values[drawable].max()
        axes.axhline(limit, linestyle="--", color="black", label="1 % of the largest")
        axes.legend()
        fades_at = np.flatnonzero(~(values < limit))[-1] + 1  # a NaN is not below
        axes.set_title(
            f"below 1 % of the largest for good: {f'from lag {fades_at}' if fades_at < len(norms) else 'never'}"
        )
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
