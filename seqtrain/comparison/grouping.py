"""Grouping of runs: which may share a table, which are seeds or folds of one configuration, and labels of these."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqtrain.comparison.metrics import statistics_of
from seqtrain.comparison.runs import Run
from seqtrain.config.loading import GROUPS

NAMES = tuple(f"{section}.name" for section in ("model", *(each for each in GROUPS if each != "model")))


DIAL = "size"
"""The option that sets several others."""


@dataclass
class Group:
    """The runs of one configuration, one per seed, or per fold and seed."""

    runs: list[Run]
    label: str = ""
    """What distinguishes it from the other groups of its table."""

    @property
    def options(self) -> dict[str, Any]:
        """Its configuration, without options that may differ between its runs."""
        return configuration(self.runs[0])

    @property
    def described(self) -> dict[str, Any]:
        """What its label is made of."""
        return described(self.runs[0])

    def values(self, split: str, metric: str) -> list[float]:
        """Scores of the runs that have the metric."""
        return [run.scores[split][metric] for run in self.runs if metric in run.scores.get(split, {})]


def configuration(run: Run) -> dict[str, Any]:
    """The options that define a run's configuration. Of folds of one experiment, the number of the fold does not."""
    repeated = {"seed"} if run.fold is None else {"seed", "data.fold"}
    return {key: value for key, value in run.options.items() if key not in repeated and key not in run.incidental}


def described(run: Run) -> dict[str, Any]:
    """The configuration of a run and the ``size`` that set some of it, by which the user knows the run."""
    return {DIAL: run.options.get(DIAL)} | configuration(run)


def repeats(runs: Iterable[Run]) -> str:
    """What the runs of one configuration are, in the plural."""
    runs = list(runs)
    if all(run.fold is None for run in runs):
        return "seeds"
    return "folds" if len({run.seed for run in runs}) == 1 else "seeds and folds"


def identity(value: Any) -> str:
    """A value as text, so that equal values have equal texts; 1 and 1.0 are equal."""
    return json.dumps(float(value) if isinstance(value, int) and not isinstance(value, bool) else value, default=str)


def comparable(run: Run) -> dict[str, str]:
    """Facts that two runs must share for their scores to be compared: name -> value in words.

    Folds of one experiment share their data, although each has another validation split, perhaps of another size.
    """
    sizes, folds = run.data.sizes, run.data.folds_of
    facts = {"data": f"fingerprint {data_of(run)[:8]}", "task": run.task.replace("_", " ")}
    of_size = ("test",) if folds else ("validation", "test")
    facts |= {f"{split} size": f"{sizes[split]:,}" for split in of_size if split in sizes}
    facts |= {"folds": str(run.options.get("data.folds"))} if folds else {}
    if run.data.scoring:
        facts["scores"] = run.data.scoring
    must_agree = statistics_of(run.task).must_agree
    return facts | (must_agree(run.spec, run.options) if must_agree is not None else {})


def data_of(run: Run) -> str:
    """Digest of the data that two runs must share: that of all folds together, or that of the splits."""
    return run.data.folds_of or run.data.fingerprint


def comparable_sets(runs: Sequence[Run]) -> list[list[Run]]:
    """Lists of runs that may be compared with each other, in the order of the runs."""
    found: dict[tuple[Any, ...], list[Run]] = defaultdict(list)
    for run in runs:
        found[(data_of(run), *comparable(run).items())].append(run)
    return list(found.values())


def group_runs(runs: Sequence[Run]) -> tuple[list[Group], list[str]]:
    """The labelled configurations among comparable runs.

    Of several runs with the same configuration, seed and fold only the latest counts: a repetition says nothing about
    other seeds.

    Returns:
        The groups, and a note for each run that is ignored.
    """
    found: dict[str, dict[tuple[int, int], Run]] = defaultdict(dict)
    notes = []
    for run in sorted(runs, key=lambda run: run.started):
        seeds = found[json.dumps({key: identity(value) for key, value in sorted(configuration(run).items())})]
        number = (run.seed, run.fold or 0)
        if number in seeds:
            fold = "" if run.fold is None else f" and fold ({run.fold})"
            notes.append(
                f"{seeds[number].path}: ignored, since {run.path} has the same configuration and seed "
                f"({run.seed}){fold} and is newer"
            )
        seeds[number] = run
    groups = [Group([seeds[seed] for seed in sorted(seeds)]) for seeds in found.values()]
    names = short_names(distinguishing([group.described for group in groups]))
    for each in groups:
        each.label = label(each.described, names)
    return groups, notes


def missing_folds(groups: Iterable[Group]) -> list[str]:
    """A note for each group that lacks a fold: its mean is over other rows of train than that of a whole one."""
    notes = []
    for each in groups:
        there = {run.fold for run in each.runs if run.fold is not None}
        if there and len(there) < each.options["data.folds"]:
            few = ", ".join(map(str, sorted(there)))
            notes.append(f"{each.label}: has runs of data.fold={few} only, of {each.options['data.folds']} folds")
    return notes


def differing(options: Sequence[dict[str, Any]]) -> list[str]:
    """Keys whose values differ between configurations, ``model.name`` and the other names first."""
    keys = dict.fromkeys([*NAMES, *(key for each in options for key in each)])
    return [key for key in keys if len({identity(each.get(key)) for each in options}) > 1]


def distinguishing(options: Sequence[dict[str, Any]]) -> list[str]:
    """Differing keys, without those that are determined by others.

    The name of a section determines keys of the section: ``model=lstm`` implies a cell other than that of
    ``model=gru``. If every configuration has a ``size``, the size determines what it sets.
    """
    keys = differing(options)
    dial = DIAL in keys and all(each.get(DIAL) for each in options)

    def implied(key: str) -> bool:
        if key == DIAL:
            return not dial
        section = f"{key.split('.')[0]}.name"
        return is_implied(key, [section], options) or (dial and is_implied(key, [*NAMES, DIAL], options))

    return [key for key in keys if key in NAMES or not implied(key)]


def is_implied(key: str, names: Sequence[str], options: Sequence[dict[str, Any]]) -> bool:
    """Whether all configurations with the same values of ``names`` have the same value of ``key``."""
    values = defaultdict(set)
    for each in options:
        values[tuple(map(each.get, names))].add(identity(each.get(key)))
    return all(len(seen) == 1 for seen in values.values())


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """For each key its last parts, as many as are needed to be unique; ``model`` for ``model.name``."""
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
    """Short label of a group: ``gru`` if only the model differs, else ``model=gru lr=0.002``."""
    if not names or list(names) == ["model.name"]:
        return str(options["model.name"])
    return " ".join(f"{name}={format_value(options.get(key))}" for key, name in names.items())


def format_value(value: Any) -> str:
    """Short text of a value; for a path its last part."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return f"[{','.join(format_value(part) for part in value)}]"
    return Path(value).name if isinstance(value, str) and "/" in value else str(value)
