"""Figures of multi-label classification.

Shapes: C classes.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from seqtrain.tasks.drawing import BAR_COLOUR, SMALL, drawable, label, new_figure, shorten, visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CLASSES = 60


def classes_figure(classes: Mapping[str, Mapping[str, Any]]) -> "Figure":
    """Precision, recall, F1 and average precision of each class, the most frequent one at the top.

    Of more than 60 classes, the most frequent ones are shown; the title says so.

    Args:
        classes: scores of each class by name, as ``evaluation_of`` gives them in its details.

    Returns:
        The figure.
    """
    order = sorted(classes, key=lambda name: -classes[name]["support"])
    names = order[:MOST_CLASSES]
    places = np.arange(len(names))[::-1]
    figure = new_figure(1.9 + 0.3 * len(names))
    axes = figure.add_subplot()
    axes.barh(places, [classes[name]["f1"] for name in names], color=BAR_COLOUR, label="F1")
    for key, marker in (("precision", "<"), ("recall", ">"), ("average_precision", "d")):
        values = [np.nan if classes[name][key] is None else classes[name][key] for name in names]
        axes.plot(values, places, marker, color="black", markersize=6, label=key.replace("_", " "))
    title = f"{len(order):,} classes" if names == order else f"the {len(names)} most frequent of {len(order):,} classes"
    label(axes, f"{title}, number of rows in brackets")
    texts = [f"{drawable(shorten(visible(name), 20))} ({classes[name]['support']:,})" for name in names]
    axes.set_yticks(places, texts, parse_math=False, fontsize=SMALL)
    axes.set_xlim(0, 1.02)
    figure.legend(loc="outside lower center", ncols=4, fontsize=SMALL, handlelength=1, columnspacing=1)
    return figure
