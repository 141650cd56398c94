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


def text_digests(texts: Iterable[str]) -> np.ndarray:
    """A digest of 8 bytes for each text, after it is normalised, (N,), uint64."""
    encoded = (normalised(text).encode("utf-8", "surrogatepass") for text in texts)
    return np.frombuffer(b"".join(hashlib.blake2b(text, digest_size=8).digest() for text in encoded), dtype="<u8")
