"""Which class a label is: labels are the names of classes, or their numbers, by one rule for a whole column.

- Labels of a file that names its classes itself are numbers of these names. So files may number them differently.
- All other labels, of all files and splits together, are names, or numbers from 0 of the names that are known: those of
  ``data.class_names``, or else those of the other files. They are names if all of them are, else numbers if all of them
  are. It is an error if they can be both and are then different classes, or if they are neither.

Names are compared by their text (``label_text``), and shown as their owner wrote them.

Shapes: M labels of a column, K different ones.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Protocol

import numpy as np

from seqtrain.config.data import LabelsAs
from seqtrain.data.description import DataDescription
from seqtrain.data.text.labels import Labels, RawTexts, label_text
from seqtrain.errors import ConfigError, DataError

INTEGER = re.compile(r"-?[0-9]{1,300}")
BOOLS = {"false": 0, "true": 1}
REMEDY = "give data.labels_as=names or data.labels_as=numbers"


class NamesClasses(Protocol):
    """Options that say which classes there are."""

    class_names: list[str] | None
    labels_as: LabelsAs | None


@dataclass
class LabelColumn:
    """The labels of a source's rows that are used."""

    raw: RawTexts
    labels: Labels
    kept: np.ndarray
    """Number in the source of each row that is used, (N,)."""

    def fault(self, wrong: np.ndarray) -> str:
        """Place and text of the first label whose name is ``wrong``, (K,), for an error."""
        row, name = self.labels.first(wrong)
        return f"{self.raw.at(int(self.kept[row]))}: label {name!r}"


@dataclass(frozen=True)
class TrainedClasses:
    """The classes of a trained model, whose run is resumed or scored."""

    names: list[str]
    labels_as: str | None
    """How labels were read: as ``names`` or ``numbers``; None if the files name the classes, or it is not known."""

    @classmethod
    def load(cls, path: Path) -> "TrainedClasses":
        """The classes that a data.json describes or, of prepared arrays, a meta.json."""
        data = DataDescription.read(path)
        return cls(data.spec.class_names, data.labels_as)


