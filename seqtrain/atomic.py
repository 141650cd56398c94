"""Writing of files: a file appears or is replaced completely, or not at all, and never through a link.

What stands at a path before is replaced, not opened. So a link in a directory that came from elsewhere leads no content
out of it.
"""

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TextIO, cast

NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)  # absent on Windows
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
"""Numbers of errors that only writing has."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces ``path`` when the context ends without an error.

    The temporary file exists and is empty. Its content is synced to disk first. After a crash or an error the old file
    is unchanged. An OSError that names no file, as that of a full disk, gets ``path``.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        open_new(temporary).close()
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        name_file(error, path, temporary)
        raise
    finally:
        with suppress(OSError):  # the folder is not writable: the original error says so
            temporary.unlink(missing_ok=True)


def create(path: Path, text: str) -> None:
    """Create a file with its whole content at once. If two processes try, exactly one succeeds.

    Raises:
        FileExistsError: if the file exists, as a link to nothing too.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        with open_new(temporary) as file:
            file.write(text.encode())
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError:  # the file system has no hard links
            with path.open("xb") as file:
                file.write(text.encode())
    except OSError as error:
        name_file(error, path, temporary)
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def name_file(error: OSError, path: Path, temporary: Path) -> None:
    """Give an error the file that was to be written, if it names none, the temporary one, or what was copied."""
    if error.errno in NO_ROOM or (error.filename in (None, str(temporary)) and error.errno is not None):
        error.filename = str(path)


def open_new(path: Path) -> BinaryIO:
    """Open a file that did not exist for writing. What had its name, a left-over or a link, is removed."""
    path.unlink(missing_ok=True)
    return path.open("xb")


def open_to_append(path: Path) -> TextIO:
    """Open a text file at its end, line-buffered; raises OSError if it is a link."""

    def opened(name: str, flags: int) -> int:
        return os.open(name, flags | NO_FOLLOW, 0o666)

    return cast(TextIO, open(path, "a", buffering=1, opener=opened))
