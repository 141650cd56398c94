"""The page on the errors of a run: what it is, how well it does, and the sections of its task."""

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path

from seqtrain.commands.final_table import chosen_metrics
from seqtrain.comparison.metrics import column_decimals
from seqtrain.comparison.runs import Run
from seqtrain.pages.html import details, html_table, link, whole
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.metrics import entries
from seqtrain.runs.records import Results
from seqtrain.tasks.inspecting.material import Section, sentences, soft

HEALTH = "health"
"""The remark of results.json that has the words of the health panel."""
MEASURES = ("memory/", "gates/", "attention/", "optimisation/")
"""Beginnings of the tags of the health panel."""
CAUTION = (
    "What you change because of these rows is no longer measured by them. To look for changes, inspect validation: "
    "split=validation."
)


def errors_page(
    runs: Sequence[Run], split: str, sections: Sequence[Section], missing: Sequence[str], folder: Path
) -> str:
    """The page.

    Args:
        runs: one run, or two.
        split: the split whose rows are shown.
        sections: what the task says.
        missing: what the page lacks, and why.
        folder: the folder of the page, from which links go.
    """
    first = runs[0]
    title = f"Errors of {first.options['model.name']} on {first.options['data.name']}, {split}"
    title += "" if len(runs) == 1 else f", and of {runs[1].options['model.name']}"
    parts = [f"<h1>{escape(title)}</h1>"]
    for number, run in enumerate(runs):
        parts += heading(run, folder, "Against" if number else "Run")
        parts.append(scores(run))
    parts += [f'<p class="warning">{escape(line)}</p>' for line in missing]
    health = [section for run in runs for section in health_section(run, named=len(runs) > 1)]
    for section in [*sections[:1], *health, *sections[1:]]:
        parts += [f"<section><h2>{escape(section.heading)}</h2>", *section.parts, "</section>"]
    if split == "test":
        parts.append(soft(CAUTION))
    return whole(title, parts)


def heading(run: Run, folder: Path, word: str) -> list[str]:
    """Where a run is, and the command that made it."""
    path = os.path.relpath(run.path.resolve(), folder.resolve())
    parts = [f"<p>{word}: {link(path, str(run.path))}</p>"]
    if command := run.environment.command_line:
        parts.append(f"<pre><code>{escape(command)}</code></pre>")
    return parts


def scores(run: Run) -> str:
    """The scores of a run and its baselines on each split, and the remarks on them."""
    results = Results.read(RunDirectory(run.path).results_path)
    metrics = chosen_metrics(results)
    splits = [split for split in ("validation", "test") if split in results.scores[results.model]]
    columns = [(metric, split) for metric in metrics for split in splits]
    table = {who: [own.get(split, {}).get(metric) for metric, split in columns] for who, own in results.scores.items()}
    values = zip(*table.values(), strict=True)
    decimals = [column_decimals([value for value in column if value is not None]) for column in values]
    rows = [
        [who, *("-" if value is None else f"{value:.{d}f}" for value, d in zip(row, decimals, strict=True))]
        for who, row in table.items()
    ]
    header = ["", *(f"{metric}, {split}" for metric, split in columns)]
    remarks = [f"{name}: {text}" for name, text in results.remarks.items() if name != HEALTH]
    return html_table(header, rows, [[who, *row] for who, row in table.items()], badges=[""]) + "".join(
        map(soft, remarks)
    )


def health_section(run: Run, named: bool) -> list[Section]:
    """What the health panel of a run says, in words, and what it measured; none if the run stored neither."""
    directory = RunDirectory(run.path)
    results = Results.read(directory.results_path)
    said = results.remarks.get(HEALTH)
    measures = measured(directory, results.best_step)
    if said is None and not measures:
        return []
    parts = [sentences(said.split("; "))] if said is not None else []
    if measures:
        rows = [[tag, f"{value:.4g}"] for tag, value in measures.items()]
        parts.append(details("What was measured", html_table(["tag", "value"], rows, list(measures.items()))))
    return [Section(f"Health of {run.path}" if named else "Health", parts)]


def measured(run: RunDirectory, step: int | None) -> dict[str, float]:
    """The last values of the health panel up to a step, by tag; all steps without one."""
    found: dict[str, float] = {}
    for at, values in entries(run.metrics_path):
        if step is None or at <= step:
            found |= {tag: value for tag, value in values.items() if value is not None and tag.startswith(MEASURES)}
    return dict(sorted(found.items()))
