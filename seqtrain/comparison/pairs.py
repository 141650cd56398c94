"""Differences between configurations on the same test examples, with paired bootstrap intervals.

Shapes: N examples, K terms, G groups, R resamples.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import combinations

import numpy as np

from seqtrain.comparison.bootstrap import LEVEL, RESAMPLES, common_block, resampled_scores
from seqtrain.comparison.grouping import Group, repeats
from seqtrain.comparison.metrics import deviation, metric_of, statistics_of, unit, width_decimals
from seqtrain.comparison.runs import Run
from seqtrain.errors import RunError
from seqtrain.tasks.statistics import Floats, Statistic

FEW_BLOCKS = 15
"""With fewer blocks than this an interval is rough, and more likely too narrow."""


@dataclass(frozen=True)
class Difference:
    """Lead of one group over another; ``better`` has the better score."""

    better: Group
    worse: Group
    value: float
    """Mean over the seeds of ``better`` minus that of ``worse``, with the sign that makes it at least 0."""
    lower: float
    upper: float
    """Ends of the interval."""
    scores: tuple[list[float], list[float]]
    """Scores of the runs of ``better``, and of ``worse``."""

    @property
    def is_shown(self) -> bool:
        """Whether the interval excludes 0."""
        return self.lower > 0


@dataclass
class Pairs:
    """All pairs of groups, by one metric."""

    metric: str
    task: str
    """Kind of the task."""
    unit: str
    """What one example is, in the plural."""
    examples: int
    block: int
    """Number of neighbouring examples that are resampled together."""
    differences: list[Difference] = field(default_factory=list)
    """Pairs of the best group first."""
    notes: list[str] = field(default_factory=list)
    """Which runs were ignored, and why."""

    @property
    def with_best(self) -> list[Difference]:
        """Differences between the best group and each other group."""
        return [d for d in self.differences if d.better is self.differences[0].better]


@dataclass
class GroupStatistics:
    """Statistics of a group's runs on the test examples."""

    group: Group
    scores: list[float]
    """Scores of the runs with usable predictions."""
    statistics: list[Statistic]
    """One per run; if the metric is a mean over examples, a single one for the mean over runs."""

    @property
    def value(self) -> float:
        """Mean of the runs' scores."""
        return float(np.mean([statistic.value() for statistic in self.statistics]))


def compare_pairs(groups: Sequence[Group], metric: str, maximize: bool) -> Pairs:
    """Compare every pair of groups by their stored predictions on test.

    The score of a group is the mean over its runs. All groups share the same resamples of the examples. The interval of
    a difference therefore covers the choice of test examples. It does not cover seeds.

    Args:
        groups: groups of one table.
        metric: a metric with a statistic among those of their task.
        maximize: more of the metric is better.

    Returns:
        The pairs; without differences if fewer than two groups have usable predictions.
    """
    first = groups[0].runs[0]
    task = statistics_of(first.task)
    pairs = Pairs(metric, first.task, task.unit, examples=0, block=1)
    measured = measure(groups, pairs)
    if len(measured) < 2:
        return pairs
    measured.sort(key=lambda each: each.value, reverse=maximize)
    firsts = [Statistic(np.mean([s.terms[:, :1] for s in each.statistics], axis=0)) for each in measured]
    pairs.block = common_block(firsts, task.ordered, first.data.spec.horizon or 1)
    resampled = resample(measured, pairs.block)
    sign, tails = (1 if maximize else -1), (50 * (1 - LEVEL), 50 * (1 + LEVEL))
    for a, b in combinations(range(len(measured)), 2):
        value = sign * (measured[a].value - measured[b].value)
        lower, upper = np.percentile(sign * (resampled[a] - resampled[b]), tails)
        better, worse = measured[a], measured[b]
        scores = better.scores, worse.scores
        pairs.differences.append(Difference(better.group, worse.group, value, float(lower), float(upper), scores))
    return pairs


def measure(groups: Sequence[Group], pairs: Pairs) -> list[GroupStatistics]:
    """Read the predictions of every run. Unusable ones are ignored, with a note in ``pairs``.

    Runs whose predictions are on other examples than those of most runs are ignored too.
    """
    read: list[list[tuple[Run, Statistic, bytes]]] = []
    for group in groups:
        read.append([])
        for run in group.runs:
            try:
                read[-1].append((run, *read_statistic(run, pairs.metric)))
            except RunError as error:
                pairs.notes.append(f"{error}; not among the pairs")
    counts = Counter(examples for runs in read for _, _, examples in runs)
    measured = []
    for group, runs in zip(groups, read, strict=True):
        statistics, scores = [], []
        for run, statistic, examples in runs:
            if examples == counts.most_common(1)[0][0]:
                statistics.append(statistic)
                scores.append(run.scores["test"][pairs.metric])
                pairs.examples = len(statistic.terms)
            else:
                pairs.notes.append(f"{run.path}: has predictions of other {pairs.unit} than most; not among the pairs")
        if statistics and statistics[0].score is None:
            statistics = [Statistic(np.mean([statistic.terms for statistic in statistics], axis=0))]
        if statistics:
            measured.append(GroupStatistics(group, scores, statistics))
    return measured


