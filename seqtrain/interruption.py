"""Handling of signals: the first one ends a run after its step is saved, the second one at once."""

import os
import signal
import threading
import time
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self

from seqtrain.errors import Interrupted

HANGUP: signal.Signals | None = getattr(signal, "SIGHUP", None)  # absent on Windows
"""The terminal was closed."""
RELAY_SECONDS = 2.0
"""torchrun sends its processes a signal when it receives one; from a terminal they have then received it already."""
SIGNALS = [signal.SIGTERM, signal.SIGINT, *([] if HANGUP is None else [HANGUP])]


def raise_interrupted(number: int, frame: FrameType | None) -> None:
    """Signal handler that raises Interrupted."""
    ignore_more_hangups(number)
    raise Interrupted(number)


def handle(number: int) -> None:
    """Raise Interrupted on this signal, unless the parent process had it ignored, as ``nohup`` does with SIGHUP."""
    if signal.getsignal(number) is not signal.SIG_IGN:
        signal.signal(number, raise_interrupted)


def ignore_more_hangups(number: int) -> None:
    """After the first SIGHUP, ignore others: the shell and the system may each send one when a terminal is closed."""
    if number == HANGUP:
        signal.signal(number, signal.SIG_IGN)


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
            if signal.getsignal(number) == self.note:
                signal.signal(number, handler)

    def note(self, number: int, frame: FrameType | None) -> None:
        """The signal handler. It writes with ``os.write``, because the main program may be inside a print."""
        ignore_more_hangups(number)
        if self.requested is None:
            self.requested, self.since = number, time.monotonic()
            name = signal.Signals(number).name
            with suppress(OSError):  # the terminal is gone
                os.write(2, f"seqtrain: {name}: {self.message}; again to stop at once\n".encode())
            self.begin(name)
        elif number != HANGUP and not self.relayed():  # which nobody sends because it takes too long
            raise Interrupted(number)

    def relayed(self) -> bool:
        """Whether a further signal that is received now repeats the first one."""
        return "TORCHELASTIC_RUN_ID" in os.environ and time.monotonic() - self.since < RELAY_SECONDS

    def begin(self, name: str) -> None:
        """What else the first signal begins."""
