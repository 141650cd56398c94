"""Read pairs of texts, from files of lines, from tables or from the hub; drop those that lack a side."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqtrain.config.pairs import HubPairsConfig, PairsConfig
from seqtrain.data.hub import load_from_hub
from seqtrain.data.locate import wanted_splits
from seqtrain.data.pairs.files import PairFile
from seqtrain.data.tables.files import text_lines
from seqtrain.data.tables.reading import read_table
from seqtrain.data.tables.table import Table
from seqtrain.data.text.columns import texts_of
from seqtrain.errors import DataError


@dataclass
class Pairs:
    """The pairs of a split."""

    sources: list[str]
    targets: list[str]
    rows: np.ndarray
    """Number of each pair in its source, (N,), counted on over the files of a split."""
    origin: str
    """Where they are from, for messages."""

    def select(self, index: Iterable[int]) -> "Pairs":
        """The pairs at ``index``, in that order."""
        index = list(index)
        sources, targets = [self.sources[i] for i in index], [self.targets[i] for i in index]
        return Pairs(sources, targets, self.rows[index], self.origin)


@dataclass
class Read:
    """Both columns of a file, in which texts may be missing."""

    sources: Sequence[str | None]
    targets: Sequence[str | None]
    origin: str
    place: Callable[[int], str]
    """The file and line of a row, for messages."""


def read_pairs(files: dict[str, list[PairFile]], config: PairsConfig, notes: list[str]) -> dict[str, Pairs]:
    """The pairs of each split.

    Args:
        files: the files of each split.
        config: the options.
        notes: receives how many pairs lack a side.

    Raises:
        DataError: if a file cannot be read, two files of lines have unequal numbers of them, or nothing is left.
    """
    return {split: usable([read_file(pair, config, notes) for pair in pairs], notes) for split, pairs in files.items()}


def read_file(paths: PairFile, config: PairsConfig, notes: list[str]) -> Read:
    """Both columns of a table, or the lines of two files."""
    if len(paths) == 1:
        return of_table(read_table(paths[0], config), config, notes)
    sources, targets = (text_lines(path) for path in paths)
    if len(sources) != len(targets):
        raise DataError(
            f"{paths[0]}: has {len(sources):,} lines, and {paths[1]} has {len(targets):,}; a line of one must be the "
            "translation of the same line of the other"
        )
    return Read(sources, targets, str(paths[0]), lambda row: f"{paths[0]}: line {row + 1}")


def of_table(table: Table, config: PairsConfig, notes: list[str]) -> Read:
    """Both columns of a table."""
    sources = texts_of(table, config.source, config, "data.source")
    targets = texts_of(table, config.target, config, "data.target")
    notes += table.notes
    return Read(sources, targets, table.origin, table.place)


def read_hub(config: HubPairsConfig, notes: list[str]) -> dict[str, Pairs]:
    """The pairs of the wanted splits of a dataset on the hub."""
    loaded = load_from_hub(config)
    found = {}
    for split, name in wanted_splits(config).items():
        if name in loaded:
            columns = loaded[name].data.table.replace_schema_metadata(None)
            table = Table(columns, f"{config.hub}, split {name}")
            found[split] = usable([of_table(table, config, notes)], notes)
        else:
            notes.append(f"{split}: {config.hub} has no split {name!r}; its splits: {', '.join(loaded)}")
    return found


def usable(files: Sequence[Read], notes: list[str]) -> Pairs:
    """The pairs of a split that have a text on both sides."""
    origin = files[0].origin if len(files) == 1 else str(Path(files[0].origin).parent)
    sources: list[str] = []
    targets: list[str] = []
    rows: list[int] = []
    before, dropped, first = 0, 0, ""
    for file in files:
        for row, (source, target) in enumerate(zip(file.sources, file.targets, strict=True)):
            if source is None or target is None or not source.strip() or not target.strip():
                dropped, first = dropped + 1, first or file.place(row)
            else:
                sources.append(source)
                targets.append(target)
                rows.append(before + row)
        before += len(file.sources)
    if not rows:
        raise DataError(f"{origin}: holds no pairs with a text on both sides")
    if dropped:
        notes.append(f"{origin}: {dropped:,} pairs without a text on one side or both dropped (first: {first})")
    return Pairs(sources, targets, np.array(rows), origin)
