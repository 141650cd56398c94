"""A report as plain text, Markdown or CSV."""

import csv
import io
from collections.abc import Sequence

from seqtrain.alignment import align_columns
from seqtrain.comparison.agreement import AGREEMENT
from seqtrain.comparison.explanations import MEANING
from seqtrain.comparison.grouping import format_value
from seqtrain.comparison.metrics import column_decimals
from seqtrain.comparison.pairs import resampling_line, sentence
from seqtrain.comparison.report import Report, Table


def cells(table: Table) -> list[list[str]]:
    """Header and rows: name, runs, one column per metric, parameters, seconds; "-" for a missing value."""
    header = ["", "runs", *table.metrics, "parameters", "seconds"]
    rows = [*table.rows, *table.baselines]
    columns = []
    for metric in table.metrics:
        means = [row.mean(metric) for row in rows]
        decimals = column_decimals([mean for mean in means[: len(table.rows)] if mean is not None])
        column = []
        for row, mean in zip(rows, means, strict=True):
            deviation = row.deviation(metric)
            spread = "" if deviation is None else f" ± {deviation:.{decimals}f}"
            column.append("-" if mean is None else f"{mean:,.{decimals}f}{spread}")
        columns.append(column)
    lines = []
    for i, row in enumerate(rows):
        runs = str(len(row.group.runs)) if row.group else "-"
        parameters = "-" if row.parameters is None else f"{row.parameters:,}"
        seconds = "-" if row.seconds is None else f"{row.seconds:,.0f}" if row.seconds >= 10 else f"{row.seconds:.1f}"
        lines.append([row.name, runs, *(column[i] for column in columns), parameters, seconds])
    return [header, *lines]


def direction_line(table: Table) -> str:
    """Which metric orders the rows, and which direction is better."""
    better = "more" if table.maximize else "less"
    return f"Best {table.ranked} first ({better} is better). ± is the standard deviation over {table.repeats}."


def sentences(table: Table) -> list[str]:
    """Lead of the best configuration over each other one, by each metric, and how intervals were computed."""
    lines = []
    for pairs in table.pairs:
        lines += [f"{sentence(difference, pairs)}." for difference in pairs.with_best]
        lines.append(resampling_line(pairs))
    return lines


def terminal(report: Report) -> str:
    """The report as aligned plain text."""
    blocks = [[f"warning: {line}" for line in report.warnings]]
    for table in report.tables:
        blocks.append([table.heading, "", *align_columns(cells(table)), "", direction_line(table)])
        blocks.append(sentences(table))
        if table.explanations:
            blocks.append([*align_columns(table.explanations), "", MEANING])
        if table.agreement:
            blocks.append([*align_columns(table.agreement), "", AGREEMENT])
        blocks.append([f"note: {line}" for line in table.notes])
    if report.unfinished:
        rows = [[str(run.path), run.state, run.reason] for run in report.unfinished]
        blocks.append(["Not finished, and not in any table:", *align_columns(rows, left=range(3))])
    if not report.tables:
        blocks.append(["There is no finished run."])
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def markdown(report: Report) -> str:
    """The report as Markdown, with one table for each set of comparable runs."""
    blocks = [[f"- **Warning:** {escape_markdown(line)}" for line in report.warnings]]
    for table in report.tables:
        blocks.append([f"## {escape_markdown(table.heading)}"])
        blocks.append(markdown_table(cells(table)))
        blocks.append([escape_markdown(direction_line(table))])
        blocks.append([f"- {escape_markdown(line)}" for line in [*sentences(table), *table.notes]])
        if table.explanations:
            blocks += [markdown_table(table.explanations), [escape_markdown(MEANING)]]
        if table.agreement:
            blocks += [markdown_table(table.agreement), [escape_markdown(AGREEMENT)]]
    if report.unfinished:
        rows = [[str(run.path), run.state, run.reason] for run in report.unfinished]
        blocks += [["## Not finished, and not in any table"], markdown_table([["run", "state", "why"], *rows], left=3)]
    if not report.tables:
        blocks.append(["There is no finished run."])
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def markdown_table(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Rows, of which the first is the header, as a Markdown table."""
    rule = ["---" if i < left else "---:" for i in range(len(rows[0]))]
    return [f"| {' | '.join(escape_markdown(cell) for cell in row)} |" for row in [rows[0], rule, *rows[1:]]]


def escape_markdown(text: str) -> str:
    """Escape the Markdown characters that occur in names."""
    return "".join(f"\\{letter}" if letter in "\\`*_|<>[]" else letter for letter in text)


def group_csv(report: Report) -> str:
    """CSV with one row per configuration and baseline: table, name, differing options, scores in full precision."""
    keys = list(dict.fromkeys(key for table in report.tables for key in table.keys))
    metrics = list(dict.fromkeys(metric for table in report.tables for metric in table.metrics))
    header = ["table", "split", "group", "is_baseline", *keys, "runs"]
    header += [column for metric in metrics for column in (metric, f"{metric}_sd")] + ["parameters", "seconds"]
    rows: list[list[object]] = []
    for table in report.tables:
        for row in [*table.rows, *table.baselines]:
            options = row.group.options if row.group else {}
            line: list[object] = [table.heading, table.split, row.name, "false" if row.group else "true"]
            line += [format_value(options[key]) if key in options else "" for key in keys]
            line.append(len(row.group.runs) if row.group else "")
            for metric in metrics:
                line += [row.mean(metric), row.deviation(metric)]
            rows.append([*line, row.parameters, row.seconds])
    return to_csv([header, *rows])


def pair_csv(report: Report) -> str:
    """CSV with one row per pair of configurations and metric: the lead of ``better`` and its interval."""
    header = ["table", "metric", "better", "worse", "difference", "lower", "upper", "is_shown", "examples", "block"]
    rows: list[list[object]] = []
    for table in report.tables:
        for pairs in table.pairs:
            for d in pairs.differences:
                line = [table.heading, pairs.metric, d.better.label, d.worse.label, d.value, d.lower, d.upper]
                rows.append([*line, str(d.is_shown).lower(), pairs.examples, pairs.block])
    return to_csv([header, *rows])


def to_csv(rows: Sequence[Sequence[object]]) -> str:
    """Rows as CSV text; None is empty."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()
