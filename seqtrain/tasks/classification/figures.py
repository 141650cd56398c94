"""Figures of classification, drawn from arrays: confusion, calibration, and the attention paid to each word.

Only Matplotlib's object interface is used, so that no global state changes. Text is drawn without math mode, and a
character that the font lacks becomes a box.

Shapes: N examples, C classes, T words.
"""

import math
import re
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqtrain.tasks.classification.metrics import calibration_error, reliability_bins

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_CLASSES_WITH_COUNTS = 20
MAX_CLASS_TICKS = 120
MAX_WORDS = 200
LINE_COLUMNS = 100
BAR_COLOUR = "#4c78a8"
ATTENTION_COLOUR = "#ff7f0e"


def confusion_figure(
    predictions: NDArray[np.integer], targets: NDArray[np.integer], class_names: list[str]
) -> "Figure":
    """Confusion matrix, a row per true class: colour is the share of the row, the text in a cell its count.

    Counts are written for at most 20 classes. Of more than 120 class names, an even selection is written.

    Args:
        predictions: predicted classes, (N,), in [0, C).
        targets: true classes, (N,), in [0, C).
        class_names: the C names.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure

    num_classes = len(class_names)
    cells = np.ravel_multi_index((targets, predictions), (num_classes, num_classes))
    counts = np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    with_counts = num_classes <= MAX_CLASSES_WITH_COUNTS
    side = float(np.clip(num_classes * (0.5 if with_counts else 0.28), 3, 12))  # inches
    figure = Figure(figsize=(side + 3, side + 2), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, label="share of the true class", shrink=0.8)

    every = math.ceil(num_classes / MAX_CLASS_TICKS)
    names = [drawable(shorten(visible(name), 24)) for name in class_names[::every]]
    style: dict[str, Any] = {"fontsize": float(np.clip(50 * side / len(names), 4, 10)), "parse_math": False}
    rotation = 0 if sum(map(len, names)) < 10 * side else 90
    axes.set_xticks(range(0, num_classes, every), names, rotation=rotation, **style)
    axes.set_yticks(range(0, num_classes, every), names, **style)
    axes.set(xlabel="predicted", ylabel="true", title=f"{len(targets):,} examples")
    if with_counts:
        for row, column in np.ndindex(counts.shape):
            axes.text(
                column,
                row,
                f"{counts[row, column]:,}",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if shares[row, column] > 0.5 else "black",
            )
    return figure


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
    from matplotlib.figure import Figure

    width = 1 / len(counts)
    centres = (np.arange(len(counts)) + 0.5) * width

    figure = Figure(figsize=(6, 6.5), layout="constrained")
    upper, lower = figure.subplots(2, sharex=True, height_ratios=[3, 1])
    upper.bar(centres, accuracy, width, color=BAR_COLOUR, edgecolor="white", label="accuracy in the bin")
    upper.plot([0, 1], [0, 1], "--", color="black", label="perfect calibration")
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy", title=title)
    upper.legend(loc="upper left")
    bars = lower.bar(centres, counts, width, color=BAR_COLOUR, edgecolor="white")
    labels = [f"{count:,}" if count else "" for count in counts.tolist()]
    lower.bar_label(bars, labels, rotation=90, padding=3, fontsize=8)
    lower.margins(y=1)  # room for the labels
    lower.set(xlabel="confidence: probability of the predicted class", ylabel=counted)
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
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    strengths = weights / (weights.max(initial=0) or 1)
    start = heaviest_window(strengths, MAX_WORDS)
    if left_out := max(len(words) - MAX_WORDS, 0):
        title += f" ({left_out} of {len(words)} words left out: {start} before, {left_out - start} after)"

    cells: list[tuple[int, int, str, float]] = []  # line, first column, text, strength
    line = column = 0
    for word, strength in list(zip(words, strengths, strict=True))[start : start + MAX_WORDS]:
        text = drawable(shorten(visible(word), 40), "monospace")
        if column + len(text) > LINE_COLUMNS:
            line, column = line + 1, 0
        cells.append((line, column, text, float(strength)))
        column += len(text) + 1

    title_lines = textwrap.wrap(drawable(visible(title)), LINE_COLUMNS)
    font_size, line_height, margin = 10, 0.27, 0.15  # points, inches, inches
    width = LINE_COLUMNS * 0.602 * font_size / 72  # inches; a monospace letter is 0.602 em wide
    height = (line + 1) * line_height
    full_width, full_height = width + 2 * margin, height + 2 * margin + 0.2 * len(title_lines)
    figure = Figure(figsize=(full_width, full_height))
    axes = figure.add_axes((margin / full_width, margin / full_height, width / full_width, height / full_height))
    axes.set(xlim=(0, LINE_COLUMNS), ylim=(line + 1, 0))
    axes.set_axis_off()
    axes.set_title("\n".join(title_lines), loc="left", fontsize=font_size, parse_math=False)
    for line, column, text, strength in cells:
        axes.add_patch(Rectangle((column - 0.4, line + 0.08), len(text) + 0.8, 0.84, color=ATTENTION_COLOUR,
                                 alpha=strength, linewidth=0, clip_on=False))  # fmt: skip
        axes.text(column, line + 0.5, text, fontsize=font_size, family="monospace", va="center_baseline",
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


def escape_markdown(text: str) -> str:
    """Replace everything that Markdown or HTML could read as markup by character references."""
    return re.sub(r"[^\w\s,;?'\"/%]|_", lambda match: f"&#{ord(match[0])};", text)


def visible(text: str) -> str:
    """Replace runs of whitespace by single spaces; a text of nothing but whitespace becomes an open box."""
    return " ".join(text.split()) or "␣"


def shorten(text: str, length: int) -> str:
    """Cut a text to at most ``length`` characters; the last one is an ellipsis if any were cut."""
    return text if len(text) <= length else text[: length - 1] + "…"


def drawable(text: str, family: str = "sans-serif") -> str:
    """Replace characters without a glyph in the font, which Matplotlib would warn about, by a box."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    font = get_font(findfont(FontProperties(family=[family])))
    return "".join(letter if font.get_char_index(ord(letter)) else "□" for letter in text)
