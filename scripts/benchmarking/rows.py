"""Reads and writes the file of rows that all contestants of a text case train on."""

from pathlib import Path
from typing import Any

import numpy as np

SIZE, DROPOUT, RATE, CLIP = 128, 0.5, 0.004, 1.0  # of the peers; equal to those of the tool's models and trainer


def save_rows(path: Path, rows: list[np.ndarray], labels: np.ndarray, vocab_size: int, num_classes: int) -> None:
    """Write rows of tokens with their classes; token 0 is padding."""
    offsets = np.cumsum([0, *map(len, rows)])
    np.savez(path, tokens=np.concatenate(rows), offsets=offsets, labels=labels, vocab_size=vocab_size,
             num_classes=num_classes)  # fmt: skip


def load_rows(path: str) -> dict[str, Any]:
    """Read saved rows: ``tokens``, ``offsets``, ``labels``, ``vocab_size`` and ``num_classes``."""
    with np.load(path) as arrays:
        found: dict[str, Any] = dict(arrays)
    return found | {name: int(found[name]) for name in ("vocab_size", "num_classes")}
