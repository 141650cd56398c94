"""From run directories to the tables of a comparison, in no particular output format."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from seqtrain.comparison.agreement import agreement_cells
from seqtrain.comparison.explanations import explanation_cells, read_explanations
from seqtrain.comparison.grouping import (
    Group,
    comparable,
    comparable_sets,
    differing,
    group_runs,
    missing_folds,
    repeats,
)
from seqtrain.comparison.metrics import deviation, metric_of, statistics_of
from seqtrain.comparison.pairs import Pairs, compare_pairs
from seqtrain.comparison.runs import Run, Scores, UnfinishedRun, read_runs
from seqtrain.config.base import suggest
from seqtrain.errors import ConfigError

SAME_SCORE = 1e-5
"""Relative difference up to which two scores of one baseline count as equal."""


@dataclass
class Row:
    """A line of a table: a configuration or a baseline."""

    name: str
    scores: dict[str, list[float]]
    """Metric -> one score per run; for a baseline a single score, or one per fold."""
    group: Group | None = None
    """None for a baseline."""

    def mean(self, metric: str) -> float | None:
        """Mean over the runs; None if no run has the metric."""
        values = self.scores.get(metric)
        try:
            return statistics.fmean(values) if values else None
        except OverflowError:
            return math.inf

    def deviation(self, metric: str) -> float | None:
        """Sample standard deviation over the runs; None for a single run."""
        return deviation(self.scores.get(metric, []))

    @property
    def seconds(self) -> float | None:
        """Mean training time in seconds."""
        known = [run.seconds for run in self.group.runs if run.seconds is not None] if self.group else []
        return statistics.fmean(known) if known else None

    @property
    def parameters(self) -> int | None:
        """Number of trained parameters of the model."""
        return self.group.runs[0].parameters if self.group else None


@dataclass
class Table:
    """Comparable runs: same data, splits and task."""

    heading: str
    split: str
    metrics: list[str]
    ranked: str
    """The metric that orders the rows."""
    maximize: bool
    rows: list[Row]
    """Configurations, the best first."""
    baselines: list[Row]
    keys: list[str]
    """Options that differ between configurations, including those that a name implies."""
    pairs: list[Pairs] = field(default_factory=list)
    explanations: list[list[str]] = field(default_factory=list)
    """Cells of the table of explanations, see ``explanation_cells``; empty if no run has any."""
    agreement: list[list[str]] = field(default_factory=list)
    """Cells of the table of the agreement of attention, see ``agreement_cells``; empty if there is none."""
    notes: list[str] = field(default_factory=list)

    @property
    def repeats(self) -> str:
        """What the runs of a configuration are, in the plural: seeds, folds, or both."""
        return repeats(run for group in self.groups for run in group.runs)

    @property
    def groups(self) -> list[Group]:
        """The configurations, the best first."""
        return [row.group for row in self.rows if row.group is not None]


@dataclass
class Report:
    """The whole content of a comparison."""

    tables: list[Table]
    unfinished: list[UnfinishedRun]
    warnings: list[str]


def build_report(directories: Sequence[str], split: str | None = None, metrics: Sequence[str] = ()) -> Report:
    """Read runs and compare them.

    Args:
        directories: runs, or folders of runs.
        split: split of the scores. None means test if every run of a table has it, else validation.
        metrics: metrics to compare by; the first one orders the rows. Empty means the metric that chose the
            checkpoints.

    Raises:
        ConfigError: for a directory, split or metric that does not exist.
        RunError: for a folder without runs.
    """
    runs, unfinished, warnings = read_runs(directories)
    found = comparable_sets(runs)
    facts = [comparable(pool[0]) for pool in found]
    if split is not None and runs and not any(split in run.scores for run in runs):
        splits = sorted({name for run in runs for name in run.scores})
        raise ConfigError(f"split={split}: no run has scores on it; {suggest(split, splits)}")
    present = {(metric, run.task) for run in runs for scores in run.scores.values() for metric in scores}
    unranked = {metric for metric, task in present if metric_of(metric, task).maximize is None}
    known = {metric for metric, _ in present} - unranked
    for metric in metrics:
        if metric in unranked:
            raise ConfigError(f"metric={metric}: neither more nor less of it is better; {suggest(metric, known)}")
        if runs and metric not in known:
            raise ConfigError(f"metric={metric}: no run has it; {suggest(metric, known)}")
    keys = [key for key in dict.fromkeys(k for each in facts for k in each) if len({f.get(key) for f in facts}) > 1]
    if len(found) > 1:
        warnings.insert(
            0,
            f"the runs differ in {', '.join(keys)}: there are {len(found)} tables of comparable runs; do not "
            "compare scores across tables",
        )
    tables = []
    for pool, fact in zip(found, facts, strict=True):
        chosen = split or ("test" if all("test" in run.scores for run in pool) else "validation")
        if not any(chosen in run.scores for run in pool):
            warnings.append(f"split={chosen}: {pool[0].path} and others of its data have no scores on it; ignored")
            continue
        table = build_table(pool, chosen, metrics)
        in_heading = {"task", f"{chosen} size"} | ({"validation size", "test size"} if "data" in keys else set())
        more = "; ".join(f"{key} {fact[key]}" for key in keys if key in fact and key not in in_heading)
        table.heading += f" ({more})" if more else ""
        tables.append(table)
    return Report(tables, unfinished, warnings)


def build_table(runs: Sequence[Run], split: str, metrics: Sequence[str]) -> Table:
    """The table of comparable runs; ``split`` and ``metrics`` as in ``build_report``."""
    groups, notes = group_runs(runs)
    kept = [run for each in groups for run in each.runs]
    shown = [m for m in dict.fromkeys(m for run in kept for m in [*run.shown, *metrics]) if has_metric(kept, split, m)]
    wanted = [metric for metric in metrics if metric in shown]
    ranked = wanted[0] if wanted else default_metric(kept, shown, split)
    best_first = is_maximized(ranked, kept)
    rows = [Row(each.label, {metric: each.values(split, metric) for metric in shown}, each) for each in groups]
    rows.sort(key=lambda row: sort_key(row.mean(ranked), best_first))
    baselines, disagreements = baseline_rows(groups, split, shown)
    first = kept[0]
    names = ", ".join(dict.fromkeys(str(run.options["data.name"]) for run in kept))
    sizes = [size for run in kept if (size := run.data.sizes.get(split)) is not None]  # those of folds differ
    ends = dict.fromkeys(f"{end(sizes):,}" for end in (min, max) if sizes)
    unit = statistics_of(first.task).unit
    rows_of_split = f", {split}" + (f" of {' to '.join(ends)} {unit}" if sizes else "")
    table = Table(
        heading=f"{names}, {first.task.replace('_', ' ')}{rows_of_split}",
        split=split,
        metrics=shown,
        ranked=ranked,
        maximize=best_first,
        rows=rows,
        baselines=baselines,
        keys=differing([each.options for each in groups]),
        notes=[*notes, *missing_folds(groups), *disagreements, *differences_of_origin(kept)],
    )
    add_pairs(table, wanted or [ranked])
    found = read_explanations(table.groups, table.notes)
    table.explanations = explanation_cells(table.groups, found, table.notes)
    table.agreement = agreement_cells(table.groups, found, table.notes)
    return table


def has_metric(runs: Sequence[Run], split: str, metric: str) -> bool:
    """Whether any run has the metric on the split."""
    return any(metric in run.scores.get(split, {}) for run in runs)


def is_maximized(metric: str, runs: Sequence[Run]) -> bool:
    """Whether more of a metric is better."""
    directions = {run.maximize for run in runs if run.monitor == metric and run.maximize is not None}
    return directions.pop() if directions else bool(metric_of(metric, runs[0].task).maximize)


def default_metric(runs: Sequence[Run], shown: Sequence[str], split: str) -> str:
    """The metric that chose the checkpoints of all runs; if they differ, the first metric that all runs have."""
    monitors = {run.monitor for run in runs}
    ranked = [metric for metric in shown if metric_of(metric, runs[0].task).maximize is not None]
    everywhere = [metric for metric in ranked if all(metric in run.scores.get(split, {}) for run in runs)]
    agreed = monitors.pop() if len(monitors) == 1 else None
    if agreed in everywhere:
        assert agreed is not None
        return agreed
    return next(iter([*everywhere, *shown]), "loss")


def sort_key(mean: float | None, maximize: bool) -> float:
    """Sort key that puts the best score first and missing scores last."""
    if mean is None or mean != mean:
        return float("inf")
    return -mean if maximize else mean


def baseline_rows(groups: Sequence[Group], split: str, metrics: Sequence[str]) -> tuple[list[Row], list[str]]:
    """One row per baseline, with a score for each fold if there are folds.

    If the runs of a fold disagree on a baseline, one row for each of its scores, and a note.
    """
    found: dict[str, dict[int | None, list[tuple[Scores, list[str]]]]] = {}
    for each in groups:
        for run in each.runs:
            for who, scores in run.baselines.items():
                variants = found.setdefault(who, {}).setdefault(run.fold, [])
                for known, labels in variants:
                    if same_scores(known.get(split, {}), scores.get(split, {})):
                        labels.append(each.label)
                        break
                else:
                    variants.append((scores, [each.label]))
    rows, notes = [], []
    for who, by_fold in found.items():
        count = max(map(len, by_fold.values()))
        if count > 1:
            notes.append(f"{who}: the runs disagree on the score of this baseline, although their data is the same")
        for number in range(count):
            chosen = [variants[number] for variants in by_fold.values() if number < len(variants)]
            named = dict.fromkeys(label for _, of_fold in chosen for label in of_fold)
            of = "" if count == 1 else f" (of {', '.join(named)})"
            values = [scores.get(split, {}) for scores, _ in chosen]
            own = {metric: [each[metric] for each in values if metric in each] for metric in metrics}
            rows.append(Row(who + of, {metric: scores for metric, scores in own.items() if scores}))
    return [row for row in rows if row.scores], notes


def same_scores(a: dict[str, float], b: dict[str, float]) -> bool:
    """Whether two baselines' scores are equal up to rounding."""
    return all(abs(a[m] - b[m]) <= SAME_SCORE * max(abs(a[m]), abs(b[m])) for m in a.keys() & b.keys())


