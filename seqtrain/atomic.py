"""Atomic writing of files: a file appears or is replaced completely, or not at all."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces ``path`` when the context ends without an error.

    The content is synced to disk first. After a crash or an error the old file is unchanged.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with suppress(OSError):  # the folder is not writable: the original error says so
            temporary.unlink(missing_ok=True)


def create(path: Path, text: str) -> None:
    """Create a file with its whole content at once. If two processes try, exactly one succeeds.

    Raises:
        FileExistsError: if the file exists.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    temporary.write_text(text)
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # the file system has no hard links
        with path.open("x") as file:
            file.write(text)
    finally:
        temporary.unlink()
