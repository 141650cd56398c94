"""Digests of the passages of running text, by which the same passage is found in two texts."""

from array import array
from collections import deque
from collections.abc import Iterable

import numpy as np

from seqtrain.data.row_digests import digest_of, normalised

LEAST = 200
"""Characters of a passage, at least; single lines of code or verse occur in unrelated texts."""
LONGEST = 10_000
"""Characters of a line, at most; a longer one is read in parts, and belongs to no passage."""


class Passages:
    """The passages of a text that is given in parts: from each line on as many lines as make up 200 characters.

    Blanks, empty lines and case do not count.
    """

    def __init__(self, texts: Iterable[str] = ()):
        self.found = array("Q")
        self.lines: deque[str] = deque()
        self.size = 0  # characters of these lines
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        """Read the next part of the text, which ends with a line."""
        for part in text.split("\n"):
            if len(part) > LONGEST:
                self.lines.clear()
                self.size = 0
                continue
            if not (line := normalised(part)):
                continue
            self.lines.append(line)
            self.size += len(line)
            while self.size >= LEAST:
                self.found.append(digest_of("".join(self.lines)))
                self.size -= len(self.lines.popleft())

    @property
    def digests(self) -> np.ndarray:
        """Digest of each passage, (M,), uint64."""
        return np.array(self.found, dtype=np.uint64)
