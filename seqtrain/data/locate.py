"""Where the files of a dataset are, which of them make up its splits, and digests of their contents."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from seqtrain.data.tables import SUFFIXES, unreadable
from seqtrain.errors import DataError

SPLIT_NAMES = {"train": ("train",), "validation": ("valid", "validation", "val", "dev"), "test": ("test",)}
"""The splits, in order, each with the names that files and folders give it."""
SPLITS = tuple(SPLIT_NAMES)


class HasPath(Protocol):
    """Options of a dataset that may be read from ``path``."""

    name: str
    path: str | None


class NamesSplits(Protocol):
    """Options that give the source's name of each split."""

    train_split: str
    validation_split: str | None
    test_split: str | None


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
        path = Path(config.path).expanduser()
        if not path.is_file() and not path.is_dir():
            raise DataError(f"data.path={config.path}: no such file or folder")
        return path
    if folder is None:
        raise DataError(f"data.path: must be given for data={config.name}: {wanted}")
    root = os.environ.get("SEQTRAIN_DATA_DIR")
    path = Path(root or "").expanduser() / folder
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


def named_files(folder: Path, split: str, suffixes: Iterable[str]) -> list[Path]:
    """The file ``<split><suffix>`` of a folder, as a list of one; empty if there is none.

    Raises:
        DataError: if the folder has it with two suffixes.
    """
    found = [folder / f"{split}{suffix}" for suffix in suffixes if (folder / f"{split}{suffix}").is_file()]
    if len(found) > 1:
        raise DataError(f"{folder}: split {split!r} is there twice ({found[0].name}, {found[1].name}); remove one")
    return found


def split_files(folder: Path, split: str, subset: str | None = None) -> list[Path]:
    """Files of tables that make up a split, by the first of these layouts that the folder has.

    ``<split>.<suffix>``; all files of ``<split>/``; the hub's ``<split>-*.parquet``; the last two also one folder down.
    Where the first layout has no file and there is a folder ``subset``, that folder is searched instead.

    Raises:
        DataError: if the split is there in two formats.
    """
    found = named_files(folder, split, SUFFIXES)
    if subset and (folder / subset).is_dir():
        folder = folder / subset
        found = found or split_files(folder, split)
    for pattern in (f"{split}/*", f"{split}-*", f"*/{split}/*", f"*/{split}-*"):
        found = found or sorted(path for path in folder.glob(pattern) if path.suffix in SUFFIXES and path.is_file())
    return found


def file_digest(path: Path) -> str:
    """Digest of a file's bytes; raises DataError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise unreadable(path, error) from error
