"""Handling of SIGTERM and Ctrl-C in a sweep whose jobs run in their own processes."""

import os
import signal
import threading
from contextlib import suppress
from types import FrameType, TracebackType

from seqtrain.interruption import Interruption, raise_interrupted
from seqtrain.runs.locks import is_locked
from seqtrain.sweeps.ledger import Sweep, read_status


class SweepInterruption(Interruption):
    """In this context a signal stops further jobs from starting, and asks running jobs to save and end.

    A second signal raises Interrupted at once.

    Args:
        sweep: the sweep that this process runs.
    """

    message = "ending once the running jobs are saved"

    def __init__(self, sweep: Sweep):
        self.sweep = sweep
        self.finished = threading.Event()
        self.notifier = threading.Thread(target=self.notify_jobs, daemon=True)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.finished.set()
        super().__exit__(kind, error, at)
        if self.requested is not None:
            self.notifier.join()

    def note(self, number: int, frame: FrameType | None) -> None:
        super().note(number, frame)
        self.sweep.halt(signal.Signals(number).name)
        self.notifier.start()

    def notify_jobs(self) -> None:
        """Send SIGTERM once to the process of each running job. Jobs still starting are found in a later round."""
        sitting, notified = self.sweep.plan().sitting, set()
        while True:
            for job in self.sweep.planned():
                path = self.sweep.path / job.name
                status = read_status(path)
                if status is None or status.sitting != sitting.id or job.name in notified:
                    continue
                pid = status.pid or 0
                if pid > 1 and pid != sitting.pid and is_locked(path):  # then pid is a live process of this sweep
                    notified.add(job.name)
                    with suppress(OSError, OverflowError):
                        os.kill(pid, signal.SIGTERM)
            if self.finished.wait(0.5):
                return


def set_child_signal_handlers() -> None:
    """In the process of a job: ignore Ctrl-C, which the sweep's process handles; raise Interrupted on SIGTERM."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, raise_interrupted)
