"""Read tagged sentences from files of columns (CoNLL) or JSON Lines."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqtrain.config.data import TaggingFilesConfig
from seqtrain.data.locate import own_path, split_files
from seqtrain.data.tables.files import file_type, text_lines
from seqtrain.data.tables.objects import json_objects
from seqtrain.data.tables.reading import Table, read_table
from seqtrain.errors import DataError

SUFFIXES = (".conll", ".txt", ".tsv", ".jsonl")

Rows = list[list[str]]


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

    def select(self, index: Iterable[int]) -> "Sentences":
        """The sentences at ``index``, in that order."""
        index = list(index)
        tokens, tags = [self.tokens[i] for i in index], [self.tags[i] for i in index]
        return Sentences(tokens, tags, self.rows[index], self.origin)

    def cut(self, length: int) -> "Sentences":
        """The sentences, each cut to its first ``length`` tokens."""
        tokens, tags = [row[:length] for row in self.tokens], [row[:length] for row in self.tags]
        return Sentences(tokens, tags, self.rows, self.origin)


def find_files(config: TaggingFilesConfig, notes: list[str]) -> dict[str, Path]:
    """File of each split at ``data.path``; a single file is train.

    Raises:
        DataError: if there is no file, or a split has two.
    """
    path = own_path(config, f"a {', '.join(SUFFIXES)} file, or a folder")
    if path.is_file():
        return {"train": path}
    found = split_files(path, config, SUFFIXES, notes)
    for split, paths in found.items():
        if len(paths) > 1:
            raise DataError(f"{path}: split {split!r} has {len(paths)} files ({paths[0].name}, ...); join them")
    return {split: paths[0] for split, paths in found.items()}


def read_sentences(path: Path, config: TaggingFilesConfig, notes: list[str]) -> Sentences:
    """All sentences of a file that have tokens; the number of others is added to ``notes``.

    Raises:
        DataError: if the file cannot be read, is of another type, or holds no sentences.
    """
    lines = read_lines(path)
    if path.suffix == ".jsonl":
        tokens, tags = read_objects(path, lines, config)
    else:
        tokens, tags = read_columns(path, lines, config, notes)
    rows = np.flatnonzero([len(row) > 0 for row in tokens])
    if not len(rows):
        raise DataError(f"{path}: holds no sentences; give a file with at least one token and its tag")
    if len(rows) < len(tokens):
        notes.append(f"{path}: {len(tokens) - len(rows)} rows without tokens dropped")
    return Sentences([tokens[i] for i in rows], [tags[i] for i in rows], rows, path)


def read_lines(path: Path) -> list[str]:
    """The lines of a file of tagged sentences; raises DataError if it cannot be read or is of another type."""
    if file_type(path) not in SUFFIXES:
        raise DataError(f"{path}: files of type {path.suffix or '(none)'} are not read; use {', '.join(SUFFIXES)}")
    return text_lines(path)


def read_tokens(path: Path, config: TaggingFilesConfig) -> tuple[Table, Rows]:
    """Sentences of a file to be tagged, as a table and as lists of tokens.

    For jsonl, the table has all columns of the file. For a file of columns, it has ``tokens`` and, if every line has
    a tag, ``tags``.

    Raises:
        DataError: if the file cannot be read, or a row lacks the tokens that the options name.
    """
    import pyarrow as pa

    if path.suffix == ".jsonl":
        table = read_table(path)
        rows = table.column(config.tokens_key, "data.tokens_key")
        for number, row in enumerate(rows):
            if row is not None and not (isinstance(row, list) and all(isinstance(token, str) for token in row)):
                raise DataError(
                    f"{table.place(number)}: {config.tokens_key!r} (data.tokens_key) is not a list of strings"
                )
        return table, [row or [] for row in rows]
    sentences = split_lines(path, read_lines(path), [])
    at = config.token_column
    for number, columns in (line for sentence in sentences for line in sentence):
        if not -len(columns) <= at < len(columns):
            raise DataError(
                f"{path}: line {number} has {len(columns)} columns; data.token_column={at} is not one of them"
            )
    tokens = [[columns[at] for _, columns in sentence] for sentence in sentences]
    lists = {"tokens": tokens}
    places = [place(config.tag_column, columns, at) for sentence in sentences for _, columns in sentence]
    if all(found is not None for found in places):
        lists["tags"] = [[columns[config.tag_column] for _, columns in sentence] for sentence in sentences]
    columns = pa.table({name: pa.array(rows, type=pa.list_(pa.string())) for name, rows in lists.items()})
    return Table(columns, str(path)), tokens


def place(column: int, columns: list[str], taken: int) -> int | None:
    """Position of a column in a line; None if the line lacks it, or if it is the column ``taken``."""
    first, second = (i if i >= 0 else len(columns) + i for i in (column, taken))
    return first if 0 <= first < len(columns) and first != second else None


def split_lines(path: Path, lines: list[str], notes: list[str]) -> list[list[tuple[int, list[str]]]]:
    """Number and columns of each line, by sentence, of a file with one token a line.

    Columns are separated by single tabs in tsv files, else by any number of spaces and tabs. (No-break spaces, which
    occur inside numbers, do not separate columns.) A blank line ends a sentence, and so does a line that begins with
    ``-DOCSTART-``. A line that begins with ``# `` is a comment; the number of those inside sentences is added to
    ``notes``.
    """
    tsv = path.suffix == ".tsv"
    sentences: list[list[tuple[int, list[str]]]] = []
    inside = False  # whether the last line was in a sentence
    commented = 0
    for number, line in enumerate(lines, start=1):
        if line.startswith("# "):
            commented += inside
            continue
        if not line.strip(" \t") or line.startswith("-DOCSTART-"):
            inside = False
            continue
        if not inside:
            sentences.append([])
            inside = True
        columns = [c.strip(" ") for c in line.split("\t")] if tsv else re.split("[ \t]+", line.strip(" \t"))
        sentences[-1].append((number, columns))
    if commented:
        notes.append(
            f"{path}: {commented} lines inside sentences begin with '# ' and were left out as comments; if they are "
            "tokens, separate their columns by tabs"
        )
    return sentences


def read_columns(path: Path, lines: list[str], config: TaggingFilesConfig, notes: list[str]) -> tuple[Rows, Rows]:
    """Tokens and tags of each sentence of a file with one token a line; see ``split_lines``.

    Raises:
        DataError: for a line that lacks a column. If columns are counted from the end, also for a line whose number of
            columns differs from that of the first line of its sentence.
    """
    tokens: Rows = []
    tags: Rows = []
    wanted = f"data.token_column={config.token_column} and data.tag_column={config.tag_column}"
    for sentence in split_lines(path, lines, notes):
        width = len(sentence[0][1])
        tokens.append([])
        tags.append([])
        for number, columns in sentence:
            at = [i if i >= 0 else len(columns) + i for i in (config.token_column, config.tag_column)]
            if min(at) < 0 or max(at) >= len(columns) or at[0] == at[1]:
                how = "tabs" if path.suffix == ".tsv" else "blanks"
                raise DataError(
                    f"{path}: line {number} has too few columns ({len(columns)}, separated by {how}): {wanted} must "
                    "name two of them"
                )
            if len(columns) != width and min(config.token_column, config.tag_column) < 0:
                raise DataError(
                    f"{path}: line {number} has {len(columns)} columns but the first line of its sentence has {width}; "
                    f"correct it, or count from the start ({wanted})"
                )
            token, tag = (columns[i] for i in at)
            if not tag:
                raise DataError(f"{path}: line {number} has an empty tag (data.tag_column={config.tag_column})")
            tokens[-1].append(token)
            tags[-1].append(tag)
    return tokens, tags


def read_objects(path: Path, lines: list[str], config: TaggingFilesConfig) -> tuple[Rows, Rows]:
    """Tokens and tags of each sentence of a file with one JSON object a line.

    Raises:
        DataError: for a line that does not hold two lists of strings of equal length.
    """
    keys = {"data.tokens_key": config.tokens_key, "data.tags_key": config.tags_key}
    tokens, tags = [], []
    for number, row in json_objects(path, enumerate(lines, start=1)):
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
        tokens.append(words)
        tags.append(labels)
    return tokens, tags
