"""Parts of self-contained HTML pages, which need no network and no other file."""

from collections.abc import Sequence
from html import escape
from urllib.parse import quote

from seqtrain.pages.style import SCRIPT, STYLE


class Html(str):
    """Text of a cell that is HTML already."""


def cell_html(cell: str) -> str:
    """A cell as HTML: text is escaped."""
    return cell if isinstance(cell, Html) else escape(cell)


def bar(share: float) -> str:
    """A bar as long as a share, from 0 to 1, of its width."""
    return f'<span class="bar" style="--share:{100 * min(max(share, 0.0), 1.0):.1f}%"></span>'


def link(path: str, text: str) -> Html:
    """A link to a file or folder, by its path from the page."""
    return Html(f'<a href="{escape(quote(path, errors="surrogateescape"))}">{escape(text)}</a>')


def whole(title: str, parts: Sequence[str]) -> str:
    """A page.

    Args:
        title: its title, as text.
        parts: HTML of its body, from the top.
    """
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + f"\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def escape_with_nbsp(text: str) -> str:
    """Escape text for HTML, with no line break before a per cent sign."""
    return escape(text).replace(" %", "&nbsp;%")


def html_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    values: Sequence[Sequence[object]],
    text: int = 1,
    badges: Sequence[str] = (),
) -> str:
    """A table that can be sorted by a click on a heading.

    Args:
        header: headings of the columns.
        rows: their cells, text or ``Html``.
        values: sort keys of the cells; None is always last.
        text: number of columns at the left that contain words.
        badges: HTML before the first cell of the first rows. If any are given, rows without one are baselines.
    """
    classes = [' class="text"' if column < text else "" for column in range(len(header))]
    heads = "".join(
        f'<th scope="col"{c}><button>{escape(h)}</button></th>' for c, h in zip(classes, header, strict=True)
    )
    lines = []
    for number, (row, keys) in enumerate(zip(rows, values, strict=True)):
        parts = []
        for column, (cell, key) in enumerate(zip(row, keys, strict=True)):
            mark = badges[number] if column == 0 and number < len(badges) else ""
            value = "" if key is None else escape(str(key))
            parts.append(f'<td{classes[column]} data-value="{value}">{mark}{cell_html(cell)}</td>')
        baseline = ' class="baseline"' if badges and number >= len(badges) else ""
        lines.append(f"<tr{baseline}>{''.join(parts)}</tr>")
    body = "\n".join(lines)
    head = f"<thead><tr>{heads}</tr></thead>"
    return f'<div class="scroll"><table class="sortable">{head}\n<tbody>{body}</tbody></table></div>'


def details(summary: str, content: str) -> str:
    """Content that a click unfolds."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"
