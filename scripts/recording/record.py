"""docs/results.yaml: the recipes, what they scored when they were measured, and published figures beside them."""

import re
import shlex
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from seqtrain.atomic import replacing
from seqtrain.comparison.metrics import less_is_better
from seqtrain.errors import UserError
from seqtrain.runs.json_files import as_record

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "docs" / "results.yaml"
HEADER = """\
# The recipes and what they scored, and published figures. scripts/check-results runs recipes again and compares, or
# fills in `measured`. With --page it makes docs/results.md from this file. scripts/recording/record.py has the keys.
"""
GOAL = re.compile(r"(>=|<=) ([0-9.]+)")


@dataclass(frozen=True)
class Baseline:
    """A simple method on the same rows, as it stands in the final table of a run."""

    name: str
    score: float


@dataclass(frozen=True)
class Measured:
    """What a recipe scored."""

    scores: dict[int, float]
    """By seed."""
    seconds: float
    """Of one run from its start to its final table, baselines included: the mean over seeds."""
    machine: str
    """Processor or GPU, and the number of threads."""
    commit: str
    date: str
    baseline: Baseline | None = None
    """The strongest of those in the same table; None if the runs have none."""
    validation: float | None = None
    """The mean on validation, where the score is on test."""
    preparation: float | None = None
    """Seconds of the commands before the last one, which are run once."""

    @property
    def mean(self) -> float:
        return statistics.mean(self.scores.values())

    @property
    def sd(self) -> float | None:
        """Sample standard deviation over the seeds; None of a single one."""
        return statistics.stdev(self.scores.values()) if len(self.scores) > 1 else None


@dataclass(frozen=True)
class Recipe:
    """A row of the record."""

    title: str
    data: str
    """The heading that it stands under, with the published figures for the same data."""
    commands: list[str]
    """As one types them in the root of the repository. The last one gets the seeds; those before it prepare runs that
    it begins from, in folders below ``outputs/``."""
    metric: str
    split: str
    """test or validation."""
    floor: float
    """Smallest distance from the recorded mean that counts as a difference, in units of the metric."""
    goal: str | None = None
    """``>= 0.91`` or ``<= 1.43``."""
    mark: str | None = None
    """Which of the published figures to compare with."""
    note: str | None = None
    measured: Measured | None = None
    """None as long as it was not measured."""

    @property
    def lower_is_better(self) -> bool:
        return less_is_better(self.metric)

    @property
    def allowed(self) -> float:
        """How far a mean may be from the recorded one: 3 sd or the floor, whichever is larger.

        Three seeds give a poor estimate of the deviation, hence the floor.
        """
        sd = self.measured.sd if self.measured else None
        return max(3 * (sd or 0.0), self.floor)

    @property
    def preparations(self) -> list[list[str]]:
        """Words of the commands before the last one, without ``seqtrain``."""
        return [words_of(command) for command in self.commands[:-1]]

    @property
    def overrides(self) -> list[str]:
        """Words of the last command, without ``seqtrain``."""
        return words_of(self.commands[-1])


@dataclass(frozen=True)
class Mean:
    """The mean over some recipes, such as the horizons of a series."""

    recipes: list[str]
    goal: str | None = None
    mark: str | None = None


@dataclass(frozen=True)
class Published:
    """A figure from the literature."""

    data: str
    figure: str
    """In units of the metric of the recipes for the same data."""
    model: str
    source: str
    """The paper, and the table or page."""
    checked: str
    """Where the figure was looked up, or ``not checked``."""
    caveat: str | None = None


@dataclass(frozen=True)
class Record:
    """All of docs/results.yaml."""

    recipes: dict[str, Recipe]
    means: dict[str, Mean] = field(default_factory=dict)
    published: dict[str, Published] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Record":
        """Read the file.

        Raises:
            UserError: if it is missing or damaged, or names what it does not hold.
        """
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror}); give another --record") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: is not valid YAML ({' '.join(str(error).split())}); correct it") from error
        record = as_record(cls, content, path, remedy="correct it")
        for place, goal, mark in (
            *((f"recipes.{name}", recipe.goal, recipe.mark) for name, recipe in record.recipes.items()),
            *((f"means.{name}", mean.goal, mean.mark) for name, mean in record.means.items()),
        ):
            if goal is not None and not GOAL.fullmatch(goal):
                raise UserError(f"{path}: {place}.goal: {goal!r} is not of the form '>= 0.9' or '<= 0.9'; correct it")
            if mark is not None and mark not in record.published:
                raise UserError(
                    f"{path}: {place}.mark: {mark!r} is none of published; known: {known(record.published)}"
                )
        for name, recipe in record.recipes.items():
            if not recipe.commands:
                raise UserError(f"{path}: recipes.{name}.commands: is empty; give at least one")
            if recipe.measured is not None and not recipe.measured.scores:
                raise UserError(f"{path}: recipes.{name}.measured.scores: is empty; leave measured out instead")
        for name, mean in record.means.items():
            if not mean.recipes:
                raise UserError(f"{path}: means.{name}.recipes: is empty; give at least one")
            for part in mean.recipes:
                if part not in record.recipes:
                    raise UserError(
                        f"{path}: means.{name}: {part!r} is none of recipes; known: {known(record.recipes)}"
                    )
        return record

    def write(self, path: Path) -> None:
        """Write the file."""
        with replacing(path) as temporary:
            temporary.write_text(self.text(), encoding="utf-8")

    def text(self) -> str:
        """The content of the file."""
        tree = without_defaults(asdict(self))
        return HEADER + yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=100)

    def expand(self, names: Sequence[str]) -> list[str]:
        """Names of recipes; those of a mean stand for its recipes.

        Raises:
            UserError: for an unknown name.
        """
        found: dict[str, None] = {}
        for name in names:
            if name not in self.recipes and name not in self.means:
                raise UserError(f"{name}: no such recipe; known: {known([*self.recipes, *self.means])}")
            found |= dict.fromkeys(self.means[name].recipes if name in self.means else [name])
        return list(found)

    def mean_score(self, mean: Mean) -> float | None:
        """The mean over the means of some recipes; None unless all of them were measured."""
        parts = [self.recipes[name].measured for name in mean.recipes]
        known = [part.mean for part in parts if part is not None]
        return statistics.mean(known) if len(known) == len(parts) else None


def words_of(command: str) -> list[str]:
    """Words of a command after ``seqtrain``.

    Raises:
        UserError: if it is no such command.
    """
    first, *words = shlex.split(command) or [""]
    if first != "seqtrain":
        raise UserError(f"{command}: does not begin with seqtrain; correct it")
    return words


def reached(goal: str, score: float) -> bool:
    """Whether a score reaches a goal."""
    sign, _, bound = goal.partition(" ")
    return score >= float(bound) if sign == ">=" else score <= float(bound)


def known(names: Mapping[str, Any] | Sequence[str]) -> str:
    return ", ".join(names)


def without_defaults(node: Any) -> Any:
    """A tree without entries that are None or empty."""
    if not isinstance(node, dict):
        return node
    return {key: without_defaults(part) for key, part in node.items() if part is not None and part != {}}
