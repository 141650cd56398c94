"""Locks of run and sweep directories."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from seqtrain.errors import RunError


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
    if not path.exists():
        return False
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return True
    except OSError:  # for example another user's file: unknown
        return False
    lock.release()
    return False
