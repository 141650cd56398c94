"""Paths as users write them, and whether they lead to a file that can be read."""

import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seqtrain.errors import ConfigError, DataError

KINDS = {
    stat.S_ISDIR: "is a folder, not a file",
    stat.S_ISCHR: "is a device, not a file",
    stat.S_ISBLK: "is a device, not a file",
    stat.S_ISFIFO: "is a pipe, not a file",
    stat.S_ISSOCK: "is a socket, not a file",
}
INHERITED = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")
"""Beginnings of paths of what was opened by whoever started the command."""


def expanded(path: str | Path, key: str = "") -> Path:
    """A path with a leading ~ or ~user replaced by the folder of the user.

    Args:
        path: as the user wrote it.
        key: the option that it is the value of, for the error.

    Raises:
        ConfigError: if there is no such user, or the user has no folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        user = Path(path).parts[0]
        raise ConfigError(
            f"{key + '=' if key else ''}{path}: {user} is no user with a folder; write the whole path, or ./{path} "
            "for a file of that name"
        ) from None


def is_utf8(name: str) -> bool:
    """Whether a name can be written as UTF-8; Python reads bytes of file names that cannot as lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def not_a_file(path: Path) -> str | None:
    """Why a path cannot be read as a file: nothing is there, or a folder, device, pipe or socket; None if it can."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
    return next((what for is_kind, what in KINDS.items() if is_kind(mode)), None)


def read_stdin(key: str, limit: int = -1) -> bytes:
    """Bytes of stdin, at most ``limit`` of them; raises ConfigError if it is closed, which names the option ``key``."""
    if sys.stdin is None:
        raise ConfigError(f"{key}=-: stdin is closed; give a file")
    return sys.stdin.buffer.read(limit)


@contextmanager
def input_file(source: str, suffix: str) -> Iterator[Path]:
    """The path of the file that ``input`` names, or of a temporary file of what stdin (-) has.

    Args:
        source: the path, as the user wrote it, or -.
        suffix: how the name of the temporary file ends.

    Raises:
        ConfigError: if stdin is closed.
        DataError: if there is no such file, or it is something else.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = expanded(source, "input")
        if source == "-":
            path = Path(folder) / f"stdin{suffix}"
            path.write_bytes(read_stdin("input"))
        elif wrong := not_a_file(path):
            raise DataError(f"input={source}: {wrong}")
        yield path


def read_input(text: str, key: str, limit: int) -> bytes:
    """All bytes of a file, of stdin (-), or of a pipe that the shell made, as for ``<(command)``.

    Args:
        text: the path, as the user wrote it, or -.
        key: the option that it is the value of, for errors.
        limit: the largest number of bytes, so that an endless pipe does not fill the memory.

    Raises:
        ConfigError: if it is something else, cannot be read, or is longer.
    """
    if text == "-":
        content = read_stdin(key, limit + 1)
    else:
        path = expanded(text, key)
        if (wrong := not_a_file(path)) and not (str(path).startswith(INHERITED) and is_stream(path)):
            raise ConfigError(f"{key}={text}: {wrong}; give a file, or - for stdin")
        try:
            with path.open("rb") as file:
                content = file.read(limit + 1)
        except OSError as error:
            raise ConfigError(f"{key}={text}: cannot be read ({error.strerror})") from error
    if len(content) > limit:
        raise ConfigError(f"{key}={text}: is longer than {limit:,} bytes; give a shorter text")
    return content


def is_stream(path: Path) -> bool:
    """Whether a path is a pipe or a terminal, which end, unlike other devices."""
    if path.is_fifo():
        return True
    with path.open("rb", buffering=0) as file:
        return file.isatty()
