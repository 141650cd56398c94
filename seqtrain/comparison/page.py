"""A report as one self-contained HTML page, which needs no network and no other file."""

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from seqtrain.comparison import figures
from seqtrain.comparison.agreement import AGREEMENT
from seqtrain.comparison.classes import ClassTable, class_table
from seqtrain.comparison.explanations import MEANING
from seqtrain.comparison.grouping import format_value
from seqtrain.comparison.metrics import unit
from seqtrain.comparison.pairs import Pairs, resampling_line, sentence
from seqtrain.comparison.report import Report, Table
from seqtrain.comparison.runs import Run
from seqtrain.comparison.text import cells, direction_line
from seqtrain.pages.html import Html, details, escape_with_nbsp, html_table, link, whole
from seqtrain.pages.svg import colour, draw

READING = """
<h3>How to read this</h3>
<p>A row is one configuration; ± is the standard deviation over its seeds or folds. An interval of a difference comes
from the paired bootstrap: it says how far the difference would move if other test examples had been drawn, with the
trained models as they are. It does not say how far it would move with other seeds: compare the difference with ± for
that. With many configurations, the one that comes first owes some of its lead to chance. Axes of scores span at least
5 points of a share, or a tenth of another score, and at least the widest interval: noise should not look large.</p>
"""
MOST_CLASSES = 100
"""Of the table of classes: those that differ most."""


def page(report: Report, directories: Sequence[str], folder: Path) -> str:
    """The whole page.

    Args:
        report: the content.
        directories: where the runs are.
        folder: the folder of the page, from which links to runs go.
    """
    where = ", ".join(directories)
    parts = ["<h1>Comparison of runs</h1>"]
    runs = sum(len(group.runs) for table in report.tables for group in table.groups)
    count = sum(len(table.groups) for table in report.tables)
    parts.append(f'<p class="soft">{runs} runs of {count} configurations in {escape(where)}</p>')
    parts += [f'<p class="warning">{escape(line)}</p>' for line in report.warnings]
    for table in report.tables:
        parts += table_parts(table, folder)
    if report.unfinished:
        rows = [[str(run.path), run.state, run.reason] for run in report.unfinished]
        parts.append("<h2>Not finished, and not in any table</h2>")
        parts.append(html_table(["run", "state", "why"], rows, rows, text=3))
    if not report.tables:
        parts.append("<p>There is no finished run.</p>")
    else:
        parts.append(READING)
    return whole(f"Comparison of {where}", parts)


def table_parts(table: Table, folder: Path) -> list[str]:
    """Everything that belongs to one table: scores, figures, differences, options and runs."""
    parts = [f"<h2>{escape(table.heading)}</h2>", score_table(table)]
    parts.append(f'<p class="soft">{escape(direction_line(table))}</p>')
    for pairs in table.pairs:
        items = "".join(f"<li>{escape_with_nbsp(sentence(d, pairs))}</li>" for d in pairs.with_best)
        parts.append(f'<ul>{items}</ul>\n<p class="soft">{escape_with_nbsp(resampling_line(pairs))}</p>')
    parts += [f'<p class="warning">{escape(line)}</p>' for line in table.notes]
    if drawn := figure_parts(table):
        parts.append(f'<div class="figures">{"".join(drawn)}</div>')
    for pairs in table.pairs:
        parts.append(details(f"Every pair, by {pairs.metric}", pair_table(pairs)))
    if (classes := class_table(table)) is not None:
        parts.append(details("Every class", class_parts(classes, table)))
    for found, meaning in ((table.explanations, MEANING), (table.agreement, AGREEMENT)):
        if found:
            header, *rows = found
            parts.append(f'{html_table(header, rows, rows)}\n<p class="soft">{escape(meaning)}</p>')
    if table.keys:
        parts.append(details("Every option that differs", option_table(table)))
    parts.append(details("Every run", run_table(table, folder) + commands(table, folder)))
    return parts


