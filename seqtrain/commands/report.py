"""The final table of a run, as text."""

from collections.abc import Sequence

from seqtrain.alignment import aligned
from seqtrain.tasks.base import Table


def format_table(table: Table, metrics: Sequence[str]) -> str:
    """Scores as an aligned text table, one line for each entry; "-" if a metric is not defined.

    Args:
        table: scores: name -> split -> metric -> value.
        metrics: columns of each split, except those that no entry has.
    """
    splits = next(iter(table.values())).keys()
    columns = [(s, m) for s in splits for m in metrics if any(m in scores.get(s, {}) for scores in table.values())]
    header = ["", *(f"{'val' if split == 'validation' else split}/{metric}" for split, metric in columns)]
    body = [
        [name, *(f"{scores[s][m]:.4f}" if m in scores.get(s, {}) else "-" for s, m in columns)]
        for name, scores in table.items()
    ]
    return "\n".join(aligned([header, *body]))


def beaten_line(name: str, table: Table, metric: str, maximize: bool) -> str:
    """One line that says which baselines the model beats, on test if there is one, else on validation."""
    split = "test" if "test" in table[name] else "validation"
    own = table[name][split][metric]
    better = {
        b: (s[split][metric] < own) == maximize and s[split][metric] != own for b, s in table.items() if b != name
    }

    def listed(beaten: bool) -> str:
        return ", ".join(
            f"{b} ({table[b][split][metric]:.4f})" for b, is_beaten in better.items() if is_beaten == beaten
        )

    parts = [f"beats {listed(True)}"] if any(better.values()) else []
    parts += [f"does not beat {listed(False)}"] if not all(better.values()) else []
    return f"{name} ({split} {metric} {own:.4f}) {'; '.join(parts)}"
