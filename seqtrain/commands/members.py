"""The members of an ensemble: their outputs on a split, their average, and a predictor of it."""

import logging
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any

import numpy as np

from seqtrain.commands.build import build_task, load_trained
from seqtrain.commands.evaluate import check_changes, check_choice, data_to_score, describe_data
from seqtrain.config import loading
from seqtrain.config.root import Config
from seqtrain.data.base import Dataset
from seqtrain.data.description import DataDescription
from seqtrain.errors import ConfigError, RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.ensemble import Ensemble
from seqtrain.runs.json_files import to_json
from seqtrain.tasks.base import Task
from seqtrain.tasks.statistics import Outputs
from seqtrain.training.evaluation import evaluate

log = logging.getLogger(__name__)

STEP = 0
"""Step of an ensemble in the files that belong to a checkpoint."""
TRUTHS = ("rows", "targets", "lengths", "observed")
"""Outputs that are the same for all members, since they are of the rows."""


@dataclass
class LoadedMember:
    """A member of an ensemble, whose data and model are read when they are needed."""

    config: Config
    run: RunDirectory
    step: int | None
    """Step of the best checkpoint when the ensemble was made."""
    other_data: bool = False
    """Whether the user gave another ``data.path``."""

    @property
    def fold(self) -> int | None:
        """Which fold of train is its validation; None without folds."""
        data: Any = self.config.data
        return None if getattr(data, "folds", None) is None else data.fold

    @cached_property
    def data(self) -> Dataset:
        """Its dataset."""
        return data_to_score(self.config, self.run, self.other_data)

    def check_step(self, step: int) -> None:
        """Raise RunError unless the best checkpoint is that with which the ensemble was made."""
        if self.step not in (None, step):
            raise RunError(
                f"{self.run.path}: was trained further since it became a member (its best checkpoint is of "
                f"step {step}, and was of step {self.step}); make the ensemble again"
            )

    def evaluated(self, split: str) -> Outputs:
        """The outputs of its best checkpoint on a split of its data, and the numbers of the rows."""
        built, step = load_trained(self.config, self.run, "best", self.data.spec)
        self.check_step(step)
        batches, precision = self.data.eval_batches(split), self.config.trainer.precision
        result = evaluate(built.model, built.head, built.task, batches, built.device, precision)
        return {"rows": self.data.source_rows(split)} | result.outputs


def open_members(saved: Config, config: Config, run: RunDirectory, other_data: bool = False) -> list[LoadedMember]:
    """The members of an ensemble, with the changes that the user made to its configuration.

    Args:
        saved: configuration of the ensemble.
        config: the same with changes.
        run: its directory.
        other_data: whether the user gave another ``data.path``.

    Raises:
        RunError: if a member is missing or damaged, or is another run.
        ConfigError: for a change of an option that a member does not have.
    """
    record = Ensemble.read(run)
    changes = {key: attrgetter(key)(config) for key in loading.differences(saved, config)}
    members = []
    for member, directory in zip(record.members, record.directories(run), strict=True):
        own = loading.to_config(loading.from_yaml(directory.config_path))
        for key, value in changes.items():
            parent, _, name = key.rpartition(".")
            node = attrgetter(parent)(own) if parent else own
            if not hasattr(node, name):
                raise ConfigError(f"{key}: is no key of member {directory.path}; remove this override")
            setattr(node, name, value)
        members.append(LoadedMember(own, directory, member.step, other_data))
    return members


def averaged_parts(
    task: Task, members: Sequence[LoadedMember], split: str, outputs_of: Callable[[LoadedMember], Outputs]
) -> list[tuple[Outputs, Dataset | None]]:
    """The average outputs of members on a split, as ``Task.scored`` takes them.

    Validation of folds is out of fold: each row is in the validation split of one fold, and the members of this fold,
    which have not been trained on it, are averaged. The rows of each fold are a part.

    Args:
        task: the task of the ensemble.
        members: its members.
        split: the split.
        outputs_of: the outputs of a member on the split, with the numbers of the ``rows``.

    Raises:
        RunError: if members have other rows than the others, or the task has no ensembles.
    """
    if not task.averages:
        raise RunError(f"{members[0].run.path}: task={members[0].config.task.name} has no ensembles")
    groups: dict[int | None, list[LoadedMember]] = {}
    for member in members:
        of_fold = split != "test" and not member.other_data
        groups.setdefault(member.fold if of_fold else None, []).append(member)
    if split == "train" and len(groups) > 1:
        raise ConfigError("split=train: the members are of several folds, and have no train split in common")
    parts: list[tuple[Outputs, Dataset | None]] = []
    for _, group in sorted(groups.items(), key=lambda item: item[0] or 0):
        outputs = [outputs_of(member) for member in group]
        check_same_rows(group, outputs, split)
        parts.append((task.averaged(outputs), group[0].data if task.scores_need_data else None))
    return parts


def check_same_rows(members: Sequence[LoadedMember], outputs: Sequence[Outputs], split: str) -> None:
    """Raise RunError unless members have outputs for the same rows, with the same truth."""
    for member, own in zip(members, outputs, strict=True):
        for name in TRUTHS:
            if name in outputs[0] and not np.array_equal(own[name], outputs[0][name]):
                raise RunError(
                    f"{member.run.path}: its {split} split has other {name} than that of {members[0].run.path}; the "
                    "members of an ensemble must have the same data"
                )


def rows_of(parts: Sequence[tuple[Outputs, Dataset | None]]) -> np.ndarray:
    """Numbers of the rows of all parts, one part after the other."""
    return np.concatenate([outputs["rows"] for outputs, _ in parts])


def evaluate_ensemble(
    saved: Config,
    config: Config,
    run: RunDirectory,
    *,
    split: str | None = None,
    checkpoint: str = "best",
    other_data: bool = False,
) -> dict[str, float]:
    """Score an ensemble on a split by evaluating each of its members, and print the scores as JSON.

    Arguments, errors and the returned scores are as of ``evaluate``; there is no checkpoint but ``best``.
    """
    check_choice("checkpoint", checkpoint, ("best",))
    check_changes(saved, config)
    members = open_members(saved, config, run, other_data)
    first = members[0].data
    split = split or ("test" if "test" in first.sizes else "validation")
    check_choice("split", split, tuple(first.sizes))
    task = task_of(config, run)
    describe_data(first, run)
    parts = averaged_parts(task, members, split, lambda member: member.evaluated(split))
    metrics = task.scored(parts, split).metrics
    size = first.sizes[split] if len(parts) == 1 else len(rows_of(parts))
    summary = {"run": str(run.path), "members": len(members), "split": split, "size": size}
    summary |= {"scoring": first.scoring} if first.scoring else {}
    print(to_json(summary | task.remarks() | metrics, indent=2))
    return metrics


def task_of(config: Config, run: RunDirectory) -> Task:
    """The task of an ensemble, with what was fitted on validation when the ensemble was made."""
    task = build_task(config, DataDescription.read(run.data_path).spec)
    task.load_artifacts(run, "best", STEP)
    return task


def config_of_ensemble(first: Config, count: int, folds: bool) -> Config:
    """The configuration of an ensemble: that of its first member, whose temperature belongs to that member alone.

    With folds, members have other rows of validation, from which no conformal intervals are computed.
    """
    config = deepcopy(first)
    config.model.name = f"ensemble_of_{count}"
    off: dict[str, Any] = {"temperature": False} | ({"conformal": None} if folds else {})
    for key, value in off.items():
        if hasattr(config.task, key):
            setattr(config.task, key, value)
    return config
