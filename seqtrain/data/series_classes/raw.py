"""Series as a file has them.

Shapes: T steps of one series, D features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from seqtrain.data.text.labels import Place
from seqtrain.errors import DataError

Label = Any
"""The label of a series as its file has it; a list of labels, where each step has one."""


@dataclass
class RawSeries:
    """The series of one file, or of several."""

    values: list[np.ndarray]
    """Values of each series, NaN where missing, (T, D), float64."""
    labels: list[Label]
    """Label of each series; None if it has none."""
    names: list[str]
    """Names of the D features."""
    origin: str
    """The file, for messages."""
    place: Place
    """Function from the number of a series to its file and line, for messages."""

    def __len__(self) -> int:
        return len(self.values)


def joined(parts: Sequence[RawSeries], origin: str) -> RawSeries:
    """The series of several files, one file after the other.

    Raises:
        DataError: if their features differ.
    """
    if len(parts) == 1:
        return parts[0]
    for part in parts:
        check_features(part, parts[0].names, parts[0].origin)
    places = [(part, number) for part in parts for number in range(len(part))]

    def place(number: int) -> str:
        part, own = places[number]
        return part.place(own)

    values, labels = (list(chain.from_iterable(getattr(part, name) for part in parts)) for name in ("values", "labels"))
    return RawSeries(values, labels, parts[0].names, origin, place)


def check_features(raw: RawSeries, names: Sequence[str], other: str) -> None:
    """Raise DataError if the features of series are not those of ``other``, in the same order.

    Of a single feature the name does not matter: a table calls it as its column, and a ``.ts`` file has no names.
    """
    if len(raw.names) != len(names):
        raise DataError(
            f"{raw.origin}: its series have {len(raw.names)} features, and those of {other} have {len(names)}; give "
            "files with the same features"
        )
    if len(names) > 1 and list(raw.names) != list(names):
        raise DataError(
            f"{raw.origin}: its features are {', '.join(raw.names)}, and those of {other} are {', '.join(names)}; name "
            "them, in one order, in data.features"
        )
