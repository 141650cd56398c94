"""Where the files of a dataset are, which of them make up its splits, and digests of their contents."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Protocol

from seqtrain.config.base import NamesSplits
from seqtrain.data.tables.files import file_type, stem, unreadable
from seqtrain.errors import DataError
from seqtrain.paths import expanded, not_a_file

SPLIT_NAMES = {"train": ("train",), "validation": ("valid", "validation", "val", "dev"), "test": ("test",)}
"""The splits, in order, each with the names that files and folders give it."""
SPLITS = tuple(SPLIT_NAMES)


class HasPath(Protocol):
    """Options of a dataset that may be read from ``path``."""

    name: str
    path: str | None


def find_path(config: HasPath, wanted: str, folder: str | None = None) -> Path | None:
    """The file or folder of a dataset: ``data.path``, else ``folder`` under $SEQTRAIN_DATA_DIR.

    Args:
        config: the options.
        wanted: what ``data.path`` should be, for the error.
        folder: name of the dataset's folder under $SEQTRAIN_DATA_DIR; None if ``data.path`` must be given.

    Returns:
        The path. None if it has to be fetched: ``data.path`` is null and there is no such folder.

    Raises:
        DataError: if ``data.path`` does not exist, or must be given and is null.
    """
    if config.path is not None:
        path = expanded(config.path, "data.path")
        if (wrong := not_a_file(path)) and not path.is_dir():
            raise DataError(f"data.path={config.path}: {wrong}".replace("no such file", "no such file or folder"))
        return path
    if folder is None:
        raise DataError(f"data.path: must be given for data={config.name}: {wanted}")
    root = os.environ.get("SEQTRAIN_DATA_DIR")
    path = expanded(root or "", "SEQTRAIN_DATA_DIR") / folder
    return path if root and path.is_dir() else None


def own_path(config: HasPath, wanted: str) -> Path:
    """``data.path`` of a dataset that has no other source; see ``find_path``."""
    path = find_path(config, wanted)
    assert path is not None
    return path


def wanted_splits(config: NamesSplits) -> dict[str, str]:
    """The source's name of each split that the options ask for."""
    named = {"train": config.train_split, "validation": config.validation_split, "test": config.test_split}
    return {split: name for split, name in named.items() if name is not None}


def names_of(split: str, name: str) -> list[str]:
    """Names that files and folders of a split may have: the one that the options give, then the usual ones.

    The usual ones count only if the given name is one of them.
    """
    usual = SPLIT_NAMES.get(split, ())
    return [name, *(other for other in usual if other != name)] if name in usual else [name]


class NoSplitError(DataError):
    """A folder has no file of the splits that are wanted."""


def split_files(
    folder: Path, wanted: Mapping[str, str], suffixes: Iterable[str], notes: list[str], subset: str | None = None
) -> dict[str, list[Path]]:
    """Files of each split in a folder; hidden files are passed over, and names may be in upper case.

    A split has the files of the first of these layouts that finds any: ``<split>.<suffix>``; all files in ``<split>/``;
    the hub's ``<split>-*.<suffix>``; and the last two one folder down. Where the first one has none and there is a
    folder ``subset``, that folder is searched instead.

    Args:
        folder: the folder.
        wanted: the source's name of each split.
        suffixes: types of the files, see ``file_type``.
        notes: receives which files make up each split, and which belong to none.
        subset: name of a folder of the wanted subset, if the source has several.

    Returns:
        Files of the splits that have any.

    Raises:
        NoSplitError: if no split has a file.
        DataError: if a split is there in two formats.
    """
    top = visible_files(folder, suffixes)
    inner = folder / subset if subset and (folder / subset).is_dir() else folder
    files = top if inner == folder else visible_files(inner, suffixes)
    found = {}
    for split, name in wanted.items():
        paths = next((paths for called in names_of(split, name) if (paths := named(top, files, called))), [])
        if paths:
            found[split] = paths
    if not found:
        names = " or ".join(repr(name) for name in wanted.values())
        types, first = tuple(suffixes), next(iter(wanted.values()))
        raise NoSplitError(f"{folder}: has no file of split {names} (such as {first}{types[0]}; {', '.join(types)})")
    notes.append(described(found, files))
    return found


def visible_files(folder: Path, suffixes: Iterable[str]) -> dict[Path, tuple[str, ...]]:
    """Files of the given types in a folder and two levels below it, sorted, with their parts below the folder.

    Hidden files and folders are passed over.
    """
    types, found = set(suffixes), {}
    for path in sorted(chain(folder.glob("*"), folder.glob("*/*"), folder.glob("*/*/*"))):
        parts = path.relative_to(folder).parts
        if file_type(path) in types and path.is_file() and not any(part.startswith(".") for part in parts):
            found[path] = parts
    return found


def named(top: dict[Path, tuple[str, ...]], files: dict[Path, tuple[str, ...]], name: str) -> list[Path]:
    """Files of the split of a name, by the first layout of ``split_files`` that finds any."""
    name = name.lower()
    for listed in (top, files):
        found = [path for path, parts in listed.items() if len(parts) == 1 and stem(path).lower() == name]
        if len(found) > 1:
            raise DataError(
                f"{found[0].parent}: split {name!r} is there twice ({found[0].name}, {found[1].name}); remove one"
            )
        if found:
            return found
    for depth in (0, 1):
        whole = [path for path, parts in files.items() if len(parts) == depth + 2 and parts[depth].lower() == name]
        begun = [
            path
            for path, parts in files.items()
            if len(parts) == depth + 1 and path.name.lower().startswith(f"{name}-")
        ]
        if whole or begun:
            return whole or begun
    return []


def described(found: dict[str, list[Path]], files: Iterable[Path]) -> str:
    """A remark on which files make up each split, and which none."""
    used = {path for paths in found.values() for path in paths}
    rest = [path for path in files if path not in used]
    parts = [f"{split}: {listed(paths)}" for split, paths in found.items()]
    return f"files of {'; '.join(parts)}" + (f"; files of no split, not read: {listed(rest)}" if rest else "")


def listed(paths: list[Path], count: int = 4) -> str:
    """The names of files, of a few only if there are many."""
    names = ", ".join(path.name for path in paths[:count])
    return names if len(paths) <= count else f"{names}, ... ({len(paths):,} files)"


def file_digest(path: Path) -> str:
    """Digest of a file's bytes; raises DataError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise unreadable(path, error) from error
