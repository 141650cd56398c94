"""Read tagged sentences from files of columns (CoNLL) or JSON Lines."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seqtrain.config.data import TaggingFilesConfig
from seqtrain.data.locate import named_files, own_path, wanted_splits
from seqtrain.data.tables import explain_damage, json_objects, read_table, text_lines, unreadable
from seqtrain.data.tags.columns import ColumnFile, Rows
from seqtrain.errors import DataError

if TYPE_CHECKING:
    import pyarrow

SUFFIXES = (".conll", ".txt", ".tsv", ".jsonl")


@dataclass
class Sentences:
    """The tagged sentences of a split: at least one, none of them empty."""

    tokens: Rows
    """Tokens of each sentence, as they are in the file."""
    tags: Rows
    """Tags of each sentence, one for each token."""
    rows: np.ndarray
    """Number of each sentence in its file, (N,)."""
    origin: Path
    """The file, for messages."""
    layout: str = ""
    """How the file is written, in words."""

    def select(self, index: Iterable[int]) -> "Sentences":
        """The sentences at ``index``, in that order."""
        index = list(index)
        tokens, tags = [self.tokens[i] for i in index], [self.tags[i] for i in index]
        return Sentences(tokens, tags, self.rows[index], self.origin, self.layout)

    def cut(self, length: int) -> "Sentences":
        """The sentences, each cut to its first ``length`` tokens."""
        tokens, tags = [row[:length] for row in self.tokens], [row[:length] for row in self.tags]
        return Sentences(tokens, tags, self.rows, self.origin, self.layout)


def find_files(config: TaggingFilesConfig) -> dict[str, Path]:
    """File of each split at ``data.path``; a single file is train.

    Raises:
        DataError: if there is no file, or a split has two.
    """
    types = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
    path = own_path(config, f"a {types} file, or a folder")
    if path.is_file():
        return {"train": path}
    named = wanted_splits(config)
    found = {split: named_files(path, name, SUFFIXES) for split, name in named.items()}
    files = {split: paths[0] for split, paths in found.items() if paths}
    if not files:
        names = " or ".join(map(repr, named.values()))
        raise DataError(f"{path}: has no file of split {names} (such as {config.train_split}.conll; {types})")
    return files


def read_sentences(path: Path, config: TaggingFilesConfig, notes: list[str]) -> Sentences:
    """All sentences of a file that have tokens; the number of others is added to ``notes``.

    Raises:
        DataError: if the file cannot be read, is of another type, or holds no sentences.
    """
    lines = read_lines(path)
    if path.suffix == ".jsonl":
        (tokens, tags), layout = read_objects(path, lines, config), "lists"
    else:
        found = ColumnFile(path, lines, config, True, notes)
        assert found.tags is not None
        tokens, tags, layout = found.tokens, found.tags, found.layout
    rows = np.flatnonzero([len(row) > 0 for row in tokens])
    if not len(rows):
        raise DataError(f"{path}: holds no sentences; give a file with at least one token and its tag")
    if len(rows) < len(tokens):
        notes.append(f"{path}: {len(tokens) - len(rows)} rows without tokens dropped")
    return Sentences([tokens[i] for i in rows], [tags[i] for i in rows], rows, path, layout)


def read_lines(path: Path) -> list[str]:
    """The lines of a file of tagged sentences; raises DataError if it cannot be read or is of another type."""
    if path.suffix not in SUFFIXES:
        raise DataError(f"{path}: files of type {path.suffix or '(none)'} are not read; use {', '.join(SUFFIXES)}")
    try:
        content = path.read_bytes()
        if not content:
            raise DataError(f"{path}: the file is empty")
        return text_lines(content)
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: {explain_damage(path, error)}") from error


def read_tokens(path: Path, config: TaggingFilesConfig, notes: list[str]) -> tuple["pyarrow.Table", Rows]:
    """Sentences of a file to be tagged, as a table and as lists of tokens.

    For jsonl, the table has all columns of the file. For a file of columns, it has ``tokens`` and, if every line has
    a tag, ``tags``.

    Raises:
        DataError: if the file cannot be read, or a row lacks the tokens that the options name.
    """
    import pyarrow as pa

    if path.suffix == ".jsonl":
        table = read_table(path)
        if config.tokens_key not in table.column_names:
            keys = ", ".join(table.column_names)
            raise DataError(f"{path}: has no key {config.tokens_key!r} (data.tokens_key); its keys: {keys}")
        rows = table.column(config.tokens_key).to_pylist()
        for number, row in enumerate(rows, start=1):
            if row is not None and not (isinstance(row, list) and all(isinstance(token, str) for token in row)):
                raise DataError(
                    f"{path}: row {number}: {config.tokens_key!r} (data.tokens_key) is not a list of strings"
                )
        return table, [row or [] for row in rows]
    found = ColumnFile(path, read_lines(path), config, False, notes)
    notes.append(f"{path}: {found.layout}; tokens are in column {config.token_column}")
    lists = {"tokens": found.tokens} | ({} if found.tags is None else {"tags": found.tags})
    table = pa.table({name: pa.array(rows, type=pa.list_(pa.string())) for name, rows in lists.items()})
    return table, found.tokens


def read_objects(path: Path, lines: list[str], config: TaggingFilesConfig) -> tuple[Rows, Rows]:
    """Tokens and tags of each sentence of a file with one JSON object a line.

    Raises:
        DataError: for a line that does not hold two lists of strings of equal length.
    """
    keys = {"data.tokens_key": config.tokens_key, "data.tags_key": config.tags_key}
    tokens, tags = [], []
    for number, row in json_objects(path, lines):
        place = f"{path}: line {number}"
        for option, key in keys.items():
            if key not in row:
                raise DataError(f"{place} has no {key!r} ({option}); its keys: {', '.join(row) or '(none)'}")
            if not isinstance(row[key], list) or not all(isinstance(value, str) for value in row[key]):
                raise DataError(f"{place}: {key!r} ({option}) is not a list of strings")
        words, labels = row[config.tokens_key], row[config.tags_key]
        if len(words) != len(labels):
            raise DataError(f"{place} has {len(words)} tokens but {len(labels)} tags")
        if not all(labels):
            raise DataError(f"{place} has an empty tag")
        if re.search("[\ud800-\udfff]", "".join(words + labels)):  # "\ud83d" alone: JSON allows it, UTF-8 does not
            raise DataError(f"{place} holds half of a surrogate pair, which is not a character; remove it")
        tokens.append(words)
        tags.append(labels)
    return tokens, tags
