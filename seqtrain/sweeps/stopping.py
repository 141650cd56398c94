"""Handling of signals in a sweep whose jobs run in their own processes."""

import os
import signal
import threading
from contextlib import suppress
from types import TracebackType

from seqtrain.interruption import SIGNALS, Interruption, raise_interrupted
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

    def begin(self, name: str) -> None:
        with suppress(OSError):  # on a full disk each job that still starts is asked to end
            self.sweep.halt(name)
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
    """In the process of a job: raise Interrupted on SIGTERM, and ignore Ctrl-C and SIGHUP.

    A terminal sends those to all processes, and that of the sweep handles them.
    """
    for number in SIGNALS:
        signal.signal(number, raise_interrupted if number == signal.SIGTERM else signal.SIG_IGN)
