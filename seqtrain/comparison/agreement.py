"""How alike the attention of runs is that differ in the seed only; from what seqtrain explain keeps in each run.

Shapes: T steps of a row.
"""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from seqtrain.comparison.grouping import Group
from seqtrain.runs.explanation import Explanation

AGREEMENT = (
    "Agreement of attention between runs of a configuration, on the same rows (seqtrain explain): 1 if two runs weigh "
    "the steps alike, 0 if they share none. Even weights agree too: the rank correlation says whether two runs order "
    "the steps alike (1), or unrelated (0). Attention that another seed moves elsewhere is no property of the data."
)


def agreement(p: np.ndarray, q: np.ndarray) -> float:
    """1 minus the Jensen-Shannon divergence in bits of two attentions (T,), scaled to the sum 1.

    Source: Lin 1991, "Divergence measures based on the Shannon entropy", eq. 4.1 with equal weights.
    """
    from scipy.special import rel_entr  # jensenshannon takes a root, of slightly less than 0 where p equals q

    p, q = p / p.sum(), q / q.sum()
    mean = (p + q) / 2
    return 1 - float((rel_entr(p, mean) + rel_entr(q, mean)).sum()) / (2 * math.log(2))


def rank_correlation(p: np.ndarray, q: np.ndarray) -> float | None:
    """Spearman's correlation of two attentions (T,), equal weights with their mean rank; None if one is even."""
    from scipy.stats import spearmanr

    return None if np.ptp(p) == 0 or np.ptp(q) == 0 else float(spearmanr(p, q).statistic)


def agreement_cells(
    groups: Sequence[Group], found: Sequence[Sequence[Explanation]], notes: list[str]
) -> list[list[str]]:
    """Header and rows: agreement and rank correlation of each configuration, means over rows and pairs of runs.

    Rows of one step count in neither.

    Args:
        groups: the configurations of a table.
        found: their explanations.
        notes: gets which configurations have runs whose attention is of other rows, or was not kept.

    Returns:
        The cells; empty if no configuration has two runs with attention on the same rows.
    """
    rows = []
    for group, parts in zip(groups, found, strict=True):
        attending = [each for each in parts if "attention" in each.methods]
        if len(attending) < 2:
            continue
        if len({rows_of(each) for each in attending}) > 1 or not all(map(kept, attending)):
            notes.append(f"{group.label}: no agreement of attention: run seqtrain explain again, on the same rows")
            continue
        rows.append(row_of(group, attending))
    header = ["attention", "runs", "rows", "agreement", "rank correlation"]
    return [header, *rows] if rows else []


def rows_of(found: Explanation) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    """Split, numbers and lengths of the rows of an attention: what two runs must share."""
    return found.split, tuple(found.numbers), tuple(map(len, found.attention))


def kept(found: Explanation) -> bool:
    """Whether an explanation has weights of attention for each of its rows."""
    weights = found.attention
    return 0 < len(weights) == len(found.numbers) and all(min(each, default=-1) >= 0 < sum(each) for each in weights)


def row_of(group: Group, parts: Sequence[Explanation]) -> list[str]:
    """The cells of a configuration whose runs have attention on the same rows."""
    agreements, correlations = [], []
    for first, second in combinations(parts, 2):
        for p, q in zip(map(np.array, first.attention), map(np.array, second.attention), strict=True):
            if len(p) < 2:
                continue
            agreements.append(agreement(p, q))
            correlation = rank_correlation(p, q)
            correlations += [] if correlation is None else [correlation]
    means = [f"{np.mean(each):.3f}" if each else "-" for each in (agreements, correlations)]
    return [group.label, str(len(parts)), str(len(parts[0].numbers)), *means]
