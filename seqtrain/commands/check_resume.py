"""Checks that a run which is stopped and resumed gives the same result, bit by bit, as one without interruption."""

import copy
import json
import math
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqtrain.commands.session import Session, resume_from_checkpoint, start
from seqtrain.config.base import require
from seqtrain.config.loading import to_yaml
from seqtrain.config.root import Config
from seqtrain.errors import Interrupted, RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.training.checkpoint import load_checkpoint
from seqtrain.training.device import seed_everything
from seqtrain.training.observers import JsonLines
from seqtrain.training.ranks import SOLO
from seqtrain.training.trainer import Trainer

TIMINGS = {"run_id", "seconds", "train/tokens_per_second", "train/mfu"}
"""Entries of checkpoints and logs that differ between any two runs."""


def check_resume(config: Config, steps: int, directory: Path) -> int:
    """Train two runs, one of 2 ``steps`` and one stopped and resumed after ``steps``, and compare them bit by bit.

    All tensors and logs are compared. Before resuming, all random generators are reseeded, and everything is built
    again.

    Args:
        config: configuration of the run; its numbers of epochs and steps, its figures and baselines are not used.
        steps: optimizer steps before and after the stop.
        directory: folder for the two runs.

    Returns:
        Number of tensors and numbers in the last checkpoints, all of which are equal.

    Raises:
        RunError: if anything differs; it names the first difference.
    """
    require(steps >= 1, "steps", steps, "at least 1")
    config = copy.deepcopy(config)
    trainer = config.trainer
    trainer.max_steps, trainer.log_every, trainer.figures, trainer.checkpoint_seconds = 2 * steps, 1, False, None
    whole, stopped = (RunDirectory.claim(directory / name, exact=True, config=to_yaml(config)) for name in NAMES)
    fit(start(config, whole, SOLO))
    session = start(config, stopped, SOLO)
    session.trainer.observers = [StopAt(steps, session.trainer)]
    try:
        fit(session)
    except Interrupted as error:
        if error.number != PLANNED:
            raise
    else:
        raise RunError(f"the run ended before step {steps}, by trainer.patience={trainer.patience}; set it to null")
    seed_everything(config.seed + 1)
    fit(resume_from_checkpoint(config, stopped, SOLO))
    one, other = (load_checkpoint(run.checkpoint_path("last"), run.id) for run in (whole, stopped))
    logs = [[json.loads(line) for line in run.metrics_path.read_text().splitlines()] for run in (whole, stopped)]
    for place in first_difference(one, other, "last.pt"), first_difference(logs[0], logs[1], "metrics.jsonl"):
        if place is not None:
            raise RunError(f"resuming is not exact: {place} differs between {whole.path} and {stopped.path}")
    return sum(1 for _ in leaves(one))


NAMES = (".whole", ".stopped")
"""Names of the two runs; hidden, so that ``compare`` does not find them."""

PLANNED = signal.SIGUSR1
"""Signal that stands for the planned stop; users do not send it."""


class StopAt:
    """An observer that interrupts a trainer after a step, as a signal would."""

    def __init__(self, step: int, trainer: Trainer):
        self.step, self.trainer = step, trainer

    def scalars(self, step: int, values: dict[str, float]) -> None:
        interruption = self.trainer.interruption
        if step == self.step and interruption.requested is None:
            interruption.requested = PLANNED

    def media(self, step: int, figures: dict[str, Any], texts: dict[str, str]) -> None:
        pass

    def histograms(self, step: int, values: dict[str, Any]) -> None:
        pass

    def close(self) -> None:
        pass


def fit(session: Session) -> None:
    """Train to the end, and write metrics.jsonl."""
    trainer = session.trainer
    lines = JsonLines(session.run.metrics_path, trainer.progress.step, trainer.progress.evaluation_due)
    trainer.observers.append(lines)
    try:
        trainer.fit()
    finally:
        lines.close()


def first_difference(one: Any, other: Any, place: str) -> str | None:
    """The first place where two nested values differ, or None; timings are ignored, and NaN equals NaN."""
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return f"{place} (keys {sorted(one.keys() ^ other.keys(), key=str)})"
        parts = [(one[key], other[key], f"{place}.{key}") for key in one if key not in TIMINGS]
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if len(one) != len(other):
            return f"{place} (lengths {len(one)} and {len(other)})"
        parts = [(a, b, f"{place}.{i}") for i, (a, b) in enumerate(zip(one, other, strict=True))]
    else:
        return None if equal(one, other) else place
    return next((found for part in parts if (found := first_difference(*part)) is not None), None)


def equal(one: Any, other: Any) -> bool:
    """Whether two leaves are equal, bit by bit."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        same = one.dtype == other.dtype and one.shape == other.shape
        return same and torch.equal(*(t.reshape(-1).view(torch.uint8) for t in (one, other)))
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and bool(one == other)


def leaves(value: Any) -> Iterator[Any]:
    """All values in nested dicts, lists and tuples that are not dicts, lists or tuples themselves."""
    if isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from leaves(part)
    else:
        yield value
