"""The final table of a run, from its results.json: scores on validation and test, as wide as the terminal."""

import shutil
import textwrap
from collections.abc import Sequence

from seqtrain.comparison.metrics import column_decimals
from seqtrain.runs.records import Results, Scores

WIDTH = 100  # where there is no terminal
MOST_METRICS = 4
LEAST_NAME = 16  # letters of a name that are left where there is little room
GAP = 2
SHORT = {"validation": "val"}


def final_table(results: Results, width: int | None = None) -> str:
    """The table, and a line that says which baselines the model beats.

    Args:
        results: what results.json holds.
        width: columns to fill; None takes those of the terminal, 100 where there is none.
    """
    width = width or shutil.get_terminal_size((WIDTH, 24)).columns
    scores = results.scores
    lines = fitting(scores, chosen_metrics(results), results, width)
    if len(scores) > 1:
        lines.append("* the best of its column; results.json has all metrics")
    texts = [f"scores: {results.scoring}"] if results.scoring else []
    texts += [f"{key}: {text}" for key, text in results.remarks.items()]
    texts += [verdict(results)] if results.against_baselines else []
    return "\n".join(
        [
            *lines,
            *(
                line
                for text in texts
                for line in textwrap.wrap(text, width, subsequent_indent="  ", break_on_hyphens=False)
            ),
        ]
    )


def chosen_metrics(results: Results) -> list[str]:
    """The monitored metric, then others that the task shows and somebody has, at most four."""
    present = {metric for splits in results.scores.values() for values in splits.values() for metric in values}
    wanted = dict.fromkeys([str(results.monitor), *results.shown])
    return [metric for metric in wanted if metric in present][:MOST_METRICS]


def fitting(scores: dict[str, Scores], metrics: list[str], results: Results, width: int) -> list[str]:
    """The table with as many metrics as have room, and with names cut where even one has not."""
    while True:
        groups = [group(scores, metric, results) for metric in metrics]
        room = width - sum(len(lines[0]) + GAP for lines in groups)
        longest = max(map(len, scores))
        if room >= longest or len(metrics) == 1:
            break
        metrics = metrics[:-1]
    size = min(longest, max(room, LEAST_NAME))
    names = ["", "", *(name if len(name) <= size else f"{name[: size - 1]}…" for name in scores)]
    rows = zip(names, *groups, strict=True)
    return [(" " * GAP).join([name.ljust(size), *cells]).rstrip() for name, *cells in rows]


def group(scores: dict[str, Scores], metric: str, results: Results) -> list[str]:
    """The columns of a metric as lines of one width: its name, the splits, a line for each of the table's entries."""
    splits = list(next(iter(scores.values())))
    table = {split: [scores[who].get(split, {}).get(metric) for who in scores] for split in splits}
    decimals = column_decimals([value for values in table.values() for value in values if value is not None])
    columns = []
    for split, values in table.items():
        best = best_of([value for value in values if value is not None], metric, results) if len(scores) > 1 else None
        cells = ["-" if value is None else f"{value:.{decimals}f}" for value in values]
        marks = ["*" if value is not None and value == best else " " for value in values]
        title = SHORT.get(split, split)
        size = max(map(len, [*cells, title]))
        marked = [f"{cell:>{size}}{mark}" for cell, mark in zip(cells, marks, strict=True)]
        columns.append([f"{title:>{size}} ", *marked])
    lines = [" ".join(cells) for cells in zip(*columns, strict=True)]
    size = max(len(lines[0]), len(metric) + 1)
    return [f"{metric} ".rjust(size), *(line.rjust(size) for line in lines)]


def best_of(values: Sequence[float], metric: str, results: Results) -> float | None:
    """The best value, or None of a metric of which neither more nor less is better."""
    more = results.maximize if metric == results.monitor else results.directions.get(metric)
    if more is None or not values:
        return None
    return max(values) if more else min(values)


def verdict(results: Results) -> str:
    """Which baselines the model beats on test, as far as the paired intervals show it."""
    said: dict[str, list[str]] = {"beats": [], "no clear difference from": [], "does not beat": []}
    for who, (lower, upper) in results.against_baselines.items():
        said["beats" if lower > 0 else "does not beat" if upper < 0 else "no clear difference from"].append(who)
    parts = [f"{words} {joined(names)}" for words, names in said.items() if names]
    return f"{results.model} on test {results.monitor}: {'; '.join(parts)} (paired 95 % intervals)"


def joined(names: Sequence[str]) -> str:
    """Names as a list in words."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
