"""Labelled texts from files: the files of each split, and their text and label columns."""

from collections.abc import Mapping
from pathlib import Path

from seqtrain.config.data import HubTextConfig, TextClassificationConfig
from seqtrain.config.tables import TableConfig
from seqtrain.data.locate import file_digest, find_path, names_of, split_files, visible_files, wanted_splits
from seqtrain.data.tables.files import BOM, SUFFIXES, decode, file_type
from seqtrain.data.tables.reading import read_table
from seqtrain.data.tables.stored_names import stored_names
from seqtrain.data.tables.table import Table, scalar_text
from seqtrain.data.text.labels import RawTexts
from seqtrain.errors import DataError
from seqtrain.paths import is_utf8


def find_files(config: TextClassificationConfig, notes: list[str]) -> dict[str, list[Path]] | None:
    """Files of each split; a single file is train. None if only the hub may have the dataset.

    Raises:
        DataError: if the path or all files of the splits are missing.
    """
    public = config if isinstance(config, HubTextConfig) else None
    wanted = "a csv, tsv, jsonl, json or parquet file, or a folder"
    path = find_path(config, wanted, public.folder if public else None)
    if path is None:
        return None
    if path.is_file():
        if is_text(path):
            raise DataError(f"{path}: a txt file holds no labels; give {wanted}")
        return {"train": [path]}
    wanted_names = wanted_splits(config)
    return class_folders(path, wanted_names) or split_files(
        path, wanted_names, SUFFIXES, notes, public.hub_subset if public else None
    )


def class_folders(folder: Path, wanted: Mapping[str, str]) -> dict[str, list[Path]]:
    """Files of each split in folders named after classes, ``train/<class>/*.txt`` or ``<class>/*.txt``; {} if none."""
    files = visible_files(folder, (".txt",))
    found = {}
    for split, name in wanted.items():
        names = names_of(split, name)
        paths = [path for path, parts in files.items() if len(parts) == 3 and parts[0].lower() in names]
        if paths:
            found[split] = paths
    if "train" in found or visible_files(folder, SUFFIXES):
        return found if "train" in found else {}
    return {"train": paths} if (paths := [path for path, parts in files.items() if len(parts) == 2]) else {}


def identify_files(files: dict[str, list[Path]]) -> dict[str, list[str]]:
    """Digests of the files of each split."""
    return {split: [identify(path) for path in paths] for split, paths in files.items()}


def identify(path: Path) -> str:
    """Digest of a file and, if it is one text, the class that its folder names."""
    return f"{path.parent.name}/{file_digest(path)}" if is_text(path) else file_digest(path)


def is_text(path: Path) -> bool:
    """Whether a file is one text of the class that its folder names."""
    return file_type(path) == ".txt"


def read_files(
    files: dict[str, list[Path]], config: TextClassificationConfig, notes: list[str]
) -> dict[str, list[RawTexts]]:
    """Read the text and label columns of every file, by split; remarks are added to ``notes``."""
    return {
        split: [from_folders(paths)]
        if is_text(paths[0])
        else [from_table(read_table(path, config), config, notes) for path in paths]
        for split, paths in files.items()
    }


def from_folders(paths: list[Path]) -> RawTexts:
    """Texts of files, with the names of their folders as labels."""
    texts: list[str | None] = [decode(path, path.read_bytes().removeprefix(BOM)) for path in paths]
    labels = [path.parent.name for path in paths]
    if unreadable := next((name for name in labels if not is_utf8(name)), None):
        raise DataError(f"{paths[0].parent.parent}: the name of the folder {unreadable!r} is not UTF-8; rename it")
    return RawTexts(texts, labels, str(paths[0].parent.parent), place=lambda row: str(paths[row]))


def from_table(table: Table, config: TextClassificationConfig, notes: list[str]) -> RawTexts:
    """The text and label columns of a table, with the class names that its metadata store."""
    texts = texts_of(table, config.text_column, config)
    labels = table.column(config.label_column, "data.label_column")
    notes += table.notes
    names = stored_names(table, config.label_column, notes)
    return RawTexts(texts, labels, table.origin, names, table.place)


def texts_of(table: Table, name: str, config: TableConfig, key: str = "data.text_column") -> list[str | None]:
    """Texts of a column; a number or truth value among texts is read as JSON writes it, and noted.

    Args:
        table: the table.
        name: the column.
        config: which values mean that there is none.
        key: the option that names the column.

    Raises:
        DataError: if the column is missing, holds no text at all, or holds a value of another type; names its line.
    """
    values = table.column(name, key)
    odd = [row for row, value in enumerate(values) if value is not None and not isinstance(value, str)]
    for row in odd:
        if not isinstance(values[row], int | float):
            kind = "a list or an object" if isinstance(values[row], list | dict) else "neither text nor a number"
            raise DataError(
                f"{table.place(row)}: column {name!r} ({key}) holds {kind}; write texts as strings, or "
                "name another column"
            )
    if odd and len(odd) == sum(value is not None for value in values):
        raise DataError(
            f"{table.place(odd[0])}: column {name!r} ({key}) holds numbers and no text; name the column of "
            "texts, or write them as strings"
        )
    if odd:
        table.notes.append(
            f"{table.origin}: texts that are numbers or truth values, read as JSON writes them: {len(odd):,} "
            f"(first: {table.place(odd[0]).removeprefix(f'{table.origin}: ')})"
        )
    missing = {None, *config.missing_values}
    return [None if value in missing else scalar_text(value) for value in values]