class ClassNames:
    """The classes of all splits.

    Args:
        columns: columns of each split.
        config: the options.
        trained: the classes of a trained model; None finds them in the columns.

    Raises:
        ConfigError: if ``data.class_names`` does not fit the files.
        DataError: for a label that is no class.
    """

    def __init__(
        self,
        columns: Mapping[str, Sequence[LabelColumn]],
        config: NamesClasses,
        trained: TrainedClasses | None = None,
    ):
        self.given, self.asked, self.trained = config.class_names or None, config.labels_as, trained
        every = list(chain.from_iterable(columns.values()))
        self.stored = {tuple(column.raw.class_names): column.raw.origin for column in every if column.raw.class_names}
        check_names(self.given or [], "data.class_names")
        for names, origin in self.stored.items():
            check_names(names, f"{origin}: the class names that it stores")
        self.renamed = self.are_renamed()
        self.known = self.given or distinct(chain.from_iterable(self.stored))
        plain = [column for column in every if not column.raw.class_names]
        self.labels_as = self.reading(plain)
        train = [column for column in columns.get("train", every) if not column.raw.class_names]
        further = sorted_names(train) if self.labels_as is LabelsAs.names and not self.given else []
        self.names = trained.names if trained else distinct([*self.known, *further])
        self.numbers = {label_text(name): number for number, name in enumerate(self.names)}

    def are_renamed(self) -> bool:
        """Whether ``data.class_names`` are other names for the numbers in files that name their classes themselves.

        They are if the two have no name in common. They are not if the files' names are all among them.
        """
        if self.given is None or not self.stored or self.asked is LabelsAs.names:
            return False
        texts = set(map(label_text, self.given))
        common = {name for names in self.stored for name in names if label_text(name) in texts}
        if self.asked is None and all(set(names) <= common for names in self.stored):
            return False
        names, origin = next(iter(self.stored.items()))
        other = f"data.class_names={shown(self.given)}: {origin} names its classes {shown(names)}"
        if self.asked is None and common:
            raise ConfigError(
                f"{other}, which shares only some names with them; {REMEDY} (new names in the same order)"
            )
        if len(self.stored) > 1:
            raise ConfigError(f"{other}, and {list(self.stored.values())[1]} in another order; give the names of these")
        if len(self.given) != len(names):
            raise ConfigError(f"{other}; give as many names, or the same ones")
        return True

    def reading(self, columns: Sequence[LabelColumn]) -> LabelsAs | None:
        """How the labels of columns that store no names are read: as names, or as numbers of the known names.

        None if there is no such column.
        """
        found = set(chain.from_iterable(column.labels.names for column in columns))
        if not found:
            return None
        if not self.known:
            if self.asked is LabelsAs.numbers:
                raise ConfigError("data.labels_as=numbers: needs data.class_names, or a file that stores class names")
            return LabelsAs.names
        names, numbers = self.names_among(found), self.numbers_among(found)
        fit = {LabelsAs.names: set(names) == found, LabelsAs.numbers: set(numbers) == found}
        if self.asked is not None:
            fit = {self.asked: fit[self.asked]}
        if not any(fit.values()):
            readings = {LabelsAs.names: names, LabelsAs.numbers: numbers}
            raise self.misfit(columns, {way: readings[way] for way in fit})
        if len(fit) == 2 and all(fit.values()) and names != numbers:
            if self.trained is not None and self.trained.labels_as is not None:
                return LabelsAs(self.trained.labels_as)
            raise ConfigError(
                f"data.class_names={shown(self.known)}: the labels of {columns[0].raw.origin} "
                f"({shown(sorted(found))}) can be these names, or their numbers from 0, which are other classes; "
                f"{REMEDY}"
            )
        return next(way for way, fits in fit.items() if fits)

    def names_among(self, found: Collection[str]) -> dict[str, int | None]:
        """Those labels that are names, with their numbers.

        Without ``data.class_names``, files that store no names may have further classes (None), but not numbers.
        """
        numbers = {label_text(name): number for number, name in enumerate(self.known)}
        free = self.given is None and not any(map(INTEGER.fullmatch, found))
        return {text: numbers.get(text) for text in found if text in numbers or free}

    def numbers_among(self, found: Collection[str]) -> dict[str, int | None]:
        """Those labels that are numbers of known names: from 0, or false and true if there are two names.

        Empty if the files that store names do not agree on their order.
        """
        if self.given is None and len(self.stored) > 1:
            return {}
        numbers = {str(number): number for number in range(len(self.known))}
        if len(self.known) == 2 and set(found) <= set(BOOLS):
            numbers = BOOLS
        return {text: numbers[text] for text in found if text in numbers}

    def misfit(self, columns: Sequence[LabelColumn], ways: Mapping[LabelsAs, Collection[str]]) -> DataError:
        """The error for the first label that does not fit the reading that most labels fit."""

        def wrong(column: LabelColumn, way: LabelsAs) -> np.ndarray:
            return np.array([name not in ways[way] for name in column.labels.names], dtype=bool)

        way = min(ways, key=lambda way: sum(column.labels.count(wrong(column, way)) for column in columns))
        column = next(column for column in columns if wrong(column, way).any())
        number = f"a number from 0 to {len(self.known) - 1}"
        allowed = {LabelsAs.names: "one of these names", LabelsAs.numbers: number}
        must = allowed[way] if len(ways) == 1 else f"one of these names or, like all labels, {number}"
        source = "data.class_names" if self.given else f"the names in {next(iter(self.stored.values()))}"
        return DataError(
            f"{column.fault(wrong(column, way))} is no class of {source} ({shown(self.known)}): must be {must}; "
            "correct it, or give other data.class_names"
        )

    def classes(self, column: LabelColumn) -> np.ndarray:
        """Class of each label of a column, (M,).

        Raises:
            DataError: for a label that is no class.
        """
        labels = column.labels
        numbers = [self.numbers.get(label_text(name)) for name in self.meanings(column)]
        unknown = np.array([number is None for number in numbers], dtype=bool)
        if unknown.any():
            _, first = labels.first(unknown)
            rows = labels.count(np.array([name == first for name in labels.names]))
            raise DataError(
                f"{column.fault(unknown)} ({rows} rows) is not one of the classes of train ({shown(self.names)}); drop "
                "or rename these rows, or give data.label_column or data.class_names"
            )
        return np.array(numbers, dtype=np.int64)[labels.codes]

    def meanings(self, column: LabelColumn) -> list[str]:
        """The name of the class that each different label of a column means, K of them.

        Raises:
            DataError: for a label that is not the number of a name that its own file stores.
        """
        found, stored = column.labels.names, column.raw.class_names
        if stored is None:
            if self.labels_as is not LabelsAs.numbers:
                return found
            numbers = self.numbers_among(found)
            return [self.known[numbers[text] or 0] for text in found]
        places = {str(number): number for number in range(len(stored))}
        wrong = np.array([text not in places for text in found], dtype=bool)
        if wrong.any():
            raise DataError(
                f"{column.fault(wrong)} is the number of no class; the file itself names {len(stored)} "
                f"({shown(stored)}), from 0"
            )
        return [(self.known if self.renamed else stored)[places[text]] for text in found]


def distinct(names: Iterable[str]) -> list[str]:
    """Names without those that are the same label as an earlier one."""
    seen: dict[str | None, str] = {}
    for name in names:
        seen.setdefault(label_text(name), name)
    return list(seen.values())


def sorted_names(columns: Iterable[LabelColumn]) -> list[str]:
    """The different labels of columns, sorted as numbers if all are whole numbers."""
    names = sorted(set(chain.from_iterable(column.labels.names for column in columns)))
    return sorted(names, key=int) if all(map(INTEGER.fullmatch, names)) else names


def check_names(names: Iterable[str], where: str) -> None:
    """Raise ConfigError if two names are the same label, or one is empty."""
    seen: dict[str | None, str] = {}
    for name in names:
        text = label_text(name)
        if text is None or text in seen:
            same = "has an empty name" if text is None else f"{seen[text]!r} and {name!r} are the same label"
            raise ConfigError(f"{where}: {same}; give each class a name of its own")
        seen[text] = name


def shown(names: Sequence[str], most: int = 20) -> str:
    """Names with commas, at most 20 of them."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
