"""What a page on the errors of a run is made of, and the sections that a task makes of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape

from seqtrain.data.base import Dataset
from seqtrain.data.spec import DataSpec
from seqtrain.tasks.base import Task
from seqtrain.tasks.predicting import Trained
from seqtrain.tasks.statistics import Outputs


@dataclass(frozen=True)
class Rival:
    """Another run on the same rows."""

    label: str
    """What distinguishes it from the first run."""
    task: Task
    """With what was fitted on validation."""
    outputs: Outputs
    """Its stored outputs on the split."""


@dataclass
class Material:
    """A run, its stored outputs on one split, and what can be read of that split again."""

    label: str
    """The run, in a word or a few."""
    split: str
    spec: DataSpec
    task: Task
    """With what was fitted on validation, such as thresholds."""
    outputs: Outputs
    """Stored outputs on the split, with the numbers of its ``rows`` in the source."""
    data: Dataset | None = None
    """The data of the run; None if its source is gone or has changed."""
    trained: Callable[[], Trained] | None = None
    """Loads the model; None if it cannot be run on the data."""
    rival: Rival | None = None
    missing: list[str] = field(default_factory=list)
    """What the page lacks, and why, one line each."""


@dataclass
class Section:
    """A part of the page."""

    heading: str
    parts: list[str]
    """HTML."""


def sentences(lines: list[str]) -> str:
    """A list of sentences, given as text."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>"


def soft(text: str) -> str:
    """A remark in small letters, given as text."""
    return f'<p class="soft">{escape(text)}</p>'
