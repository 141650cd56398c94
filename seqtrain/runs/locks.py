"""Locks of run and sweep directories."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from filelock import FileLock, Timeout

from seqtrain.errors import RunError
from seqtrain.regular import open_regular


@contextmanager
def holding_lock(directory: Path, refusal: Callable[[], str]) -> Iterator[None]:
    """Hold the lock of a run or sweep directory; the lock of a process that dies is released.

    Args:
        directory: the directory.
        refusal: gives the message of the error.

    Raises:
        RunError: if another process holds the lock.
    """
    lock = FileLock(directory / ".lock", timeout=0.5)  # `is_locked` of another process holds it for a moment
    try:
        lock.acquire()
    except Timeout as error:
        raise RunError(refusal()) from error
    try:
        yield
    finally:
        lock.release()


def is_locked(directory: Path) -> bool:
    """Whether a process holds the lock of a run or sweep directory."""
    path = directory / ".lock"
    try:
        if sys.platform == "win32":  # has no other way to ask
            with FileLock(path, timeout=0) if path.exists() else nullcontext():
                return False
        import fcntl

        with open_regular(path) as file:  # not FileLock, which creates the file or writes to it
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, Timeout):
        return True
    except OSError:  # no such file, or for example another user's: unknown
        return False
    return False
