"""Tables of finer scores as Markdown."""

from collections.abc import Mapping, Sequence

from seqtrain.tasks.drawing import escape_markdown, shorten, visible

MOST_ROWS = 100


def score_table(scores: Mapping[str, Mapping[str, float | int | None]], columns: Sequence[str], of: str) -> str:
    """A table with a row for each class, the most frequent first; only the 100 most frequent of more.

    Args:
        scores: scores of each class by name, with ``support``, its number of rows.
        columns: names of the scores to show; one that is None is not defined.
        of: what the rows are, such as ``class``.

    Returns:
        The Markdown.
    """
    order = sorted(scores, key=lambda name: -(scores[name]["support"] or 0))
    lines = [
        f"| {of} | {' | '.join(name.replace('_', ' ') for name in columns)} |",
        "| --- |" + " ---: |" * len(columns),
    ]
    for name in order[:MOST_ROWS]:
        cells = " | ".join(written(scores[name][column]) for column in columns)
        lines.append(f"| {escape_markdown(shorten(visible(name), 60))} | {cells} |")
    if len(order) > MOST_ROWS:
        lines += ["", f"The {MOST_ROWS} most frequent of {len(order):,}."]
    return "\n".join(lines)


def written(value: float | int | None) -> str:
    """A score with four digits, a count in full, and a hyphen for what is not defined."""
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
