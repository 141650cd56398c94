"""How a trial of a damaged file ends, and the time that it may take."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

SECONDS = 30
"""What a command may take."""


class Wrong(AssertionError):
    """A damaged file ended in a traceback, a hang, or a result that silently differs."""


class Target(Protocol):
    """Files that are damaged one at a time."""

    name: str

    def attempt(self, seed: int) -> str:
        """Damage a file, use it, and restore it.

        Returns:
            How it ended: ``refused``, ``told`` (used, with a remark) or ``read`` (used as it is).

        Raises:
            Wrong: otherwise.
        """


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Raise Wrong if the context takes longer."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Wrong(f"is not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
