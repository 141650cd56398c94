"""Files of tables and texts: their types, their bytes (also compressed) and their lines."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from seqtrain.errors import DataError
from seqtrain.paths import not_a_file

SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
"""Types of files that are read as tables; each but parquet also with .gz after it, and in upper case."""
BOM = b"\xef\xbb\xbf"


def file_type(path: Path) -> str:
    """The suffix that tells the type of a file: in lower case, and without the .gz of a compressed one."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else "".join(suffixes[-1:])


def stem(path: Path) -> str:
    """The name of a file without the suffixes that tell its type."""
    return Path(path.stem).stem if path.suffix.lower() == ".gz" else path.stem


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for reading; one that ends in .gz is decompressed on the way.

    Raises:
        DataError: if it is no file, but a folder, device, pipe or socket.
    """
    if wrong := not_a_file(path):
        raise DataError(f"{path}: {wrong}")
    return cast(BinaryIO, gzip.open(path)) if path.suffix.lower() == ".gz" else path.open("rb")


def read_bytes(path: Path) -> bytes:
    """All bytes of a file, decompressed, without a byte-order mark.

    Raises:
        DataError: if it cannot be read, is damaged, or is empty.
    """
    try:
        with open_bytes(path) as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(path, error) from error
    if not content:
        raise DataError(f"{path}: the file is empty")
    return content.removeprefix(BOM)


def text_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file; they end in "\\n" or "\\r\\n" and, unlike in str.splitlines, nowhere else.

    Raises:
        DataError: if the file cannot be read, is empty, or is not UTF-8; names the line.
    """
    return split_lines(decode(path, read_bytes(path)))


def split_lines(text: str) -> list[str]:
    """Lines of a text that end in "\\n" or "\\r\\n"."""
    lines = text.split("\n")
    return [line.removesuffix("\r") for line in (lines[:-1] if lines[-1] == "" else lines)]


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of the lines of a UTF-8 file, one by one.

    Raises:
        DataError: if the file cannot be read, is empty, or is not UTF-8; names the line.
    """
    for number, line in byte_lines(path):
        yield number, decode(path, line, number)


def byte_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Number, from 1, and bytes of the lines of a file, one by one, without a byte-order mark.

    Raises:
        DataError: if the file cannot be read, or is empty.
    """
    number = 0
    try:
        with open_bytes(path) as file:
            for number, line in enumerate(file, start=1):
                yield number, line.removeprefix(BOM) if number == 1 else line
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(path, error) from error
    if number == 0:
        raise DataError(f"{path}: the file is empty")


def decode(path: Path, content: bytes, line: int = 1) -> str:
    """Text of bytes that begin at a line of a file; raises DataError, with the line, if they are not UTF-8."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line += content.count(b"\n", 0, error.start)
        byte = error.start - content.rfind(b"\n", 0, error.start) - 1
        wide = content[:2] in (b"\xff\xfe", b"\xfe\xff") or content[1:2] == b"\0" or content[:1] == b"\0"
        is_what = "UTF-16" if line == 1 and wide else "not UTF-8"
        raise DataError(
            f"{path}: line {line} is {is_what} (byte {byte}: {error.reason}); convert the file to UTF-8"
        ) from error


def unreadable(path: Path, error: Exception) -> DataError:
    """The error for a file that the operating system does not let us read, or that cannot be decompressed."""
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())
    return DataError(f"{path}: cannot be read ({reason})")