def figure_parts(table: Table) -> list[str]:
    """The figures of a table with their captions."""
    metrics = [pairs.metric for pairs in table.pairs]
    metrics = [table.ranked, *(metric for metric in metrics if metric != table.ranked)]
    drawn: list[tuple[str | None, str]] = []
    for metric in metrics:
        far = ", ".join(f"{row.name} {row.mean(metric):.4g}" for row in figures.far_baselines(table, metric))
        caption = f"{metric} on {table.split}: mean, deviation and each seed; dashed, baselines."
        drawn.append((draw(figures.score_figure, table, metric), caption + (f" Too far away: {far}." if far else "")))
    for pairs in table.pairs:
        caption = f"Difference in {pairs.metric} from the best, with 95 % intervals; hollow: the interval contains 0."
        drawn.append((draw(figures.difference_figure, table, pairs), caption))
    metric = table.ranked
    drawn.append((draw(figures.curve_figure, table, metric), f"{metric} on validation; bands are one deviation."))
    drawn.append((draw(figures.cost_figure, table, metric, "seconds"), f"{metric} and the time of training."))
    drawn.append((draw(figures.cost_figure, table, metric, "parameters"), f"{metric} and the size of the model."))
    return [f"<figure>{svg}<figcaption>{escape(words)}</figcaption></figure>" for svg, words in drawn if svg]


def score_table(table: Table) -> str:
    """The main table, with each group's number and colour."""
    header, *rows = cells(table)
    header[0] = "configuration"
    values: list[list[object]] = []
    for row in [*table.rows, *table.baselines]:
        runs = len(row.group.runs) if row.group else None
        values.append([row.name, runs, *(row.mean(m) for m in table.metrics), row.parameters, row.seconds])
    badges = [f'<span class="badge" style="background:{colour(i)}">{i + 1}</span>' for i in range(len(table.rows))]
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


def class_parts(classes: ClassTable, table: Table) -> str:
    """A table of the share of each class's rows that configurations have right, and how to read it."""
    numbers = [str(table.groups.index(group) + 1) for group in classes.groups]
    header = ["class", "rows", *numbers]
    order = np.argsort(-np.ptp(classes.shares, axis=0), kind="stable")
    order = order[classes.rows[order] > 0][:MOST_CLASSES]
    marks = [np.zeros(len(classes.names), dtype=bool), *(each.shown for each in classes.differences)]
    rows, values = [], list[list[object]]()
    for c in order.tolist():
        shares = [float(share) for share in classes.shares[:, c]]
        cells = [f"{100 * share:.1f}{'*' * bool(mark[c])}" for share, mark in zip(shares, marks, strict=True)]
        rows.append([classes.names[c], f"{classes.rows[c]:,}", *cells])
        values.append([classes.names[c], int(classes.rows[c]), *shares])
    words = (
        "Share of the class's rows that is right, in per cent, by configuration. * differs from configuration "
        f"{numbers[0]}: the 95 % interval for paired rows does not contain 0. Of classes without a difference, up to "
        "one in twenty has a * by chance."
    )
    return f'{html_table(header, rows, values)}<p class="soft">{escape_with_nbsp(words)}</p>'


def run_link(run: Run, folder: Path) -> Html:
    """A link to a run's directory."""
    return link(os.path.relpath(run.path.resolve(), folder.resolve()), str(run.path))


def run_table(table: Table, folder: Path) -> str:
    """A table of every run with its seed, its fold if there are folds, its score and a link to its directory."""
    folded = any(run.fold is not None for group in table.groups for run in group.runs)
    header = ["run", "configuration", "seed", *["fold"] * folded, f"{table.split} {table.ranked}", "seconds"]
    rows, values = [], list[list[object]]()
    for group in table.groups:
        for run in group.runs:
            score, fold = run.scores.get(table.split, {}).get(table.ranked), [run.fold] * folded
            values.append([str(run.path), group.label, run.seed, *fold, score, run.seconds])
            numbers = ["-" if score is None else f"{score:.6g}", "-" if run.seconds is None else f"{run.seconds:,.1f}"]
            rows.append([run_link(run, folder), group.label, str(run.seed), *map(str, fold), *numbers])
    return html_table(header, rows, values, text=2)


def commands(table: Table, folder: Path) -> str:
    """The command that made each run, where it is known."""
    runs = [run for group in table.groups for run in group.runs if run.environment.command_line]
    parts = [
        f"<p>{run_link(run, folder)}</p><pre><code>{escape(run.environment.command_line)}</code></pre>" for run in runs
    ]
    return details("Their commands", "".join(parts)) if parts else ""
