"""From curves of rows to the scores of methods with intervals, as a record, a table for people and figures.

Shapes: N rows, F fractions.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from seqtrain.alignment import align_columns
from seqtrain.comparison.bootstrap import LEVEL, block_length, resampled_means
from seqtrain.runs.explanation import Explanation, Interval, MethodScores
from seqtrain.tasks.explaining.curves import FRACTIONS, Curves

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RANDOM = "random"
SHOWN = ("faithfulness", "comprehensiveness", "sufficiency", "over_reverse")


def method_scores(whole: np.ndarray, found: Curves, chance: Curves, block: int, error: float | None) -> MethodScores:
    """Scores of a method.

    Args:
        whole: score of each whole row, (N,).
        found: curves of the method.
        chance: curves of random orders of the same rows.
        block: neighbouring rows that are resampled together.
        error: the completeness error.
    """
    per_row = np.stack(
        [
            (chance.deletion - found.deletion).mean(1),
            (whole[:, None] - found.deletion).mean(1),
            (whole[:, None] - found.insertion).mean(1),
            (found.reverse - found.deletion).mean(1),
        ],
        axis=1,
    )
    resampled = np.concatenate(list(resampled_means(per_row, block)))
    ends = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    columns = zip(per_row.mean(0).tolist(), *ends.tolist(), strict=True)
    faithfulness, comprehensiveness, sufficiency, over_reverse = (Interval(*column) for column in columns)
    return MethodScores(
        faithfulness=faithfulness,
        comprehensiveness=comprehensiveness,
        sufficiency=sufficiency,
        over_reverse=over_reverse,
        deletion=found.deletion.mean(0).tolist(),
        insertion=found.insertion.mean(0).tolist(),
        reverse=found.reverse.mean(0).tolist(),
        completeness_error=error,
    )


def explanation(
    whole: np.ndarray,
    curves: Mapping[str, Curves],
    errors: Mapping[str, float],
    overlap: int,
    **about: Any,
) -> Explanation:
    """The record of curves.

    Args:
        whole: score of each whole row, in the order of the split, (N,).
        curves: curves of each method and of ``random``, in the same order.
        errors: completeness error of methods that have one.
        overlap: neighbouring rows that depend on each other; 1 if none do.
        about: the fields ``step``, ``split``, ``removal``, ``score``, ``numbers`` and ``attention`` of the record.
    """
    chance = curves[RANDOM]
    block = 1
    if overlap > 1:
        leads = [(chance.deletion - found.deletion).mean(1) for name, found in curves.items() if name != RANDOM]
        block = block_length(np.stack(leads, axis=1), overlap)
    methods = {name: method_scores(whole, found, chance, block, errors.get(name)) for name, found in curves.items()}
    return Explanation(**about, rows=len(whole), whole=float(whole.mean()), fractions=list(FRACTIONS), methods=methods)


def as_lines(found: Explanation) -> list[str]:
    """The scores of each method, the most faithful first, and what they mean."""
    ranked = sorted(found.methods.items(), key=lambda item: -item[1].faithfulness.value)
    lines = [["", *SHOWN]]
    for name, scores in ranked:
        cells = [getattr(scores, score) for score in SHOWN]
        lines.append([name, *(f"{each.value:.4f} [{each.lower:.4f}, {each.upper:.4f}]" for each in cells)])
    return [
        f"{found.score}: {found.whole:.4f} on average of {found.rows:,} rows of {found.split}",
        "",
        *align_columns(lines),
        "",
        f"Means over {', '.join(f'{share:.0%}' for share in found.fractions)} of the steps (removal: {found.removal}), "
        "with 95 % intervals over rows",
        "faithfulness: how far the score falls without the most important steps, beyond random ones; more is better",
        "sufficiency: how much the score falls with the most important steps only; less is better",
    ]


def figures(found: Explanation) -> dict[str, "Figure"]:
    """The deletion and insertion curves of all methods, with the faithfulness of each, by tag."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    places = [0.0, *found.fractions]
    for i, (name, scores) in enumerate(found.methods.items()):
        colour = "black" if name == RANDOM else f"C{i}"
        label = name.replace("_", " ") + ("" if name == RANDOM else f" {scores.faithfulness.value:.3f}")
        left.plot(places, [found.whole, *scores.deletion], color=colour, marker="o", markersize=3, label=label)
        if name != RANDOM:
            left.plot(places, [found.whole, *scores.reverse], color=colour, linestyle=":")
        right.plot(found.fractions, scores.insertion, color=colour, marker="o", markersize=3, label=label)
    right.axhline(found.whole, color="grey", linewidth=1)
    left.set(title="deletion; dotted: the least important first", xlabel="share of steps removed", ylabel=found.score)
    right.set(title="insertion; grey: whole rows", xlabel="share of steps kept")
    left.legend(fontsize=8, title="faithfulness", title_fontsize=8)
    figure.suptitle(f"{found.rows:,} rows of {found.split}, steps removed by {found.removal}", fontsize=10)
    return {"explanation/curves": figure}
