"""Digests of the files of a cache entry, which find damage: that of a disk, a copy that was cut short, a stray write.

They are CRC-32 of chunks of each file, as in checkpoints and at 2.4 GB/s. They do not protect against someone who may
write to the cache, since digests can be written too.
"""

import json
import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from seqtrain.errors import DataError

DIGESTS = "digests.json"
SHIFT = 18
CHUNK = 1 << SHIFT  # bytes
LARGE = 1 << 26  # bytes; an array above this is verified by chunk at first use, 30 ms at a time below it
ARRAYS = (".npy", ".tokens")


def write_digests(directory: Path, entry: str) -> None:
    """Write the sizes and digests of all files of a folder into digests.json, and sync all of it to the disk.

    Args:
        directory: the folder.
        entry: name of the cache entry, so that the files of one are not taken for those of another.
    """
    paths = sorted(directory.iterdir())
    files = {path.name: {"size": path.stat().st_size, "crc32": list(chunk_digests(path))} for path in paths}
    (directory / DIGESTS).write_text(json.dumps({"entry": entry, "files": files}))
    for path in (*paths, directory / DIGESTS, directory):
        sync(path)


def sync(path: Path) -> None:
    """Sync a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def chunk_digests(path: Path) -> Iterator[int]:
    """CRC-32 of each chunk of a file."""
    part = memoryview(bytearray(CHUNK))  # one for all: to make a new one takes longer than the digest
    with path.open("rb") as file:
        while size := file.readinto(part):
            yield zlib.crc32(part[:size])


def read_digests(directory: Path) -> dict[str, Any]:
    """Content of digests.json; empty if it is missing or damaged."""
    path = directory / DIGESTS
    with suppress(FileNotFoundError, ValueError, RecursionError):
        content = json.loads(path.read_text()) if path.is_file() else {}
        return content if isinstance(content, dict) else {}
    return {}


def has_digests(directory: Path) -> bool:
    """Whether a folder has a digests.json; an entry of an earlier version, or one found damaged in use, has none."""
    return (directory / DIGESTS).is_file()


def find_damage(directory: Path, entry: str) -> str | None:
    """What is wrong with a cache entry; None if it is intact, large arrays aside, of which only the size is checked.

    Raises:
        PermissionError: if it may not be read.
    """
    stored = read_digests(directory)
    try:
        if stored["entry"] != entry:
            return f"is damaged: its files are those of entry {stored['entry']}"
        for name, expected in stored["files"].items():
            path = directory / name
            if not path.is_file():
                return f"is damaged: {name} is missing"
            if (size := path.stat().st_size) != expected["size"]:
                return f"is damaged: {name} has {size:,} bytes, not {expected['size']:,}"
            if not is_large(path) and list(chunk_digests(path)) != expected["crc32"]:
                return f"is damaged: the bytes of {name} have changed"
    except (KeyError, TypeError, AttributeError, ValueError):
        return "has no valid digests"
    except PermissionError:
        raise
    except OSError as error:
        return f"is damaged: {error.filename}: {error.strerror}"
    return None


def is_large(path: Path) -> bool:
    """Whether a file is an array that is verified where it is used, not when its entry is opened."""
    return path.suffix in ARRAYS and path.stat().st_size > LARGE


def mapped(path: Path, dtype: np.dtype | None = None) -> "np.ndarray | CheckedArray":
    """A memory-mapped array of an entry that was opened; a large one is verified by chunk at first use.

    Args:
        path: the file.
        dtype: type of the values of a file that holds nothing else; None for a .npy file.

    Raises:
        DataError: if the beginning of a large file is damaged.
    """
    chunks = CheckedChunks(path) if is_large(path) else None
    if chunks is not None:
        chunks.check(np.zeros(1, dtype=np.int64))  # the header, before it is read
    array = np.load(path, mmap_mode="r") if dtype is None else np.memmap(path, dtype=dtype, mode="r")
    return array if chunks is None else CheckedArray(array, chunks)


class CheckedChunks:
    """The chunks of a file, verified when they are asked for.

    Args:
        path: a file of a cache entry.
    """

    def __init__(self, path: Path):
        self.path = path
        self.digests: list[int] = read_digests(path.parent)["files"][path.name]["crc32"]
        self.bytes = np.memmap(path, dtype=np.uint8, mode="r")
        self.intact = np.zeros(len(self.digests), dtype=bool)
        self.all_intact = False

    def check(self, numbers: np.ndarray) -> None:
        """Verify chunks; raises DataError for one that is damaged, and marks the entry, so that it is made again."""
        if self.all_intact or self.intact.take(numbers).all():
            return
        for number in np.unique(numbers):
            if self.intact[number]:
                continue
            start = int(number) * CHUNK
            if zlib.crc32(self.bytes[start : start + CHUNK].data) != self.digests[number]:
                raise self.damaged(start)
            self.intact[number] = True
        self.all_intact = bool(self.intact.all())

    def damaged(self, start: int) -> DataError:
        """The error for the chunk that begins at a byte."""
        what = f"{self.path}: is damaged between bytes {start:,} and {start + CHUNK:,}"
        try:
            (self.path.parent / DIGESTS).unlink(missing_ok=True)
        except OSError as error:
            return DataError(
                f"{what}, and the cache cannot be written ({error.strerror}); set SEQTRAIN_CACHE_DIR to another folder"
            )
        return DataError(f"{what}; start again, or resume the run: the data is then prepared anew")


class CheckedArray:
    """A memory-mapped array whose bytes are verified before they are used for the first time.

    Args:
        array: the array, of one dimension; its values have 1, 2, 4 or 8 bytes, so that none crosses a border of chunks.
        chunks: those of its file.
    """

    def __init__(self, array: np.memmap, chunks: CheckedChunks):
        self.array, self.chunks = np.asarray(array), chunks
        self.dtype, self.shape = array.dtype, array.shape
        self.header, self.shift = array.offset // array.itemsize, SHIFT - (array.itemsize.bit_length() - 1)
        assert array.ndim == 1 and array.offset % array.itemsize == 0 and 1 << SHIFT - self.shift == array.itemsize

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: np.ndarray | slice) -> np.ndarray:
        """Values with the given numbers, which count from the beginning, or of a slice of step 1."""
        if self.chunks.all_intact:
            return self.array[index]
        if isinstance(index, slice):
            start, stop, _ = index.indices(len(self))
            first, last = self.chunk_of(np.array([start, max(stop - 1, start)]))
            self.chunks.check(np.arange(first, last + 1))
        else:
            self.chunks.check(self.chunk_of(index))
        return self.array[index]

    def chunk_of(self, numbers: np.ndarray) -> np.ndarray:
        """Number of the chunk that each value lies in; with shifts, which are much faster than divisions."""
        chunks: np.ndarray = (numbers + self.header if self.header else numbers) >> self.shift
        return chunks

    def __iter__(self) -> Iterator[Any]:
        return iter(self[:])

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        """All values, as NumPy asks for them."""
        return np.asarray(self[:], dtype=dtype)
