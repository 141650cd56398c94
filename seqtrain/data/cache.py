"""A cache of prepared data on disk.

An entry is built once, under a lock, completely or not at all. Its name is a digest of everything it depends on.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock

from seqtrain.cache_directory import cache_directory
from seqtrain.errors import DataError


def digest(value: Any) -> str:
    """Digest of a value that can be written as JSON."""
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=16).hexdigest()


def cached(kind: str, key: str, build: Callable[[Path], None]) -> Path:
    """The directory of a cache entry, built if it does not exist yet.

    Args:
        kind: kind of entry, the name of a subdirectory of the cache.
        key: digest of everything that the entry depends on.
        build: fills an empty directory, which gets its final name only after this returns.

    Raises:
        DataError: if the cache cannot be written.
    """
    target = cache_directory() / kind / key
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            if not target.is_dir():  # another process may have built it while this one waited
                temporary = Path(tempfile.mkdtemp(prefix=f".{key}-", dir=target.parent))
                try:
                    build(temporary)
                    temporary.chmod(0o755)
                    temporary.rename(target)
                finally:
                    shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise DataError(
            f"{target}: the cache cannot be written ({error.strerror or error}); set SEQTRAIN_CACHE_DIR to a folder "
            "with room"
        ) from error
    return target
