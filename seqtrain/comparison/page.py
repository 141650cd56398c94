"""A report as one self-contained HTML page, which needs no network and no other file."""

from collections.abc import Sequence
from html import escape

from seqtrain.comparison import figures
from seqtrain.comparison.explanations import MEANING
from seqtrain.comparison.grouping import format_value
from seqtrain.comparison.metrics import unit
from seqtrain.comparison.pairs import Pairs, resampling_line, sentence
from seqtrain.comparison.report import Report, Table
from seqtrain.comparison.style import READING, SCRIPT, STYLE
from seqtrain.comparison.text import cells, direction_line


def page(report: Report, directories: Sequence[str]) -> str:
    """The whole page.

    Args:
        report: the content.
        directories: where the runs are.
    """
    where = ", ".join(directories)
    parts = ["<h1>Comparison of runs</h1>"]
    runs = sum(len(group.runs) for table in report.tables for group in table.groups)
    count = sum(len(table.groups) for table in report.tables)
    parts.append(f'<p class="soft">{runs} runs of {count} configurations in {escape(where)}</p>')
    parts += [f'<p class="warning">{escape(line)}</p>' for line in report.warnings]
    for table in report.tables:
        parts += table_parts(table)
    if report.unfinished:
        rows = [[str(run.path), run.state, run.reason] for run in report.unfinished]
        parts.append("<h2>Not finished, and not in any table</h2>")
        parts.append(html_table(["run", "state", "why"], rows, rows, text=3))
    if not report.tables:
        parts.append("<p>There is no finished run.</p>")
    else:
        parts.append(READING)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Comparison of {escape(where)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + f"\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def escape_with_nbsp(text: str) -> str:
    """Escape text for HTML, with no line break before a per cent sign."""
    return escape(text).replace(" %", "&nbsp;%")


def table_parts(table: Table) -> list[str]:
    """Everything that belongs to one table: scores, figures, differences, options and runs."""
    parts = [f"<h2>{escape(table.heading)}</h2>", score_table(table)]
    parts.append(f'<p class="soft">{escape(direction_line(table))}</p>')
    for pairs in table.pairs:
        items = "".join(f"<li>{escape_with_nbsp(sentence(d, pairs))}</li>" for d in pairs.with_best)
        parts.append(f'<ul>{items}</ul>\n<p class="soft">{escape_with_nbsp(resampling_line(pairs))}</p>')
    parts += [f'<p class="warning">{escape(line)}</p>' for line in table.notes]
    parts.append(f'<div class="figures">{"".join(figure_parts(table))}</div>')
    for pairs in table.pairs:
        parts.append(details(f"Every pair, by {pairs.metric}", pair_table(pairs)))
    if table.explanations:
        header, *rows = table.explanations
        parts.append(f'{html_table(header, rows, rows)}\n<p class="soft">{escape(MEANING)}</p>')
    if table.keys:
        parts.append(details("Every option that differs", option_table(table)))
    parts.append(details("Every run", run_table(table)))
    return parts


def figure_parts(table: Table) -> list[str]:
    """The figures of a table with their captions."""
    metrics = [pairs.metric for pairs in table.pairs]
    metrics = [table.ranked, *(metric for metric in metrics if metric != table.ranked)]
    drawn: list[tuple[str | None, str]] = []
    for metric in metrics:
        far = ", ".join(f"{row.name} {row.mean(metric):.4g}" for row in figures.far_baselines(table, metric))
        caption = f"{metric} on {table.split}: mean, deviation and each seed; dashed, baselines."
        drawn.append(
            (figures.draw(figures.score_figure, table, metric), caption + (f" Too far away: {far}." if far else ""))
        )
    for pairs in table.pairs:
        caption = f"Difference in {pairs.metric} from the best, with 95 % intervals; hollow: the interval contains 0."
        drawn.append((figures.draw(figures.difference_figure, table, pairs), caption))
    metric = table.ranked
    drawn.append(
        (figures.draw(figures.curve_figure, table, metric), f"{metric} on validation; bands are one deviation.")
    )
    drawn.append((figures.draw(figures.cost_figure, table, metric, "seconds"), f"{metric} and the time of training."))
    drawn.append(
        (figures.draw(figures.cost_figure, table, metric, "parameters"), f"{metric} and the size of the model.")
    )
    return [f"<figure>{svg}<figcaption>{escape(words)}</figcaption></figure>" for svg, words in drawn if svg]


def score_table(table: Table) -> str:
    """The main table, with each group's number and colour."""
    header, *rows = cells(table)
    header[0] = "configuration"
    values: list[list[object]] = []
    for row in [*table.rows, *table.baselines]:
        runs = len(row.group.runs) if row.group else None
        values.append([row.name, runs, *(row.mean(m) for m in table.metrics), row.parameters, row.seconds])
    badges = [
        f'<span class="badge" style="background:{figures.colour(i)}">{i + 1}</span>' for i in range(len(table.rows))
    ]
    return html_table(header, rows, values, badges=badges)


def pair_table(pairs: Pairs) -> str:
    """A table of every pair of groups."""
    factor, words = unit(pairs.metric, pairs.task)
    header = ["better", "worse", f"difference, {words}", "lower", "upper", "shown"]
    values: list[list[object]] = []
    rows = []
    for d in pairs.differences:
        numbers = [factor * each for each in (d.value, d.lower, d.upper)]
        shown_at_all = "yes" if d.is_shown else "no"
        values.append([d.better.label, d.worse.label, *numbers, shown_at_all])
        rows.append([d.better.label, d.worse.label, *(f"{number:.4g}" for number in numbers), shown_at_all])
    return html_table(header, rows, values, text=2)


def option_table(table: Table) -> str:
    """A table of the options that differ between groups, one row for each option."""
    header = ["option", *(f"{i + 1}" for i in range(len(table.groups)))]
    rows = [
        [key, *(format_value(group.options[key]) if key in group.options else "-" for group in table.groups)]
        for key in table.keys
    ]
    return html_table(header, rows, rows)


def run_table(table: Table) -> str:
    """A table of every run with its seed, its fold if there are folds, its score and its directory."""
    folded = any(run.fold is not None for group in table.groups for run in group.runs)
    header = ["run", "configuration", "seed", *["fold"] * folded, f"{table.split} {table.ranked}", "seconds"]
    rows, values = [], list[list[object]]()
    for group in table.groups:
        for run in group.runs:
            score, fold = run.scores.get(table.split, {}).get(table.ranked), [run.fold] * folded
            values.append([str(run.path), group.label, run.seed, *fold, score, run.seconds])
            numbers = ["-" if score is None else f"{score:.6g}", "-" if run.seconds is None else f"{run.seconds:,.1f}"]
            rows.append([str(run.path), group.label, str(run.seed), *map(str, fold), *numbers])
    return html_table(header, rows, values, text=2)


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
        rows: their cells.
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
            parts.append(f'<td{classes[column]} data-value="{value}">{mark}{escape(cell)}</td>')
        baseline = ' class="baseline"' if badges and number >= len(badges) else ""
        lines.append(f"<tr{baseline}>{''.join(parts)}</tr>")
    body = "\n".join(lines)
    head = f"<thead><tr>{heads}</tr></thead>"
    return f'<div class="scroll"><table class="sortable">{head}\n<tbody>{body}</tbody></table></div>'


def details(summary: str, content: str) -> str:
    """Content that a click unfolds."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"
