"""Compiled libraries on disk. A library is code, so only what this user compiled, and what is whole, is loaded.

The name of a library ends with the digest of its content, and it gets this name by one rename. So a process that is
killed at any moment leaves a library that is found, or none.
"""

import hashlib
import logging
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from filelock import FileLock

from seqtrain.cache_directory import cache_directory
from seqtrain.runs.locks import is_locked

YOUNG = 60.0  # seconds; a folder of this age may be about to be locked

log = logging.getLogger(__name__)


def folders() -> Iterator[Path]:
    """The folder of libraries in the cache. If it cannot be written, or others can write to it, also that in the home.

    A folder may not exist yet. One that others can write to is left out, with one warning. In the home, where no one
    else is meant to write, that right is taken from them first.
    """
    bases, home = [cache_directory()], None
    with suppress(RuntimeError):  # there is no home directory
        bases.append(home := Path.home() / ".cache" / "seqtrain")
    for base in dict.fromkeys(bases):
        folder = Path(os.path.realpath(base / "kernels"))
        if base == home:
            close_to_others(folder.parent)
            close_to_others(folder)
        reason = foreign(folder)
        if reason is not None:
            warn_once(reason)
            continue
        yield folder
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        if existing.is_dir() and os.access(existing, os.W_OK):
            return


def close_to_others(folder: Path) -> None:
    """Take the right to write to a folder from others, if they have it: an earlier umask may have given it."""
    with suppress(OSError):
        state = folder.lstat()
        if stat.S_ISDIR(state.st_mode) and others_write(state):
            folder.chmod(stat.S_IMODE(state.st_mode) & ~0o022)


@cache
def warn_once(reason: str) -> None:
    """Warn that a folder of libraries is not used."""
    log.warning(
        "%s, so no compiled kernels are loaded from there or stored there; make it your own (chown, chmod go-w), or "
        "set SEQTRAIN_CACHE_DIR to a folder of your own",
        reason,
    )


def foreign(folder: Path) -> str | None:
    """Why others could have put something into a folder, or put another in its place; None if they could not.

    It and the folder above must belong to this user or to root, and no one else may write to them. Those further above
    must not be open to everyone.

    Args:
        folder: a path without links; it may not exist yet.
    """
    for distance, path in enumerate((folder, *folder.parents)):
        try:
            state = path.lstat()
        except OSError:
            continue
        if distance < 2 and not is_own(state):
            return f"{path}: belongs to another user"
        if others_write(state) and (distance < 2 or state.st_mode & stat.S_IWOTH):
            return f"{path}: other users can write to it"
    return None


def is_own(state: os.stat_result) -> bool:
    """Whether a file belongs to this user or to root; true where files have no owner, as on Windows."""
    return not hasattr(os, "getuid") or state.st_uid in (0, os.getuid())


def others_write(state: os.stat_result) -> bool:
    """Whether another user may change a file, or replace what is in a folder.

    In a sticky folder, such as /tmp, users replace only what is theirs. Many systems give each user a group without
    other members, and let it write.
    """
    mode = state.st_mode
    if not hasattr(os, "getuid") or (stat.S_ISDIR(mode) and mode & stat.S_ISVTX):
        return False
    return bool(mode & stat.S_IWOTH) or (bool(mode & stat.S_IWGRP) and not is_private(state.st_gid))


def is_private(group: int) -> bool:
    """Whether a group is the one of this user alone."""
    import grp
    import pwd

    with suppress(KeyError):
        user, found = pwd.getpwuid(os.getuid()), grp.getgrgid(group)
        return group == user.pw_gid and found.gr_name == user.pw_name and set(found.gr_mem) <= {user.pw_name}
    return False


def find(name: str) -> Path | None:
    """The library of this name, if it is whole and only this user can have written it; a damaged one is removed."""
    for folder in folders():
        remove_abandoned(folder)
        for path in sorted(folder.glob(f"{name}-*.so")):
            with suppress(OSError):
                state = path.lstat()
                if not stat.S_ISREG(state.st_mode) or not is_own(state) or others_write(state):
                    continue
                if path.name == file_name(name, path):
                    return path
                path.unlink()
    return None


def keep(path: Path, folder: Path, name: str) -> Path:
    """Move a library into a folder of libraries, synced first.

    Args:
        path: the library, on the same disk.
        folder: one of ``folders``.
        name: the name by which ``find`` finds it.

    Returns:
        Its path.

    Raises:
        OSError: if it cannot be moved.
    """
    path.chmod(0o755 & path.stat().st_mode)
    with path.open("rb") as file:
        os.fsync(file.fileno())
    target = folder / file_name(name, path)
    path.replace(target)
    return target


def file_name(name: str, path: Path) -> str:
    """The name of a library's file, from its content."""
    return f"{name}-{hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()}.so"


class Workshop:
    """A temporary folder for the output of one compiler, locked while this process lives.

    Attributes:
        path: the folder.
        home: the folder of libraries that it is in; None if none can be written.
    """

    def __init__(self) -> None:
        for folder in folders():
            with suppress(OSError):
                for new in (folder.parent, folder):
                    new.mkdir(mode=0o755, parents=True, exist_ok=True)
                self.folder = tempfile.TemporaryDirectory(dir=folder, prefix=".")
                self.home: Path | None = folder
                break
        else:
            self.folder, self.home = tempfile.TemporaryDirectory(), None
        self.path = Path(self.folder.name)
        self.lock = FileLock(self.path / ".lock", thread_local=False)
        self.lock.acquire()

    def close(self) -> None:
        """Remove the folder."""
        self.lock.release()
        self.folder.cleanup()


def remove_abandoned(folder: Path) -> None:
    """Remove what processes left in a folder of libraries that were killed while a compiler ran."""
    for path in folder.glob(".*"):
        with suppress(OSError):
            if time.time() - path.lstat().st_mtime > YOUNG and path.is_dir() and not is_locked(path):
                shutil.rmtree(path, ignore_errors=True)
