"""Read tagged sentences from files of columns (CoNLL), or from tables with lists of tokens and of tags."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seqtrain.config.data import TaggingFilesConfig
from seqtrain.data.locate import own_path, split_files, wanted_splits
from seqtrain.data.tables.files import file_type, text_lines
from seqtrain.data.tables.reading import read_table
from seqtrain.data.tables.stored_names import stored_names
from seqtrain.data.tables.table import Table
from seqtrain.data.tags.columns import ColumnFile, Rows
from seqtrain.errors import DataError

COLUMNS = (".conll", ".conllu", ".txt", ".tsv")
TABLES = (".jsonl", ".json", ".parquet")
SUFFIXES = (*COLUMNS, *TABLES)


@dataclass
class Sentences:
    """The tagged sentences of a split: at least one, none of them empty."""

    tokens: Rows
    """Tokens of each sentence, as they are in the file."""
    tags: Rows
    """Tags of each sentence, one for each token."""
    rows: np.ndarray
    """Number of each sentence in its file, (N,), counted on over the files of a split."""
    origin: Path
    """The file, or the folder of several, for messages."""
    layout: str
    """How the files are written, in words."""

    def select(self, index: Iterable[int]) -> "Sentences":
        """The sentences at ``index``, in that order."""
        index = list(index)
        tokens, tags = [self.tokens[i] for i in index], [self.tags[i] for i in index]
        return Sentences(tokens, tags, self.rows[index], self.origin, self.layout)

    def cut(self, length: int) -> "Sentences":
        """The sentences, each cut to its first ``length`` tokens."""
        tokens, tags = [row[:length] for row in self.tokens], [row[:length] for row in self.tags]
        return Sentences(tokens, tags, self.rows, self.origin, self.layout)


def find_files(config: TaggingFilesConfig, notes: list[str]) -> dict[str, list[Path]]:
    """Files of each split at ``data.path``; a single file is train.

    Raises:
        DataError: if there is no file, or a split is there in two formats.
    """
    path = own_path(config, f"a {', '.join(SUFFIXES)} file, or a folder")
    return {"train": [path]} if path.is_file() else split_files(path, wanted_splits(config), SUFFIXES, notes)


def read_sentences(paths: list[Path], config: TaggingFilesConfig, notes: list[str]) -> Sentences:
    """All sentences of the files of a split that have tokens; the number of others is added to ``notes``.

    Raises:
        DataError: if a file cannot be read, is of another type, or if they hold no sentences.
    """
    tokens: Rows = []
    tags: Rows = []
    layouts = []
    for path in paths:
        words, labels, layout = read_file(path, config, notes)
        tokens += words
        tags += labels
        layouts.append(layout)
    origin = paths[0] if len(paths) == 1 else paths[0].parent
    rows = np.flatnonzero([len(row) > 0 for row in tokens])
    if not len(rows):
        raise DataError(f"{origin}: holds no sentences; give a file with at least one token and its tag")
    if len(rows) < len(tokens):
        notes.append(f"{origin}: {len(tokens) - len(rows)} rows without tokens dropped")
    kept = [tokens[i] for i in rows], [tags[i] for i in rows]
    return Sentences(*kept, rows, origin, ", ".join(dict.fromkeys(layouts)))


def read_file(path: Path, config: TaggingFilesConfig, notes: list[str]) -> tuple[Rows, Rows, str]:
    """Tokens and tags of each sentence of a file, which may be without tokens, and how the file is written."""
    if is_table(path):
        table = read_table(path)
        if not len(table):
            return [], [], ""
        tokens = lists_of(table, config.tokens_key, "data.tokens_key", table.values)
        tags = lists_of(table, config.tags_key, "data.tags_key", lambda name: named(table, name))
        for i, (words, labels) in enumerate(zip(tokens, tags, strict=True)):
            for key, row in ((config.tokens_key, words), (config.tags_key, labels)):
                if row is None:
                    raise DataError(f"{table.place(i)} has no {key!r}")
            if len(words) != len(labels):
                raise DataError(f"{table.place(i)} has {len(words)} tokens but {len(labels)} tags")
            if not all(labels):
                raise DataError(f"{table.place(i)} has an empty tag")
        notes += table.notes
        return tokens, tags, f"lists of {file_type(path)}"
    found = ColumnFile(path, text_lines(path), config, True, notes)
    assert found.tags is not None
    return found.tokens, found.tags, found.layout


def place_of(paths: list[Path], config: TaggingFilesConfig, row: int, token: int) -> str:
    """File and line of a token of ``read_sentences``, for an error: the files are read again.

    Args:
        paths: files of a split.
        config: the options.
        row: number of the sentence, as in ``Sentences.rows``.
        token: number of the token in the sentence.
    """
    for path in paths:
        if is_table(path):
            table = read_table(path)
            places = [table.place(i) for i in range(row, min(row + 1, len(table)))]
            count = len(table)
        else:
            sentences = list(ColumnFile(path, text_lines(path), config, True, []).sentences())
            places = [f"{path}: line {part[token].number}" for part in sentences[row : row + 1]]
            count = len(sentences)
        if places:
            return places[0]
        row -= count
    return str(paths[0])


def read_tokens(path: Path, config: TaggingFilesConfig) -> tuple[Table, Rows]:
    """Sentences of a file to be tagged, as a table and as lists of tokens, read by the same rules.

    A table has all columns of its file. That of a file of columns has ``tokens`` and, if every line has a tag,
    ``tags``.

    Raises:
        DataError: if the file cannot be read, or a row lacks the tokens that the options name.
    """
    if is_table(path):
        table = read_table(path)
        rows = lists_of(table, config.tokens_key, "data.tokens_key", table.values)
        return table, [row or [] for row in rows]
    notes: list[str] = []
    found = ColumnFile(path, text_lines(path), config, False, notes)
    notes.append(f"{path}: {found.layout}")
    table = table_of({"tokens": found.tokens} | ({} if found.tags is None else {"tags": found.tags}), str(path))
    table.notes += notes
    return table, found.tokens


def table_of(lists: dict[str, Rows], origin: str) -> Table:
    """A table of columns of lists of strings."""
    import pyarrow as pa

    return Table(pa.table({name: pa.array(rows, type=pa.list_(pa.string())) for name, rows in lists.items()}), origin)


def is_table(path: Path) -> bool:
    """Whether a file is a table, and not a file of columns; raises DataError if it is neither, or is not there."""
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if file_type(path) not in SUFFIXES:
        raise DataError(f"{path}: files of type {file_type(path) or '(none)'} are not read; use {', '.join(SUFFIXES)}")
    return file_type(path) in TABLES


def lists_of(table: Table, name: str, key: str, rows: Any) -> Any:
    """Rows of a column that the option ``key`` names, each a list of strings, or None.

    Raises:
        DataError: if there is no such column, or a row is something else; names its line.
    """
    table.check_column(name, key)
    found = rows(name)
    for i, row in enumerate(found):
        if row is not None and not (isinstance(row, list) and all(isinstance(value, str) for value in row)):
            raise DataError(f"{table.place(i)}: {name!r} ({key}) is not a list of strings")
    return found


def named(table: Table, name: str) -> list[Any]:
    """Rows of tags; numbers become the names that `datasets` wrote into the metadata of this very file."""
    rows = table.values(name)
    numbers = [isinstance(row, list) and any(isinstance(tag, int) for tag in row) for row in rows]
    if not any(numbers):
        return rows
    names = stored_names(table, name, table.notes)
    first = numbers.index(True)
    if names is None:
        raise DataError(
            f"{table.place(first)}: {name!r} (data.tags_key) holds numbers, and the file does not say which tags they "
            "stand for; write tags as strings"
        )
    known = dict(enumerate(names))
    for i, row in enumerate(rows):
        if row is not None and not known.keys() >= set(row):
            wrong = next(tag for tag in row if tag not in known)
            raise DataError(
                f"{table.place(i)}: {name!r} (data.tags_key) holds {wrong!r}, and the file names the tags 0 to "
                f"{len(names) - 1}"
            )
    return [None if row is None else [known[tag] for tag in row] for row in rows]
