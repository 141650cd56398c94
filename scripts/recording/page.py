"""docs/results.md, made from the record."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from recording.record import Mean, Published, Recipe, Record, reached
from seqtrain.errors import UserError

UNMEASURED = "not measured yet"
INTRODUCTION = """\
# Results

What the recipes of this repository score, beside published figures for the same data. Last measured: {date}.

`python scripts/check-results --page` makes this page from [results.yaml](results.yaml), and a test compares the two.
`python scripts/check-results <recipe>` runs a recipe again. It fails where the mean is further from the one below
than 3 standard deviations of the seeds or the stated floor, whichever is larger: three seeds give a poor estimate of
a deviation. [experiments.md](experiments.md) is the log of what was tried.

- Every choice was made on validation. Test was read once for each recipe, at the end. The notes say where a dataset
  has no test split, or none with labels.
- The strongest baseline is the best simple method in the same final table, fitted on the same rows. "Beaten" compares
  means.
- Time is that of one run from its start to its final table, baselines included.
- The commands need the data under `$SEQTRAIN_DATA_DIR`, or a network ([data.md](data.md)); those on `docstrings` need
  neither. The last command of a recipe is run with `seed=0`, `seed=1` and `seed=2`, those before it once.
- Published figures are in the units of ours. The last column says where a figure was looked up. "Not checked" means
  that it is quoted from memory or from another text.
"""
COLUMNS = ["recipe", "scores by seed", "mean", "sd", "goal", "strongest baseline", "floor", "time", "measured"]


def page(record: Record) -> str:
    """The whole page."""
    dates = [recipe.measured.date for recipe in record.recipes.values() if recipe.measured]
    parts = [INTRODUCTION.format(date=max(dates, default="never"))]
    headings = [recipe.data for recipe in record.recipes.values()] + [
        figure.data for figure in record.published.values()
    ]
    parts += [section(record, data) for data in dict.fromkeys(headings)]
    return "\n".join(parts)


def section(record: Record, data: str) -> str:
    """The recipes for some data, their commands, and published figures."""
    recipes = {name: recipe for name, recipe in record.recipes.items() if recipe.data == data}
    means = {name: mean for name, mean in record.means.items() if mean.recipes[0] in recipes}
    lines = [f"## {data}"]
    if recipes:
        lines += ["", *table(COLUMNS, [row(name, recipe) for name, recipe in recipes.items()])]
    if means:
        rows = [mean_row(record, name, mean) for name, mean in means.items()]
        lines += ["", *table(["mean over", "of", "mean", "goal"], rows)]
    if recipes:
        lines += ["", "```sh", *commands(recipes), "```"]
    if notes := [f"- `{name}`: {recipe.note}" for name, recipe in recipes.items() if recipe.note]:
        lines += ["", *notes]
    if figures := [published for published in record.published.values() if published.data == data]:
        lines += [
            "",
            "Published:",
            "",
            *table(["figure", "model", "source", "caveat", "looked up"], map(cited, figures)),
        ]
    return "\n".join(lines) + "\n"


def table(columns: Sequence[str], rows: Iterable[list[str]]) -> list[str]:
    """Lines of a Markdown table."""
    return [f"| {' | '.join(cells)} |" for cells in (columns, ["---"] * len(columns), *rows)]


def between(page: Path, start: str, end: str, rows: Sequence[str]) -> str:
    """The text of a page with these lines between two lines of it; raises UserError if it lacks these."""
    before, found, rest = page.read_text(encoding="utf-8").partition(f"{start}\n")
    if not found or end not in rest:
        raise UserError(f"{page}: has no lines {start} and {end}; add them where the table belongs")
    return f"{before}{found}" + "".join(f"{row}\n" for row in rows) + end + rest.partition(end)[2]


def row(name: str, recipe: Recipe) -> list[str]:
    """The cells of a recipe."""
    what = f"`{name}`: {recipe.title}; {recipe.metric} on {recipe.split}"
    measured = recipe.measured
    if measured is None:
        return [what, UNMEASURED, "", "", recipe.goal or "", "", f"{recipe.floor:g}", "", ""]
    scores = ", ".join(shown(score) for _, score in sorted(measured.scores.items()))
    on_validation = f" (validation {shown(measured.validation)})" if measured.validation is not None else ""
    time = span(measured.seconds)
    if measured.preparation is not None:
        time += f", after {span(measured.preparation)} of preparation"
    return [
        what,
        f"{scores}{on_validation}",
        f"**{shown(measured.mean)}**",
        "" if measured.sd is None else shown(measured.sd),
        goal_cell(recipe.goal, measured.mean),
        baseline_cell(recipe),
        f"{recipe.floor:g}",
        time,
        f"{measured.date}, `{measured.commit}`, {measured.machine}",
    ]


def mean_row(record: Record, name: str, mean: Mean) -> list[str]:
    """The cells of a mean over recipes."""
    score = record.mean_score(mean)
    of = ", ".join(f"`{part}`" for part in mean.recipes)
    if score is None:
        return [f"`{name}`", of, UNMEASURED, mean.goal or ""]
    return [f"`{name}`", of, f"**{shown(score)}**", goal_cell(mean.goal, score)]


def goal_cell(goal: str | None, score: float) -> str:
    """A goal, and whether it is reached."""
    return "" if goal is None else f"{goal}: {'reached' if reached(goal, score) else '**not reached**'}"


def baseline_cell(recipe: Recipe) -> str:
    """The strongest baseline, and whether the recipe beats it."""
    assert recipe.measured is not None
    baseline = recipe.measured.baseline
    if baseline is None:
        return "none"
    return f"{shown(baseline.score)}, {baseline.name}: {'beaten' if beaten(recipe) else '**not beaten**'}"


def beaten(recipe: Recipe) -> bool:
    """Whether the mean of a recipe is better than its strongest baseline."""
    assert recipe.measured is not None and recipe.measured.baseline is not None
    mean, score = recipe.measured.mean, recipe.measured.baseline.score
    return mean < score if recipe.lower_is_better else mean > score


def commands(recipes: dict[str, Recipe]) -> Iterator[str]:
    """Lines of a shell with the commands of some recipes."""
    for name, recipe in recipes.items():
        yield f"# {name}"
        yield from recipe.commands


def cited(published: Published) -> list[str]:
    """The cells of a published figure."""
    return [published.figure, published.model, published.source, published.caveat or "", published.checked]


def shown(value: float) -> str:
    """A score: four digits after the point, two where it is 10 or more."""
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"


def span(seconds: float) -> str:
    """A duration in seconds, minutes or hours."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
