"""How faithful the explanations of runs are, side by side; read from the explanation.json of each run."""

import statistics
from collections.abc import Sequence

from seqtrain.comparison.grouping import Group
from seqtrain.comparison.runs import Run
from seqtrain.errors import RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.explanation import Explanation
from seqtrain.runs.json_files import read_record

REMEDY = "run seqtrain explain again"
MEANING = (
    "Faithfulness of explanations: how much further the score of the prediction falls than at random, without the most "
    "important steps (seqtrain explain). More is better."
)


def explanation_of(run: Run) -> Explanation | None:
    """The explanation of a run; None if it has none. Raises RunError if it is damaged, or of an earlier checkpoint."""
    directory = RunDirectory(run.path)
    path = directory.explanation_path
    if not path.exists():
        return None
    found = read_record(Explanation, path, shown=True, remedy=REMEDY)
    if found.step != directory.status.best.get("step"):
        raise RunError(f"{path}: explains an earlier checkpoint; {REMEDY}")
    return found


def read_explanations(groups: Sequence[Group], notes: list[str]) -> list[list[Explanation]]:
    """The explanations of the runs of each configuration; ``notes`` gets what cannot be read."""
    found: list[list[Explanation]] = []
    for group in groups:
        found.append([])
        for run in group.runs:
            try:
                each = explanation_of(run)
            except RunError as error:
                notes.append(str(error))
                continue
            if each is not None:
                found[-1].append(each)
    return found


def explanation_cells(
    groups: Sequence[Group], found: Sequence[Sequence[Explanation]], notes: list[str]
) -> list[list[str]]:
    """Header and rows: the faithfulness of each method, of each configuration that has an explanation.

    Of one run the cell has the interval over rows, of several the mean and the standard deviation over runs.

    Args:
        groups: the configurations of a table.
        found: their explanations.
        notes: gets that removals differ.

    Returns:
        The cells; empty if no run has an explanation.
    """
    every = [each for parts in found for each in parts]
    if len({(each.removal, each.split, each.rows) for each in every}) > 1:
        notes.append("explanations differ in removal, split or number of rows: do not compare their faithfulness")
    methods = [name for name in dict.fromkeys(name for each in every for name in each.methods) if name != "random"]
    pairs = [(group, parts) for group, parts in zip(groups, found, strict=True) if parts]
    rows = [[group.label, str(len(parts)), *(cell(parts, name) for name in methods)] for group, parts in pairs]
    return [["faithfulness", "runs", *methods], *rows] if rows else []


def cell(parts: Sequence[Explanation], method: str) -> str:
    """The faithfulness of a method in the runs of a configuration, in words; "-" if none has it."""
    scores = [each.methods[method].faithfulness for each in parts if method in each.methods]
    if not scores:
        return "-"
    if len(scores) == 1:
        return f"{scores[0].value:.3f} [{scores[0].lower:.3f}, {scores[0].upper:.3f}]"
    values = [score.value for score in scores]
    return f"{statistics.fmean(values):.3f} ± {statistics.stdev(values):.3f}"
