"""Thresholds of a run: chosen on validation after training, saved in the run directory, loaded with the weights."""

from dataclasses import asdict, dataclass

import numpy as np

from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import write_json
from seqtrain.tasks.artifacts import foreign, read_artifact

FILE = "thresholds.json"


@dataclass(frozen=True)
class Thresholds:
    """thresholds.json."""

    step: int
    """Step of the checkpoint that they belong to."""
    thresholds: dict[str, float]
    """The threshold of each class, by its name."""


def save(thresholds: np.ndarray, class_names: list[str], run: RunDirectory, step: int) -> None:
    """Write the threshold of each class, with the step of the checkpoint, into the directory of a run."""
    saved = Thresholds(step, dict(zip(class_names, thresholds.tolist(), strict=True)))
    write_json(run.path / FILE, asdict(saved))


def load(class_names: list[str], run: RunDirectory, step: int) -> np.ndarray:
    """Read the thresholds that ``save`` wrote for the checkpoint of a step, (C,).

    Raises:
        RunError: if the file is missing or damaged, or belongs to another checkpoint or other classes.
    """
    path, remedy = run.path / FILE, f"choose thresholds again by seqtrain resume={run.path}"
    saved = read_artifact(Thresholds, path, step, remedy)
    if set(saved.thresholds) != set(class_names):
        raise foreign(path, step, remedy)
    return np.array([saved.thresholds[name] for name in class_names])
