"""Base classes of all config nodes, and the checks that they share. Nothing here imports torch.

A node's class is found by its ``kind`` (see ``registry``). Its ``name`` is that of its YAML file, for people to read.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, ClassVar, Protocol, Self

from omegaconf import MISSING

from seqtrain.errors import ConfigError


class Targets(StrEnum):
    """What can be predicted. Data provides it, a task predicts it, and some models can predict only one of them.

    A plugin may use another word of its own, the same for its data and its task.
    """

    sequence_class = "class"
    """One class for each sequence."""
    sequence_labels = "set of labels"
    """A set of labels for each sequence; it may be empty."""
    sequence_number = "number"
    """One number for each sequence."""
    step_labels = "labels"
    """One label for each step."""
    next_token = "next token"
    """The token after each step of running text."""
    future = "future"
    """The steps after a window of a series."""
    translation = "translation"
    """The text in another language, token by token."""


@dataclass
class Node:
    """Base of the config nodes of all groups (data, task, model, trainer)."""

    kind: str = MISSING
    """Registered kind, by which the schema and the class to build are found."""
    name: str = MISSING
    """Name of the YAML file, shown to people and used in the names of run directories."""

    def check(self, key: str) -> None:
        """Raise ConfigError if a value is out of range or two values contradict; ``key`` is this node's dotted path."""


@dataclass
class DataConfig(Node):
    """Where examples come from and how they are batched."""

    def for_model(self, model: "ModelConfig") -> Self:
        """These options, adapted to a model: evaluation may have to read as far back as the model looks."""
        return self


@dataclass
class TaskConfig(Node):
    """What is predicted: the head, the loss and the metrics."""


@dataclass
class ModelConfig(Node):
    """The network that turns inputs into features."""

    targets: ClassVar[str | None] = None
    """The only targets that the model can predict; None if it works for several tasks."""

    def kernels(self) -> list[str]:
        """Names of the compiled kernels that the model may use on a CPU. They are compiled while data is read."""
        return []

    def attention_reach(self) -> int:
        """The most steps that attention looks back from a step; 0 without attention."""
        return 0

    def meaning(self) -> dict[str, Any]:
        """Options, by key, besides sizes, on which it depends what the layers compute from given weights."""
        return {}

    def widths(self, causal: bool) -> dict[str, int]:
        """Keys of the sizes that ``budget.params`` adjusts, and what each must be a multiple of.

        Empty if the model has no such size. All sizes are first scaled by the same factor; then the last one alone is
        adjusted to come as close as possible.

        Args:
            causal: the task predicts the next step.
        """
        return {"hidden_size": 1} if hasattr(self, "hidden_size") else {}


def require(holds: bool, key: str, value: Any, allowed: str) -> None:
    """Raise ConfigError unless ``holds``; the message names the key, its value and what is allowed."""
    if not holds:
        raise ConfigError(f"{key}={value!r}: must be {allowed}")


def require_fraction(value: float, key: str) -> None:
    """Raise ConfigError unless a value is in [0, 1), as a dropout probability must be."""
    require(0 <= value < 1, key, value, "in [0, 1)")


def suggest(name: str, known: Iterable[str]) -> str:
    """Part of an error message: the known names closest to ``name``, or all of them if none is close."""
    known = sorted(known)
    close = get_close_matches(name, known, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(known)}"


class NamesSplits(Protocol):
    """Options that give the source's name of each split."""

    train_split: str
    validation_split: str | None
    test_split: str | None


class HasSplits(NamesSplits, Protocol):
    """They also say how splits that the source lacks are set apart from train."""

    validation_size: float
    test_size: float
    split_seed: int


def check_splits(config: HasSplits, key: str) -> None:
    """Raise ConfigError unless the names of splits differ, and the sizes and the seed are in range."""
    names = [name for name in (config.train_split, config.validation_split, config.test_split) if name is not None]
    require(len(set(names)) == len(names), f"{key}.train_split, validation_split and test_split", names, "different")
    require(config.validation_size > 0, f"{key}.validation_size", config.validation_size, "above 0")
    require(config.test_size >= 0, f"{key}.test_size", config.test_size, "at least 0")
    require(0 <= config.split_seed < 2**32, f"{key}.split_seed", config.split_seed, "in [0, 2**32)")


def check_folds(folds: int | None, fold: int, key: str) -> None:
    """Raise ConfigError unless there are at least two folds and ``fold`` is one of them, or there are none."""
    require(folds is None or folds >= 2, f"{key}.folds", folds, "at least 2, or null")
    allowed = (
        f"in [0, {folds}), of {key}.folds={folds}" if folds else f"0, unless {key}.folds gives the number of folds"
    )
    require(0 <= fold < (folds or 1), f"{key}.fold", fold, allowed)
