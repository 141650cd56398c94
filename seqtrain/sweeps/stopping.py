"""SIGTERM and Ctrl-C for a sweep whose jobs run in processes of their own."""

import os
import signal
import threading
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self

from seqtrain.errors import Interrupted
from seqtrain.interruption import SIGNALS, raise_interrupted
from seqtrain.run_directory import is_locked
from seqtrain.sweeps.ledger import Sweep, read_status


class Stopping:
    """While it is entered, a signal lets no further job begin, and has the running ones save themselves and end.

    A second one raises Interrupted wherever the program is.

    Args:
        sweep: the one that this process runs.
    """

    def __init__(self, sweep: Sweep):
        self.sweep = sweep
        self.requested: int | None = None
        self.over = threading.Event()
        self.teller = threading.Thread(target=self.tell, daemon=True)

    def __enter__(self) -> Self:
        self.before: dict[int, Any] = {number: signal.signal(number, self.note) for number in SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.over.set()
        for number, handler in self.before.items():
            signal.signal(number, handler)
        if self.requested is not None:
            self.teller.join()

    def note(self, number: int, frame: FrameType | None) -> None:
        """The handler. It writes by ``os.write``: the main program may be inside a print."""
        if self.requested is not None:
            raise Interrupted(number)
        self.requested = number
        name = signal.Signals(number).name
        os.write(2, f"seqtrain: {name}: ending once the running jobs are saved; again to stop at once\n".encode())
        self.sweep.halt(name)
        self.teller.start()

    def tell(self) -> None:
        """Pass SIGTERM on to the processes of running jobs, once to each; one that is only starting is found later."""
        sitting, told = self.sweep.plan()["sitting"], set()
        while True:
            for job in self.sweep.planned():
                path = self.sweep.path / job.name
                status = read_status(path)
                mine = status.get("sitting") == sitting["id"]  # so that the number is that of a live process of ours
                if mine and job.name not in told and status.get("pid") != sitting["pid"] and is_locked(path):
                    told.add(job.name)
                    with suppress(OSError):
                        os.kill(int(status["pid"]), signal.SIGTERM)
            if self.over.wait(0.5):
                return


def listen_as_child() -> None:
    """In the process of a job: leave Ctrl-C to the sweep's process, and let its SIGTERM raise Interrupted."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, raise_interrupted)
