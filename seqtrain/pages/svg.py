"""Figures as SVG for HTML pages: text stays text, and black becomes the page's text colour."""

import io
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = (
    *("#4269d0", "#d97a07", "#3ca951", "#e0564a", "#a463f2", "#178f9c", "#c94f94", "#9c6b4e", "#6f7c12", "#76787a"),
)
WIDTH = 5.0  # inches; text stays readable when a phone shrinks the figure
GREY = "#808080"
STYLE = {
    "svg.fonttype": "none",  # text in the page's font
    "svg.hashsalt": "seqtrain",  # identical output for identical runs
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.grid": True,
    "grid.color": GREY,
    "grid.alpha": 0.25,
    "axes.axisbelow": True,
}


def colour(place: int) -> str:
    """Colour of what is at ``place`` in a table, from 0."""
    return COLOURS[place % len(COLOURS)]


def to_svg(figure: "Figure") -> str:
    """The figure as an SVG element that fills the available width."""
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Type": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' id="(?:[a-z]+\.?[a-z]*_\d+|axes|legend)"', "", text)  # ids would repeat in every figure
    text = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', r'<svg \1 role="img">', text, count=1, flags=re.DOTALL)
    return text.replace("#000000", "currentColor")


def draw(make: Any, *arguments: Any) -> str | None:
    """SVG of the figure that ``make`` returns, in this module's style; None if ``make`` returns None."""
    import matplotlib

    with matplotlib.rc_context(STYLE):  # type: ignore[arg-type]
        figure = make(*arguments)
        return None if figure is None else to_svg(figure)


def canvas(height: float) -> tuple["Figure", "Axes"]:
    """An empty figure of this height in inches, and its axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.add_subplot()


def above(axes: "Axes") -> None:
    """Put a legend above the axes, without a frame, which would hide curves and be white on a dark page."""
    legend = axes.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False, borderaxespad=0)
    for text in legend.get_texts():
        text.set_parse_math(False)
