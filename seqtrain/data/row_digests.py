"""Digests of the texts of rows, by which the same text is found in two datasets, whatever their formats.

Shapes: N rows.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable

import numpy as np

BREAK = re.compile(r"<br\s*/?>")


def normalised(text: str) -> str:
    """A text in lower case and Unicode NFC, without blanks, line ends and HTML line breaks."""
    text = unicodedata.normalize("NFC", text).lower()
    return "".join((BREAK.sub(" ", text) if "<br" in text else text).split())


def digest_of(text: str) -> int:
    """A digest of 8 bytes of a text that is normalised."""
    content = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def text_digests(texts: Iterable[str]) -> np.ndarray:
    """A digest of each text after it is normalised, (N,), uint64."""
    return np.fromiter((digest_of(normalised(text)) for text in texts), dtype=np.uint64)
