"""Which runs may stand in one table, which of them are seeds of one configuration, and what to call each."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqtrain.comparison.runs import Run
from seqtrain.config.loading import GROUPS

SAME_RUN = frozenset(
    {
        *("seed", "device", "data.path"),
        *("data.eval_batch_tokens", "data.eval_batch_size"),  # speed and memory only
        *("trainer.log_every", "trainer.figures", "trainer.baselines", "trainer.checkpoint_seconds"),
        "budget.found",  # follows from the width
    }
)
"""Options that do not make another configuration; nor do those of ``sweep``."""

NAMES = tuple(f"{section}.name" for section in ("model", *(each for each in GROUPS if each != "model")))


@dataclass
class Group:
    """The runs of one configuration, a seed each."""

    runs: list[Run]
    label: str = ""
    """What sets it apart from the other groups of its table."""

    @property
    def options(self) -> dict[str, Any]:
        """Its configuration, without what may differ between its runs."""
        return configuration(self.runs[0])

    def values(self, split: str, metric: str) -> list[float]:
        """Scores of the runs that have the metric."""
        return [run.scores[split][metric] for run in self.runs if metric in run.scores.get(split, {})]


def configuration(run: Run) -> dict[str, Any]:
    """The options that make a configuration."""
    return {k: value for k, value in run.options.items() if k not in SAME_RUN and not k.startswith("sweep.")}


def identity(value: Any) -> str:
    """A value as text by which equal ones are found; 1 and 1.0 are equal."""
    return json.dumps(float(value) if isinstance(value, int) and not isinstance(value, bool) else value, default=str)


def comparable(run: Run) -> dict[str, str]:
    """All that two runs must have in common for their scores to be compared, in words."""
    spec, sizes = run.data["spec"], run.data["sizes"]
    facts = {"data": f"fingerprint {str(run.data['fingerprint'])[:8]}", "task": run.task.replace("_", " ")}
    facts |= {f"{split} size": f"{sizes[split]:,}" for split in ("validation", "test") if split in sizes}
    if run.data["scoring"]:
        facts["scores"] = run.data["scoring"]
    if spec.get("targets") == "next token":
        facts["vocabulary"] = str(spec.get("vocab_size"))
    if spec.get("targets") == "future":
        facts["season"] = str(spec.get("season"))  # what mase and rmsse divide by depends on it
    if spec.get("targets") == "labels" and "data.max_length" in run.options:
        facts["data.max_length"] = str(run.options["data.max_length"])  # no step after it is scored
    return facts


def comparable_sets(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs that may be compared with each other, together; in the order in which they come."""
    found: dict[tuple[Any, ...], list[Run]] = defaultdict(list)
    for run in runs:
        found[(run.data["fingerprint"], *comparable(run).items())].append(run)
    return list(found.values())


def group_runs(runs: Sequence[Run]) -> tuple[list[Group], list[str]]:
    """The configurations among runs of one pool, labelled.

    Of runs that have the seed too in common the latest stands for all: a repetition says nothing of other seeds.

    Returns:
        The groups, and a line for each run that is left out.
    """
    found: dict[str, dict[int, Run]] = defaultdict(dict)
    notes = []
    for run in sorted(runs, key=lambda run: run.started):
        seeds = found[json.dumps({key: identity(value) for key, value in sorted(configuration(run).items())})]
        if run.seed in seeds:
            notes.append(
                f"{seeds[run.seed].path}: is left out, since {run.path} has the same configuration and seed "
                f"({run.seed}) and is newer"
            )
        seeds[run.seed] = run
    groups = [Group([seeds[seed] for seed in sorted(seeds)]) for seeds in found.values()]
    keys = distinguishing([group.options for group in groups])
    names = short_names(keys)
    for each in groups:
        each.label = label(each.options, names)
    return groups, notes


def differing(options: Sequence[dict[str, Any]]) -> list[str]:
    """Keys that are not the same in all configurations, ``model.name`` and its like first."""
    keys = dict.fromkeys([*NAMES, *(key for each in options for key in each)])
    return [key for key in keys if len({identity(each.get(key)) for each in options}) > 1]


def distinguishing(options: Sequence[dict[str, Any]]) -> list[str]:
    """The same without keys of a section that follow from its name.

    That ``model=lstm`` has another cell than ``model=gru`` goes without saying.
    """
    keys = differing(options)
    return [key for key in keys if key in NAMES or not is_implied(key, f"{key.split('.')[0]}.name", options)]


def is_implied(key: str, name: str, options: Sequence[dict[str, Any]]) -> bool:
    """Whether configurations with the same ``name`` have the same ``key``, so that the one tells the other."""
    values = defaultdict(set)
    for each in options:
        values[each.get(name)].add(identity(each.get(key)))
    return all(len(seen) == 1 for seen in values.values())


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """The last parts of each key, as many as tell it from the others; ``model`` for ``model.name``."""
    whole = {key: key.removesuffix(".name") for key in keys}
    names = {}
    for key, full in whole.items():
        parts = full.split(".")
        for count in range(1, len(parts) + 1):
            names[key] = ".".join(parts[-count:])
            if sum(f".{other}".endswith(f".{names[key]}") for other in whole.values()) == 1:
                break
    return names


def label(options: dict[str, Any], names: dict[str, str]) -> str:
    """A group in a few words: ``gru`` where only the model differs, else ``model=gru lr=0.002``."""
    if not names or list(names) == ["model.name"]:
        return str(options["model.name"])
    return " ".join(f"{name}={format_value(options.get(key))}" for key, name in names.items())


def format_value(value: Any) -> str:
    """A value in few letters: of a path its last part."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return f"[{','.join(format_value(part) for part in value)}]"
    return Path(value).name if isinstance(value, str) and "/" in value else str(value)
