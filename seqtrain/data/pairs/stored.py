"""Texts on disk that are read one by one, as one memory-mapped array of bytes with offsets."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from seqtrain.data.digests import CheckedArray, mapped


def store(texts: Sequence[str], path: Path) -> None:
    """Write texts to ``<path>.bytes.npy`` and ``<path>.ends.npy``."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    np.save(f"{path}.bytes.npy", np.frombuffer(b"".join(encoded), np.uint8))
    np.save(f"{path}.ends.npy", np.cumsum([0, *map(len, encoded)], dtype=np.int64))


class StoredTexts:
    """The texts that ``store`` wrote."""

    def __init__(self, path: Path):
        self.bytes: np.ndarray | CheckedArray = mapped(Path(f"{path}.bytes.npy"))
        self.ends = np.asarray(mapped(Path(f"{path}.ends.npy")))

    def __len__(self) -> int:
        return len(self.ends) - 1

    def at(self, rows: Iterable[int]) -> list[str]:
        """The texts with these numbers."""
        parts = (self.bytes[int(self.ends[row]) : int(self.ends[row + 1])] for row in rows)
        return [np.asarray(part).tobytes().decode("utf-8", "surrogatepass") for part in parts]

    def all(self) -> list[str]:
        """All of them, in order."""
        return self.at(range(len(self)))