def read_statistic(run: Run, metric: str) -> tuple[Statistic, bytes]:
    """The statistic of a metric on a run's test examples, and a digest that identifies the examples.

    Raises:
        RunError: if the predictions cannot be used, or do not reproduce the score that the run reported.
    """
    with run.predictions("test") as outputs:
        task = statistics_of(run.task)
        make = task.metrics[metric].statistic
        assert make is not None
        statistic = make(outputs, run.spec)
        if statistic.terms.ndim != 2 or not statistic.terms.size or not np.isfinite(statistic.terms).all():
            raise ValueError(f"no finite values of {metric} for each of its {task.unit}")
        rows = outputs["rows"]
        examples = np.concatenate([rows, outputs["lengths"]]) if "lengths" in outputs else rows
        identity = f"{statistic.terms.shape} {examples.dtype} {examples.shape}".encode() + examples.tobytes()
    value, reported = statistic.value(), run.scores["test"].get(metric, math.nan)
    if not math.isclose(value, reported, rel_tol=1e-3, abs_tol=1e-6):
        raise RunError(f"{run.path}: its stored predictions give {metric} {value:.5g}, but it reports {reported:.5g}")
    return statistic, blake2b(identity).digest()


def resample(measured: Sequence[GroupStatistics], block: int) -> Floats:
    """Scores of each group on every resample, (G, R)."""
    statistics = [statistic for each in measured for statistic in each.statistics]
    numbers = np.repeat(np.arange(len(measured)), [len(each.statistics) for each in measured])
    scores = resampled_scores(statistics, block)
    return np.stack([scores[numbers == number].mean(axis=0) for number in range(len(measured))])


def sentence(difference: Difference, pairs: Pairs) -> str:
    """A difference in words, with its interval and the deviation over seeds."""
    factor, words = unit(pairs.metric, pairs.task)
    decimals = max(width_decimals(factor * (difference.upper - difference.lower)), 1 if factor > 1 else 0)
    value, lower, upper = (
        f"{factor * each:.{decimals}f}" for each in (difference.value, difference.lower, difference.upper)
    )
    better, worse = difference.better.label, difference.worse.label
    interval = f"{100 * LEVEL:.0f} % interval {lower} to {upper}"
    if difference.is_shown:
        text = f"{better} beats {worse} by {value} {words}, {interval}"
    else:
        text = f"no clear difference between {better} and {worse}: {value} {words} for the first, {interval}"
    if exponential := metric_of(pairs.metric, pairs.task).exponential:
        low, high = (100 * -math.expm1(-each) for each in (difference.lower, difference.upper))
        text += f"; {exponential} {100 * -math.expm1(-difference.value):.1f} % lower, {low:.1f} to {high:.1f}"
    return f"{text} ({seeds_text(difference, factor, decimals)})"


def seeds_text(difference: Difference, factor: float, decimals: int) -> str:
    """Number of seeds, or folds, behind a difference, and the deviation of the scores over them."""
    runs = [*difference.better.runs, *difference.worse.runs]
    words = repeats(runs)
    words = "runs" if words == "seeds and folds" or any(run.is_ensemble for run in runs) else words
    counts, spreads = [len(each) for each in difference.scores], [deviation(each) for each in difference.scores]
    if counts == [1, 1]:
        return f"one {words.removesuffix('s')} each"
    number = f"{counts[0]} {words} each" if counts[0] == counts[1] else f"{counts[0]} and {counts[1]} {words}"
    sds = ["-" if spread is None else f"{factor * spread:.{decimals}f}" for spread in spreads]
    return f"{number}, sd {' and '.join(sds)}"


def resampling_line(pairs: Pairs) -> str:
    """How the intervals were computed, and what they cover."""
    text = f"Intervals: paired bootstrap, {RESAMPLES:,} resamples of the {pairs.examples:,} test {pairs.unit}"
    if pairs.block > 1:
        text += f" in blocks of {pairs.block:,} neighbours"
        if statistics_of(pairs.task).ordered:
            text += ", since examples close in time depend on each other"
    runs = (run for d in pairs.differences for group in (d.better, d.worse) for run in group.runs)
    text += f". They cover which examples are in test, not {repeats(runs)}."
    if pairs.examples / pairs.block < FEW_BLOCKS:
        text += f" Test has only {pairs.examples / pairs.block:.0f} such blocks: the intervals are rough."
    return text
