"""How parallel jobs share the cores and GPUs of a machine, and the terminal."""

import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from seqtrain.console import on_descriptor
from seqtrain.printable import PrintableRecord


def num_cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_per_job(cores: int, jobs: int) -> int:
    """Threads for each of several parallel jobs: together they use at most all cores."""
    return max(1, cores // jobs)


def gpu_for(device: str, position: int, num_gpus: int) -> int | None:
    """Index of the GPU for a job, assigned in turn; None leaves the choice to ``device``.

    Args:
        device: the job's ``device`` option; only ``auto`` is assigned a GPU.
        position: position of the job among those launched.
        num_gpus: number of GPUs visible to the job.
    """
    return position % num_gpus if device == "auto" and num_gpus > 1 else None


@contextmanager
def threads_of_children(threads: int | None) -> Iterator[None]:
    """Set the number of threads of processes that are started in this context.

    The number must be in their environment before they load torch. None, or a given OMP_NUM_THREADS, changes nothing.
    """
    if threads is None or "OMP_NUM_THREADS" in os.environ:
        yield
        return
    os.environ["OMP_NUM_THREADS"] = str(threads)
    try:
        yield
    finally:
        del os.environ["OMP_NUM_THREADS"]


class LabelledStream(io.TextIOBase):
    """Text stream that writes whole lines to another stream, each with a label in front.

    Args:
        stream: the other stream.
        label: start of every line.
    """

    def __init__(self, stream: TextIO, label: str):
        self.stream, self.label, self.pending = stream, label, ""

    def write(self, text: str) -> int:
        *lines, self.pending = (self.pending + text).split("\n")
        self.stream.write("".join(f"{self.label}{line}\n" for line in lines))
        self.stream.flush()
        return len(text)

    def close(self) -> None:
        if self.pending:
            self.write("\n")


@contextmanager
def labelled_output(label: str) -> Iterator[None]:
    """Put a label in front of every line on stdout, on stderr and in the log, which several processes share."""
    logging.setLogRecordFactory(PrintableRecord)  # a process of its own did not begin with the command
    before = sys.stdout, sys.stderr
    streams = {stream: LabelledStream(on_descriptor(stream), label) for stream in before}
    handlers = [h for h in logging.getLogger().handlers if isinstance(h, logging.StreamHandler)]
    logged = {handler: handler.setStream(streams.get(handler.stream, handler.stream)) for handler in handlers}
    sys.stdout, sys.stderr = streams[sys.stdout], streams[sys.stderr]
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for handler, stream in logged.items():
            if stream is not None:
                handler.setStream(stream)
        for labelled in streams.values():
            labelled.close()
