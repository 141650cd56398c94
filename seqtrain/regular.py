"""Reading of files that may be anything: a pipe, a device or a file without end never keeps the reader waiting."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

NONBLOCK = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def open_regular(path: Path, most: int | None = None) -> BinaryIO:
    """Open a regular file for reading.

    Args:
        path: the file.
        most: largest size in bytes; None allows any.

    Raises:
        OSError: if it cannot be opened, is a folder, a pipe, a socket or a device, or is larger than ``most``.
    """
    descriptor = os.open(path, os.O_RDONLY | NONBLOCK)  # without waiting for the other end of a pipe
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "Is no regular file", str(path))
        if most is not None and status.st_size > most:
            raise OSError(errno.EFBIG, f"Has {status.st_size:,} bytes, more than {most:,}", str(path))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path, most: int | None = None) -> bytes:
    """The content of a regular file; arguments and errors as of ``open_regular``."""
    with open_regular(path, most) as file:
        return file.read()
