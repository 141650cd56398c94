"""What the weights of a run have seen: digests of its training rows and of those of the runs that it started from.

They are in seen.npy, each once, in ascending order. data.json has the checksum of the file.
"""

import io
import zlib
from pathlib import Path

import numpy as np

from seqtrain.atomic import replacing
from seqtrain.data.description import DataDescription, checksum
from seqtrain.errors import RunError
from seqtrain.regular import read_regular

SEEN = "seen.npy"
MOST_BYTES = 1 << 31
"""Largest size of the file: digests of 268 million rows."""


def write_seen(directory: Path, digests: np.ndarray) -> int:
    """Write the digests into the directory of a run; returns the checksum of the file."""
    path = directory / SEEN
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, digests, allow_pickle=False)
    found = checksum(path)
    assert found is not None
    return found


def read_seen(directory: Path, described: DataDescription) -> np.ndarray | None:
    """The digests in the directory of a run, ascending; None if the run has none.

    Args:
        directory: of the run.
        described: its data.json.

    Raises:
        RunError: if the file is missing or damaged.
    """
    if described.seen_crc32 is None:
        return None
    path = directory / SEEN
    try:
        content = read_regular(path, MOST_BYTES)
        if zlib.crc32(content) != described.seen_crc32:
            raise ValueError("its checksum differs")
        digests: np.ndarray = np.load(io.BytesIO(content), allow_pickle=False)
        if digests.dtype != np.uint64 or digests.ndim != 1:
            raise ValueError("its values are no digests")
    except (OSError, ValueError, EOFError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RunError(f"{path}: cannot be read ({reason}); copy it from an intact copy of the run") from error
    return digests
