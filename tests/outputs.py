"""The outputs that a run stores of a split."""

from pathlib import Path
from typing import Any

import numpy as np


def stored_outputs(path: Path) -> dict[str, Any]:
    """All arrays of an .npz file, by name; the file is closed."""
    with np.load(path, allow_pickle=False) as stored:
        return dict(stored)
