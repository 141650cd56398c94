"""Finished runs whose outputs may be averaged, since they have the same data, task and targets."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seqtrain.commands.members import LoadedMember
from seqtrain.comparison.grouping import comparable, described, distinguishing, label, short_names
from seqtrain.comparison.runs import Run, read_runs
from seqtrain.config import loading
from seqtrain.errors import RunError
from seqtrain.paths import expanded
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.records import Results
from seqtrain.tasks.statistics import Outputs

log = logging.getLogger(__name__)


@dataclass
class Candidate:
    """A finished run that may become a member of an ensemble."""

    run: Run
    member: LoadedMember
    results: Results
    label: str = ""
    """What distinguishes it from the others, its seed and fold included."""

    def outputs(self, split: str, names: Sequence[str]) -> Outputs:
        """Its outputs on a split: the stored ones or, where an earlier version stored too little, evaluated again."""
        try:
            with self.run.predictions(split) as stored:
                found = dict(stored)
        except RunError:
            found = {}
        if not {"rows", *names} <= found.keys():
            log.info("%s: its outputs on %s are not stored; evaluating it ...", self.run.path, split)
            return self.member.evaluated(split)
        return found


def read_candidates(directories: Sequence[str], least: int) -> list[Candidate]:
    """The finished runs in directories; raises RunError unless there are enough, and they have the same data."""
    finished, unfinished, damaged = read_runs(directories)
    for line in [*damaged, *(f"{each.path}: is {each.state}, and not used" for each in unfinished)]:
        log.warning("%s", line)
    given = {expanded(directory).resolve() for directory in directories}
    runs = []
    for run in finished:
        if run.is_ensemble and run.path.resolve() in given:
            raise RunError(f"{run.path}: is an ensemble itself; give its members")
        if not run.is_ensemble:
            runs.append(run)
    if len(runs) < least:
        raise RunError(f"{', '.join(directories)}: {len(runs)} finished runs are there, and {least} are needed")
    check_alike(runs)
    candidates = []
    for run in runs:
        directory = RunDirectory.open(str(run.path), key="")
        results = Results.read(directory.results_path)
        own = loading.to_config(loading.from_yaml(directory.config_path))
        candidates.append(Candidate(run, LoadedMember(own, directory, results.best_step), results))
    names = labels(runs, repeated=True)
    for each, name in zip(candidates, names, strict=True):
        each.label = name if names.count(name) == 1 else f"{name} ({each.run.path.name})"
    return candidates


def labels(runs: Sequence[Run], repeated: bool) -> list[str]:
    """What distinguishes each run from the others; ``repeated``: also its seed and its fold."""
    options: list[dict[str, Any]] = []
    for run in runs:
        of_run = {"seed": run.seed} | ({} if run.fold is None else {"data.fold": run.fold}) if repeated else {}
        options.append(described(run) | of_run)
    names = short_names(distinguishing(options))
    return [label(each, names) for each in options]


def check_alike(runs: Sequence[Run]) -> None:
    """Raise RunError, which names what differs, unless runs have the same data, task and targets."""
    first, *others = [facts_of(run) for run in runs]
    for run, facts in zip(runs[1:], others, strict=True):
        if keys := [key for key in first | facts if first.get(key) != facts.get(key)]:
            named = ", ".join(f"{key} ({first.get(key, 'none')} and {facts.get(key, 'none')})" for key in keys)
            raise RunError(f"{run.path}: differs from {runs[0].path} in {named}; they must have these in common")


def facts_of(run: Run) -> dict[str, str]:
    """What the members of an ensemble must have in common: name -> value in words."""
    spec = run.data.spec
    facts = comparable(run)
    for name, value in (("classes", spec.class_names), ("targets", spec.target_names), ("horizon", spec.horizon)):
        facts |= {name: str(value)} if value else {}
    tokens = run.data.tokenizer_crc32
    return facts | ({"vocabulary": f"checksum {tokens}"} if run.task == "language_modelling" else {})
