"""What the figures of all tasks share: colours, sizes, and text that Matplotlib can draw.

TensorBoard shows figures as thumbnails of some 300 pixels. So they are small, and their type is large.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BAR_COLOUR = "#4c78a8"
WIDTH, HEIGHT = 6.4, 4.8
"""Usual size in inches."""
TITLE, TYPE, SMALL = 14, 13, 11
"""Sizes of type in points: of headings, of labels, and where there is little room."""
LETTER = 0.6
"""Usual width of a letter, as a share of the size of its type."""


def new_figure(height: float = HEIGHT, width: float = WIDTH) -> "Figure":
    """An empty figure of a size in inches, whose axes make room for their labels."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def label(axes: Any, title: str = "", x: str = "", y: str = "") -> None:
    """Write title and labels of axes, as plain text, and set the size of their type."""
    axes.set_title(title, fontsize=TYPE, parse_math=False)
    axes.set_xlabel(x, fontsize=TYPE, parse_math=False)
    axes.set_ylabel(y, fontsize=TYPE, parse_math=False)
    axes.tick_params(labelsize=SMALL)


def legend_above(axes: Any) -> None:
    """Put the legend of axes above them, in one line."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderaxespad=0, frameon=False, fontsize=SMALL,
                handlelength=1, columnspacing=1)  # fmt: skip


def headed(figures: Mapping[str, "Figure"], heading: str) -> dict[str, "Figure"]:
    """Write a heading above figures, which says of what they are."""
    for figure in figures.values():
        figure.suptitle(heading, fontsize=TITLE, fontweight="bold", parse_math=False)
    return dict(figures)


def heading(split: str, step: int, monitor: str, value: float, remark: str = "") -> str:
    """The heading of the figures of a split at a step: the score, and a remark, if any."""
    return f"{split}, step {step:,}: {monitor} {value:.4g}" + (f", {remark}" if remark else "")


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


def escape_markdown(text: str) -> str:
    """Replace everything that Markdown or HTML could read as markup by character references."""
    return re.sub(r"[^\w\s,;?'\"/%]|_", lambda match: f"&#{ord(match[0])};", text)
