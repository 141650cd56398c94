"""Whether a model is better than the baselines beside it: intervals of the differences on the same test examples."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from seqtrain.comparison.bootstrap import LEVEL, common_block, resampled_scores
from seqtrain.comparison.metrics import statistics_of
from seqtrain.tasks.statistics import Outputs, Statistic

RESAMPLES = 2_000  # fewer than those of a comparison: every run makes these


def against_baselines(
    task: str,
    metric: str,
    maximize: bool,
    model: Outputs,
    baselines: Mapping[str, Outputs],
    spec: dict[str, Any],
    resamples: int = RESAMPLES,
) -> dict[str, list[float]]:
    """Intervals of how much better a model is than each baseline, by the paired bootstrap.

    Args:
        task: its kind.
        metric: the monitored one.
        maximize: whether more of it is better.
        model: its outputs on the test examples.
        baselines: likewise, by name.
        spec: the DataSpec, as data.json has it.
        resamples: number of resamples of the examples.

    Returns:
        Ends of the interval, above 0 where the model is better, by name; without those baselines whose score on each
        example is not known.
    """
    kind = statistics_of(task)
    make = kind.metrics[metric].statistic if metric in kind.metrics else None
    if make is None:
        return {}
    own = statistic(make, model, spec)
    others = {who: statistic(make, outputs, spec) for who, outputs in baselines.items()}
    known = {who: each for who, each in others.items() if own is not None and same_examples(model, baselines[who])
             and each is not None and len(each.terms) == len(own.terms)}  # fmt: skip
    if own is None or not known:
        return {}
    statistics = [own, *known.values()]
    block = common_block(statistics, kind.ordered, spec.get("horizon") or 1)
    resampled = resampled_scores(statistics, block, resamples)
    differences = (1 if maximize else -1) * (resampled[:1] - resampled[1:])
    tails = (50 * (1 - LEVEL), 50 * (1 + LEVEL))
    return {who: np.percentile(each, tails).tolist() for who, each in zip(known, differences, strict=True)}


def statistic(definition: Any, outputs: Outputs, spec: dict[str, Any]) -> Statistic | None:
    """The metric of outputs; None where an output that it needs is missing, or none of its values is finite."""
    try:
        found: Statistic = definition(outputs, spec)
    except KeyError:
        return None
    return found if np.isfinite(found.terms).all() else None


def same_examples(model: Outputs, baseline: Outputs) -> bool:
    """Whether outputs that say what is true agree on it: of the same examples, in the same order."""
    names = [name for name in ("targets", "lengths", "observed") if name in model and name in baseline]
    return all(np.array_equal(model[name], baseline[name]) for name in names)
