"""The lines of a recipe's YAML file that say what it scores.

The header of each file in conf/experiment/ says in a sentence or two what the recipe is. Below are its command,
indented by three blanks, and these lines, which are made from docs/results.yaml.
"""

import textwrap
from collections.abc import Iterator
from pathlib import Path

from recording.page import UNMEASURED, shown, span
from recording.record import ROOT, Recipe, Record

EXPERIMENTS = ROOT / "conf" / "experiment"
TITLE = "# Measured (docs/results.md; these lines are written by scripts/check-results --page):"
INDENT = "#   "
WIDTH = 118


def with_scores(text: str, record: Record, experiment: str) -> str:
    """The text of an experiment's file with the scores that the record has; unchanged if it has no such recipe."""
    recipes = dict(recipes_of(record, experiment))
    found = [line for name, recipe in recipes.items() for line in wrapped(scores(name, recipe))]
    for mark in dict.fromkeys(recipe.mark for recipe in recipes.values() if recipe.mark):
        published = record.published[mark]
        found += wrapped(f"published: {published.figure}, {published.model} ({published.source})")
    if not found:
        return text
    lines = text.splitlines()
    if TITLE in lines:
        first = last = lines.index(TITLE)
        while lines[last + 1].startswith(INDENT):
            last += 1
        lines[first : last + 1] = [TITLE, *found]
    else:
        end = next(number for number, line in enumerate(lines) if not line.startswith("#"))
        lines[end:end] = [TITLE, *found]
    return "\n".join(lines) + "\n"


def write_headers(record: Record, folder: Path = EXPERIMENTS) -> None:
    """Write the scores into the headers of all experiments."""
    for path in sorted(folder.glob("*.yaml")):
        before = path.read_text(encoding="utf-8")
        after = with_scores(before, record, path.stem)
        if after != before:
            path.write_text(after, encoding="utf-8")


def recipes_of(record: Record, experiment: str) -> Iterator[tuple[str, Recipe]]:
    """Names and recipes whose last command names an experiment."""
    return ((n, recipe) for n, recipe in record.recipes.items() if f"+experiment={experiment}" in recipe.overrides)


def scores(name: str, recipe: Recipe) -> str:
    """What a recipe scores, beside its strongest baseline."""
    measured = recipe.measured
    measure = f"{name}: {recipe.metric} on {recipe.split}"
    if measured is None:
        return f"{measure} {UNMEASURED}"
    sd = f" (sd {shown(measured.sd)})" if measured.sd is not None else ""
    seeds = f"{len(measured.scores)} seed{'s' if len(measured.scores) > 1 else ''}"
    said = f"{measure} {shown(measured.mean)}{sd}, {seeds}, {span(measured.seconds)} each"
    baseline = measured.baseline
    return f"{said}; strongest baseline {shown(baseline.score)}, {baseline.name}" if baseline else said


def wrapped(text: str) -> list[str]:
    """Lines of a header."""
    return textwrap.wrap(
        text, WIDTH, initial_indent=INDENT, subsequent_indent=f"{INDENT}  ", break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
