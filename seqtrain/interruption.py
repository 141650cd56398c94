"""SIGTERM and Ctrl-C: the first one ends a run once its step is made and saved, the second one at once."""

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from seqtrain.errors import Interrupted

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def raise_interrupted(number: int, frame: FrameType | None) -> None:
    """A signal handler that raises Interrupted."""
    raise Interrupted(number)


class Interruption:
    """While it is entered, a signal is only noted, for the program to end where all is in order.

    A second signal raises Interrupted wherever the program is. Handlers are those of the process, so that only its main
    thread notes signals.
    """

    message = "ending after this step, once it is saved"
    requested: int | None = None
    """Number of the signal that came."""

    def __enter__(self) -> Self:
        self.before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            self.before = {n: signal.signal(n, self.note) for n in SIGNALS if signal.getsignal(n) is not signal.SIG_IGN}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def note(self, number: int, frame: FrameType | None) -> None:
        """The handler. It writes by ``os.write``: the main program may be inside a print."""
        if self.requested is not None:
            raise Interrupted(number)
        self.requested = number
        name = signal.Signals(number).name
        os.write(2, f"seqtrain: {name}: {self.message}; again to stop at once\n".encode())
