"""Figures of translation, drawn from arrays: what each written token attends to, and BLEU by length of the source.

Only Matplotlib's object interface is used, so that no global state changes. Text is drawn without math mode, and a
character that the font lacks becomes a box.

Shapes: N pairs, S source tokens, T target tokens.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from seqtrain.tasks.drawing import BAR_COLOUR, SMALL, drawable, label, new_figure, shorten, visible
from seqtrain.tasks.inspecting.rates import quantile_bins, span
from seqtrain.tasks.translation.statistics import bleu_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_TOKENS = 40
"""Tokens of a side of an alignment; of a longer one the first are drawn."""
LONGEST_TOKEN = 14
"""Letters of a token."""


def alignment_figure(
    source: Sequence[str], target: Sequence[str], weights: NDArray[np.floating], title: str
) -> "Figure":
    """Alignment matrix: a row for each target token, as dark in a column as its attention to that source token.

    Of a side with more than 40 tokens the first 40 are drawn; the title says so.

    Args:
        source: names of the source tokens, (S,).
        target: names of the target tokens, (T,).
        weights: attention weights, (T, S), not negative; each row adds up to 1.
        title: what the pair is.

    Returns:
        The figure.

    Source: Bahdanau et al. 2015, "Neural machine translation by jointly learning to align and translate", figure 3.
    """
    shown = weights[:MOST_TOKENS, :MOST_TOKENS]
    rows, columns = shown.shape
    if shown.shape != weights.shape:
        title += f"; the first {rows} of {len(target)} and {columns} of {len(source)} tokens"
    figure = new_figure(float(np.clip(2.4 + 0.24 * rows, 3.6, 8)))
    axes = figure.add_subplot()
    axes.imshow(shown, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    label(axes, drawable(title), "source", "translation")
    for axis, names in ((axes.xaxis, source[:columns]), (axes.yaxis, target[:rows])):
        size = float(np.clip(250 / len(names), 7, SMALL))
        texts = [drawable(shorten(visible(name), LONGEST_TOKEN)) for name in names]
        axis.set_ticks(range(len(names)), texts, fontsize=size, parse_math=False)
    axes.tick_params(axis="x", rotation=90)
    return figure


def bleu_by_length_figure(
    lengths: NDArray[np.integer],
    counts: NDArray[np.integer],
    baselines: Mapping[str, NDArray[np.integer]],
    name: str = "model",
) -> "Figure":
    """BLEU of the model, and of baselines, by length of the source, in at most six bins of about equally many pairs.

    Args:
        lengths: tokens of each source, (N,).
        counts: the counts of each pair that BLEU is made of, see ``statistics.bleu``, (N, 10). Pairs that were not
            translated have zeros, and are left out.
        baselines: the same of each baseline by name.
        name: what the model is called.

    Returns:
        The figure; below each bin stand its lengths and its number of pairs.
    """
    scored = counts[:, 1] > 0  # the words of the reference
    figure = new_figure()
    axes = figure.add_subplot()
    label(axes, "no pair was translated", "tokens of the source, and number of pairs", "BLEU")
    if not scored.any():
        return figure
    numbers, ends = quantile_bins(lengths[scored])
    sizes = np.bincount(numbers)
    places = np.arange(len(sizes))

    def scores(of: NDArray[np.integer]) -> NDArray[np.float64]:
        sums = np.stack([of[scored][numbers == place].sum(0) for place in places])
        return bleu_of(sums.astype(np.float64))

    model = scores(counts)
    axes.plot(places, model, "o-", linewidth=2, color=BAR_COLOUR, label=name)
    for number, (other, of) in enumerate(baselines.items(), start=1):
        axes.plot(places, scores(of), "o--", linewidth=1.2, color=f"C{number}", label=other)
    axes.set_title(f"{name}: shortest {model[0]:.1f}, longest {model[-1]:.1f}", fontsize=SMALL + 2)
    axes.set_ylim(bottom=0)
    axes.margins(x=0.08)
    texts = [f"{span(low, high, True)}\n({size:,})" for (low, high), size in zip(ends.tolist(), sizes, strict=True)]
    axes.set_xticks(places, texts, fontsize=SMALL)
    figure.legend(loc="outside lower center", ncols=2, fontsize=SMALL)
    return figure
