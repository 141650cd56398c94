"""A cache of prepared data on disk.

An entry is built once, under a lock, completely or not at all. Its name is a digest of everything it depends on. It is
verified by the digests of its files when it is opened; a damaged one is removed and built again.
"""

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from seqtrain.atomic import NO_ROOM
from seqtrain.cache_directory import cache_directory
from seqtrain.data.digests import find_damage, has_digests, sync, write_digests
from seqtrain.errors import DataError

log = logging.getLogger(__name__)


def digest(value: Any) -> str:
    """Digest of a value that can be written as JSON."""
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=16).hexdigest()


def opened(kind: str, key: str) -> Path | None:
    """The directory of a cache entry, once it is verified; None if there is none.

    A damaged entry is removed, and a warning says so. So is one that an earlier version made without digests, without
    a warning.

    Raises:
        DataError: if the entry cannot be read, or is damaged and cannot be removed.
    """
    target, entry = cache_directory() / kind / key, f"{kind}/{key}"
    if not target.is_dir() or damage_of(target, entry) is None:
        return target if target.is_dir() else None
    with writing(target), locked(target):
        damage = damage_of(target, entry)
        if damage is None:  # another process has built it again while this one waited
            return target
        if target.is_dir():
            level = logging.WARNING if has_digests(target) else logging.INFO
            log.log(level, "%s: %s; it is prepared anew", target, damage)
            shutil.rmtree(target)
    return None


def cached(kind: str, key: str, build: Callable[[Path], None]) -> Path:
    """The directory of a cache entry, built if it does not exist yet or is damaged.

    Args:
        kind: kind of entry, the name of a subdirectory of the cache.
        key: digest of everything that the entry depends on.
        build: fills an empty directory, which gets its final name only after this returns.

    Raises:
        DataError: if the cache cannot be read or written, or a file that ``build`` needs cannot be read.
    """
    if (found := opened(kind, key)) is not None:
        return found
    target = cache_directory() / kind / key
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(target):
            if target.is_dir():  # another process has built it while this one waited
                return target
            for left in target.parent.glob(f".{key}-*"):  # by a process that was killed: only one at a time builds
                shutil.rmtree(left, ignore_errors=True)
            temporary = Path(tempfile.mkdtemp(prefix=f".{key}-", dir=target.parent))
            try:
                with reading_sources(target, temporary):
                    build(temporary)
                write_digests(temporary, f"{kind}/{key}")
                temporary.chmod(0o755)
                temporary.rename(target)
                sync(target.parent)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
    return target


def locked(target: Path) -> FileLock:
    """The lock under which an entry is built or removed."""
    return FileLock(f"{target}.lock")


def damage_of(target: Path, entry: str) -> str | None:
    """What is wrong with an entry, None if it is intact; raises DataError if it may not be read."""
    try:
        return find_damage(target, entry)
    except PermissionError as error:
        raise DataError(
            f"{error.filename}: the cache cannot be read ({error.strerror}); set SEQTRAIN_CACHE_DIR to a folder of "
            "your own"
        ) from error


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turn an OSError into a DataError which says that the cache cannot be written."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{target}: the cache cannot be written ({error.strerror or error}); set SEQTRAIN_CACHE_DIR to a folder "
            "with room"
        ) from error


@contextmanager
def reading_sources(target: Path, temporary: Path) -> Iterator[None]:
    """Turn an OSError of anything but writing to the temporary folder into a DataError that names the file."""
    try:
        yield
    except OSError as error:
        named = None if error.filename is None else Path(str(error.filename))
        if error.errno in NO_ROOM or (named is not None and temporary in named.parents):
            raise
        raise DataError(
            f"{named or target}: cannot be prepared ({error.strerror or error}); see whether all files of the data can "
            "be read, and whether the cache has room (SEQTRAIN_CACHE_DIR)"
        ) from error
