"""Figures of classification, drawn from arrays: confusion, calibration, and the attention paid to each word.

Only Matplotlib's object interface is used, so that no global state changes. Text is drawn without math mode, and a
character that the font lacks becomes a box.

Shapes: N examples, C classes, T words.
"""

import math
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from seqtrain.tasks.classification.metrics import calibration_error, reliability_bins
from seqtrain.tasks.drawing import (
    BAR_COLOUR,
    LETTER,
    SMALL,
    TYPE,
    WIDTH,
    drawable,
    escape_markdown,
    label,
    new_figure,
    shorten,
    visible,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_CLASSES_WITH_COUNTS = 20
MAX_CLASS_NAMES = 30
LONGEST_NAME = 14
"""Letters of a name of a class."""
SMALLEST_TYPE = 8.5
"""Points below which a count cannot be read in a thumbnail."""
MAX_WORDS = 200
WIDEST_LINE = 48
"""Letters of a line of a long text. At a third of its size it can still be read."""
SHORTEST_LINE = 24
LINES_OF_SHORT = 6
"""Lines that a short text should fill, so that it is drawn in large type."""
SMALLEST_HEIGHT = 2.4
"""Height in inches of the figure of the shortest text."""
FEW = 0.01
"""Share of all rows below which the accuracy of a bin says little."""
ATTENTION_COLOUR = "#ff7f0e"


def confusion_figure(
    predictions: NDArray[np.integer], targets: NDArray[np.integer], class_names: list[str]
) -> "Figure":
    """Confusion matrix, a row per true class: colour is the share of the row, the text in a cell its count.

    Where counts are too long to be read, the texts are per cent of the row instead. Zeros are not written, and of more
    than 20 classes nothing is. Of more than 30 classes, an even selection is named. Names that are too long to stand
    below their columns are numbered.

    Args:
        predictions: predicted classes, (N,), in [0, C).
        targets: true classes, (N,), in [0, C).
        class_names: the C names.

    Returns:
        The figure.
    """
    num_classes = len(class_names)
    cells = np.ravel_multi_index((targets, predictions), (num_classes, num_classes))
    counts = np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    every = math.ceil(num_classes / MAX_CLASS_NAMES)
    numbers = [str(number) for number in range(1, num_classes + 1, every)]
    names = [drawable(shorten(visible(name), LONGEST_NAME)) for name in class_names[::every]]
    longest = max(map(len, names))
    room = WIDTH - 0.9  # inches beside the label of the axis
    fits = longest * LETTER * TYPE < 72 * (room - longest * LETTER * TYPE / 72) / len(names)
    left = names if fits else [f"{name}  {number}" for name, number in zip(names, numbers, strict=True)]
    side = min(room - max(map(len, left)) * LETTER * SMALL / 72, 1.2 * max(num_classes, 3))
    column = 72 * side / num_classes  # points
    widest = 0.3 + LETTER * (longest if fits else len(numbers[-1]))
    size = float(np.clip(min(0.7 * every * column, every * column / widest), 5, TYPE if fits else SMALL))

    figure = new_figure(side + 1.4)
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    texts, title = cell_texts(counts, shares, column)
    label(axes, title, "predicted" if fits else "predicted, by number", "true")
    places = range(0, num_classes, every)
    axes.set_xticks(places, names if fits else numbers, fontsize=size, parse_math=False)
    axes.set_yticks(places, left, fontsize=size, parse_math=False)
    if num_classes <= MAX_CLASSES_WITH_COUNTS:
        size = min(TYPE, 0.7 * column, size_within(column, texts))
        for (i, j), text in texts.items():
            colour = "white" if shares[i, j] > 0.5 else "black"
            axes.text(j, i, text, ha="center", va="center", fontsize=size, color=colour)
    return figure


def cell_texts(
    counts: NDArray[np.integer], shares: NDArray[np.floating], column: float
) -> tuple[dict[tuple[int, int], str], str]:
    """The texts of a confusion matrix: counts or, where these are too long to be read, per cent of the row.

    Args:
        counts: number of rows of each true class by predicted class, (C, C).
        shares: the same as shares of the true class, (C, C).
        column: width of a cell in points.

    Returns:
        Texts other than 0, by place; and what they are.
    """
    texts = {(i, j): f"{counts[i, j]:,}" for i, j in np.argwhere(counts).tolist()}
    if not texts or size_within(column, texts) >= SMALLEST_TYPE:
        return texts, f"counts, of {counts.sum():,}; colour: share of the row"
    per_cent = (100 * shares).round().astype(int)
    return {
        (i, j): str(per_cent[i, j]) for i, j in np.argwhere(per_cent).tolist()
    }, f"% of the row, {counts.sum():,} in all"


def size_within(column: float, texts: Mapping[tuple[int, int], str]) -> float:
    """Size of type at which the longest text fits into a cell, both in points."""
    return column / (LETTER * max(map(len, texts.values()), default=1) + 0.4)


def reliability_figure(probabilities: NDArray[np.floating], targets: NDArray[np.integer]) -> "Figure":
    """Accuracy per confidence bin against the diagonal of perfect calibration, above the number of examples per bin.

    Args:
        probabilities: probability of each class, (N, C).
        targets: true classes, (N,).

    Returns:
        The figure; its title gives the expected calibration error.

    Source: Guo et al. 2017, figure 1.
    """
    _, accuracy, counts = reliability_bins(probabilities, targets)
    title = f"calibration error {calibration_error(probabilities, targets):.3f}"
    return reliability_bars(accuracy, counts, title, "examples")


def reliability_bars(
    accuracy: NDArray[np.floating | np.integer], counts: NDArray[np.integer], title: str, counted: str
) -> "Figure":
    """Accuracy per equal-width confidence bin against the diagonal of perfect calibration, above the counts.

    Args:
        accuracy: share of right predictions per bin, (K,).
        counts: number of predictions per bin, (K,).
        title: title of the figure.
        counted: name of what is counted.

    Returns:
        The figure.
    """
    width = 1 / len(counts)
    centres = (np.arange(len(counts)) + 0.5) * width
    paler = np.where(counts < FEW * counts.sum(), 0.35, 1.0)
    colours = [(BAR_COLOUR, alpha) for alpha in paler.tolist()]

    figure = new_figure(6.4)
    upper, lower = figure.subplots(2, sharex=True, height_ratios=[2, 1])
    label(upper, title, y="accuracy")
    label(lower, x="confidence (of the predicted class)", y=counted)
    upper.bar(centres, accuracy, width, color=colours, edgecolor="white")
    upper.plot([0, 1], [0, 1], "--", color="black", label="perfect calibration")
    upper.set(xlim=(0, 1), ylim=(0, 1))
    upper.legend(loc="upper left", fontsize=SMALL)
    bars = lower.bar(centres, counts, width, color=colours, edgecolor="white")
    labels = [f"{count:,}" if count else "" for count in counts.tolist()]
    lower.bar_label(bars, labels, rotation=90, padding=3, fontsize=SMALL)
    lower.margins(y=1)  # room for the labels
    lower.set_yticks([])  # the labels say it
    return figure


def attention_figure(words: list[str], weights: NDArray[np.floating], title: str) -> "Figure":
    """The words in reading order, each on a background as strong as its weight relative to the largest.

    Of a text with more than 200 words, the 200 neighbouring words with the most weight are shown. The title says how
    many are left out on either side.

    Args:
        words: the T words.
        weights: weight of each word, (T,), not negative.
        title: description of the text.

    Returns:
        The figure.

    Raises:
        ValueError: if there are not as many weights as words.
    """
    from matplotlib.patches import Rectangle

    strengths = weights / (weights.max(initial=0) or 1)
    start = heaviest_window(strengths, MAX_WORDS)
    if left_out := max(len(words) - MAX_WORDS, 0):
        title += f" ({left_out} of {len(words)} words left out: {start} before, {left_out - start} after)"

    shown = list(zip(words, strengths.tolist(), strict=True))[start : start + MAX_WORDS]
    texts = [drawable(shorten(visible(word), 40), "monospace") for word, _ in shown]
    letters = sum(len(text) + 1 for text in texts)
    columns = int(np.clip(letters / LINES_OF_SHORT, SHORTEST_LINE, WIDEST_LINE))
    columns = max(columns, max(map(len, texts), default=0))
    cells: list[tuple[int, int, str, float]] = []  # line, first column, text, strength
    line = column = 0
    for text, (_, strength) in zip(texts, shown, strict=True):
        if column + len(text) > columns:
            line, column = line + 1, 0
        cells.append((line, column, text, strength))
        column += len(text) + 1

    margin, head = 0.15, 0.35  # inches, of the edge and of a heading
    width = WIDTH - 2 * margin
    letter = math.floor(100 * width / columns) / 100  # inches; drawn, it is a whole number of pixels wide
    size = 72 * letter / 0.602  # points; a monospace letter is 0.602 em wide
    title_lines = textwrap.wrap(drawable(visible(title)), int(72 * width / SMALL / LETTER))
    height, top = (line + 1) * 1.9 * size / 72, margin + head + 1.4 * SMALL / 72 * len(title_lines)
    full_height = max(height + margin + top, SMALLEST_HEIGHT)
    figure = new_figure(full_height)
    figure.set_layout_engine("none")
    axes = figure.add_axes((margin / WIDTH, 1 - (top + height) / full_height, width / WIDTH, height / full_height))
    axes.set(xlim=(0, columns), ylim=(line + 1, 0))
    axes.set_axis_off()
    axes.set_title("\n".join(title_lines), loc="left", fontsize=SMALL, parse_math=False)
    for line, column, text, strength in cells:
        axes.add_patch(Rectangle((column - 0.4, line + 0.08), len(text) + 0.8, 0.84, color=ATTENTION_COLOUR,
                                 alpha=strength, linewidth=0, clip_on=False))  # fmt: skip
        axes.text(column, line + 0.5, text, fontsize=size, family="monospace", va="center_baseline",
                  parse_math=False)  # fmt: skip
    return figure


def attention_text(words: list[str], weights: NDArray[np.floating], title: str) -> str:
    """The attention as Markdown: the words, those with the highest weights in bold, and a table of the top 10.

    Args:
        words: the T words.
        weights: weight of each word, (T,).
        title: description of the text.

    Returns:
        The Markdown. A tenth of the words is bold; equal weights rank in reading order.

    Raises:
        ValueError: if there are not as many weights as words.
    """
    cells = [(escape_markdown(visible(word)), weight) for word, weight in zip(words, weights, strict=True)]
    ranking = np.argsort(-weights, kind="stable")
    bold = set(ranking[: math.ceil(len(words) / 10)].tolist())
    text = " ".join(f"**{word}**" if position in bold else word for position, (word, _) in enumerate(cells))
    rows = [f"| {word} | {weight:.4f} |" for word, weight in (cells[position] for position in ranking[:10])]
    return "\n".join(
        [f"### {escape_markdown(visible(title))}", "", text, "", "| word | weight |", "| --- | ---: |", *rows]
    )


def heaviest_window(weights: NDArray[np.floating], size: int) -> int:
    """Start of the ``size`` neighbouring weights with the largest sum; 0 if there are not more than ``size``."""
    sums = np.concatenate([[0], np.cumsum(weights, dtype=np.float64)])
    return int(np.argmax(sums[size:] - sums[:-size])) if len(weights) > size else 0
