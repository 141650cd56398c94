"""The streams of the process. Results go to stdout, messages to stderr, and a run does not need a reader of either."""

import errno
import io
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from seqtrain.errors import PrintError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

failures: dict[int, OSError] = {}
"""Descriptors that could not be written, with the last error."""


class Descriptor(io.FileIO):
    """stdout or stderr below Python's buffers. What cannot be written is dropped, and ``failures`` gets the error.

    Args:
        number: 1 or 2.
        required: whether the first error is raised, as a PrintError. Later ones are dropped, since Python flushes at
            its exit, and would end with code 120.
    """

    def __init__(self, number: int, required: bool):
        super().__init__(number, "w", closefd=False)
        self.number, self.required = number, required

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            written = super().write(data)
            if written is None:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            return written
        except OSError as error:
            failures[self.number] = error
            if self.required:
                self.required = False
                raise PrintError(f"stdout: cannot be written ({error.strerror}); send it to another place") from error
            return memoryview(data).nbytes


def open_streams() -> None:
    """Make stdin, stdout and stderr usable, whatever the process was started with.

    A closed one leads to /dev/null. Otherwise the next file that is opened, perhaps a checkpoint, would get its number,
    and what a library prints would go there. Errors of stderr are dropped. Those of stdout are raised, unless
    ``results_are_files`` is called.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number, which is this one
        if getattr(sys, name) is None:
            stream = open(number, "w" if number else "r", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
    sys.stdout, sys.stderr = on_descriptor(sys.stdout, required=True), on_descriptor(sys.stderr)


def results_are_files() -> None:
    """From now on drop what stdout does not take, since the results are in files."""
    sys.stdout = on_descriptor(sys.stdout)


def on_descriptor(stream: TextIO, required: bool = False) -> TextIO:
    """A stream like stdout or stderr on a ``Descriptor``; any other, such as a test's or a notebook's, is returned.

    Characters that its encoding does not have are written as escapes.
    """
    try:
        number = stream.fileno()
    except (OSError, ValueError):
        number = -1
    if number not in (1, 2):
        return stream
    with suppress(OSError, PrintError):
        stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(Descriptor(number, required)),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=number == 2 or stream.isatty() or getattr(stream, "write_through", False),
    )


def show(text: str, saved: str) -> None:
    """Print a result that is saved. If stdout does not take it, stderr says why, and where the result can be read."""
    failures.pop(1, None)
    print(text, flush=True)
    if 1 in failures:
        print(f"stdout: cannot be written ({failures[1].strerror}); {saved}", file=sys.stderr)
