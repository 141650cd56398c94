"""Thresholds of a run: chosen on validation after training, saved in the run directory, loaded with the weights."""

import json

import numpy as np

from seqtrain.atomic import replacing
from seqtrain.errors import RunError
from seqtrain.runs.directory import RunDirectory

FILE = "thresholds.json"


def save(thresholds: np.ndarray, class_names: list[str], run: RunDirectory, step: int) -> None:
    """Write the threshold of each class, with the step of the checkpoint, into the directory of a run."""
    state = {"step": step, "thresholds": dict(zip(class_names, thresholds.tolist(), strict=True))}
    with replacing(run.path / FILE) as temporary:
        temporary.write_text(json.dumps(state, indent=2, ensure_ascii=False) + "\n")


def load(class_names: list[str], run: RunDirectory, step: int) -> np.ndarray:
    """Read the thresholds that ``save`` wrote for the checkpoint of a step, (C,).

    Raises:
        RunError: if the file is missing or damaged, or belongs to another checkpoint or other classes.
    """
    path, remedy = run.path / FILE, f"choose thresholds again by seqtrain resume={run.path}"
    try:
        state = json.loads(path.read_text())
        thresholds = state["thresholds"]
        belongs = state["step"] == step and set(thresholds) == set(class_names)
        found = np.array([float(thresholds[name]) for name in class_names]) if belongs else np.zeros(0)
    except FileNotFoundError:
        raise RunError(f"{path}: is missing; {remedy}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: cannot be read ({error}); {remedy}") from error
    if not belongs or not np.isfinite(found).all():
        raise RunError(f"{path}: does not belong to checkpoints/best.pt, of step {step}; {remedy}")
    return found
