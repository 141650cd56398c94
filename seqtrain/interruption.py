"""Handling of SIGTERM and Ctrl-C: the first signal ends a run after its step is saved, the second one at once."""

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from seqtrain.errors import Interrupted

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def raise_interrupted(number: int, frame: FrameType | None) -> None:
    """Signal handler that raises Interrupted."""
    raise Interrupted(number)


class Interruption:
    """Context in which a signal is only recorded, so that the program can end at a safe point.

    A second signal raises Interrupted at once. Signal handlers belong to the process, so only its main thread records
    signals.
    """

    message = "ending after this step, once it is saved"
    requested: int | None = None
    """Number of the signal that was received."""

    def __enter__(self) -> Self:
        self.before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            self.before = {n: signal.signal(n, self.note) for n in SIGNALS if signal.getsignal(n) is not signal.SIG_IGN}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def note(self, number: int, frame: FrameType | None) -> None:
        """The signal handler. It writes with ``os.write``, because the main program may be inside a print."""
        if self.requested is not None:
            raise Interrupted(number)
        self.requested = number
        name = signal.Signals(number).name
        os.write(2, f"seqtrain: {name}: {self.message}; again to stop at once\n".encode())
