"""Symbolic links in directories that are written to: a directory from elsewhere may lead out of itself by them."""

import os
from pathlib import Path

from seqtrain.errors import RunError


def refuse_links(*folders: Path) -> None:
    """Refuse to write to folders that hold symbolic links. A folder may be missing, or be reached by a link itself.

    Raises:
        RunError: for the first link.
    """
    for folder in folders:
        if folder.is_dir():
            with os.scandir(folder) as entries:
                links = sorted(entry.name for entry in entries if entry.is_symlink())
            if links:
                path = folder / links[0]
                raise RunError(
                    f"{path}: is a link, to {os.readlink(path)!r}; nothing is written here until it is removed, or "
                    "replaced by what it leads to"
                )
