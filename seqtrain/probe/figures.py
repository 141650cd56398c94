"""The figure of the health panel, drawn from an array. Only Matplotlib's object interface is used.

Shapes: L lags.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from seqtrain.probe.memory import FADED
from seqtrain.tasks.drawing import BAR_COLOUR, SMALL, WIDTH, label

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def gradient_by_lag_figure(norms: NDArray[np.floating]) -> "Figure":
    """Norm of the gradient of the loss at the last step with respect to the input ``lag`` steps before, on a log axis.

    Norms that are zero, subnormal or infinite as float32, or NaN, leave a gap. A dashed line marks 1 % of the largest.

    Args:
        norms: norm at each lag from 0 on, (L,), not negative.

    Returns:
        The figure; its title gives the lag from which all norms are below 1 % of the largest.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, NullLocator

    float32 = np.finfo(np.float32)
    values = norms.astype(np.float64)
    drawable = (values >= float(float32.tiny)) & (values <= float(float32.max))

    figure = Figure(figsize=(WIDTH, 4.5))
    axes = figure.add_axes((0.15, 0.14, 0.82, 0.78))  # a layout that is computed takes twice as long
    axes.set_yscale("log")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.plot(np.arange(len(norms)), np.where(drawable, values, np.nan), ".-", color=BAR_COLOUR)
    title = "no gradient at any lag"
    axes.set_xlim(-0.5, max(len(norms), 1) - 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    if drawable.any():
        limit = FADED * values[drawable].max()
        axes.axhline(limit, linestyle="--", color="black", label="1 % of the largest")
        axes.legend(loc="upper right", fontsize=SMALL)  # the best place takes time to find
        fades_at = np.flatnonzero(~(values < limit))[-1] + 1  # a NaN is not below
        title = f"below 1 % of the largest for good: {f'from lag {fades_at}' if fades_at < len(norms) else 'never'}"
    label(axes, title, "lag in steps", "norm of the gradient")
    return figure
