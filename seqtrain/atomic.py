"""Files that appear or are replaced whole or not at all."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``, which takes its place, made durable, once the block ends without an error.

    A crash or an error leaves the old file as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with suppress(OSError):  # an unwritable folder: the error that led here says so
            temporary.unlink(missing_ok=True)


def create(path: Path, text: str) -> None:
    """Make a file with this content, at once; of two processes that try, one succeeds.

    Raises:
        FileExistsError: if there is one already.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    temporary.write_text(text)
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        with path.open("x") as file:
            file.write(text)
    finally:
        temporary.unlink()
