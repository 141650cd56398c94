"""Files that a task fits on validation after training, and that belong to one checkpoint of a run."""

from pathlib import Path
from typing import Protocol, TypeVar

from seqtrain.errors import RunError
from seqtrain.runs.json_files import read_record


class OfCheckpoint(Protocol):
    """A record that names the step of its checkpoint."""

    @property
    def step(self) -> int:
        """Step of the checkpoint."""


T = TypeVar("T", bound=OfCheckpoint)


def read_artifact(kind: type[T], path: Path, step: int, remedy: str, needed: str = "") -> T:
    """Read such a file.

    Args:
        kind: the record that it holds.
        path: the file.
        step: step of the best checkpoint.
        remedy: how it is made again.
        needed: what needs it, for the error.

    Raises:
        RunError: if it is missing or damaged, or belongs to another checkpoint.
    """
    if not path.exists():
        raise RunError(f"{path}: is missing{f', and {needed} needs it' if needed else ''}; {remedy}")
    saved = read_record(kind, path, remedy=remedy)
    if saved.step != step:
        raise foreign(path, step, remedy)
    return saved


def foreign(path: Path, step: int, remedy: str) -> RunError:
    """The error for a file that belongs to another checkpoint or model; arguments as of ``read_artifact``."""
    return RunError(f"{path}: does not belong to checkpoints/best.pt, of step {step}; {remedy}")