def differences_of_origin(runs: Sequence[Run]) -> list[str]:
    """Notes on different versions or machines, which make times or scores less comparable."""
    notes = []
    commits = {run.environment.git_commit for run in runs}
    packages = [run.environment.packages for run in runs]
    versions = {(each.get("seqtrain"), each.get("torch")) for each in packages}
    if len(commits) > 1 or len(versions) > 1:
        notes.append("the runs used different versions of seqtrain or torch: see environment.json of each run")
    machines = {(run.environment.platform, run.environment.cpus, str(run.options.get("device"))) for run in runs}
    if len(machines) > 1:
        notes.append("the runs used different machines or devices: do not compare their seconds")
    return notes


def add_pairs(table: Table, metrics: Sequence[str]) -> None:
    """Compare the configurations of a table in pairs, by each metric that can be resampled; note those that cannot."""
    task = table.groups[0].runs[0].task
    if len(table.groups) < 2:
        return
    if table.split != "test":
        table.notes.append("no intervals of differences: they are computed on test only")
        return
    for metric in metrics:
        known = [name for name, each in statistics_of(task).metrics.items() if each.statistic is not None]
        if metric not in known:
            instead = f"; metric= may be {', '.join(known)}" if known else ""
            table.notes.append(f"no intervals of differences in {metric}: it cannot be resampled{instead}")
            continue
        scored = [each for each in table.groups if each.values("test", metric)]
        pairs = compare_pairs(scored, metric, is_maximized(metric, [run for each in scored for run in each.runs]))
        table.notes += pairs.notes
        if pairs.differences:
            table.pairs.append(pairs)
