"""Location of the cache, whose content can be recreated at any time."""

import os
from pathlib import Path


def cache_directory() -> Path:
    """$SEQTRAIN_CACHE_DIR, or ~/.cache/seqtrain."""
    return Path(os.environ.get("SEQTRAIN_CACHE_DIR") or Path.home() / ".cache" / "seqtrain")
