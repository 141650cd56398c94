"""Where what can be made again is kept from one run to the next."""

import os
from pathlib import Path


def cache_directory() -> Path:
    """$SEQTRAIN_CACHE_DIR, else ~/.cache/seqtrain."""
    return Path(os.environ.get("SEQTRAIN_CACHE_DIR") or Path.home() / ".cache" / "seqtrain")
