"""The source code of Python's standard library as running text: every file is a document."""

import hashlib
import os
import sysconfig
import tokenize
from collections.abc import Iterator
from pathlib import Path

from seqtrain.config.corpus import LibraryCorpusConfig
from seqtrain.data.corpus.stream import Chunk
from seqtrain.data.locate import SPLITS
from seqtrain.data.tables.files import unreadable
from seqtrain.errors import DataError

NOT_LIBRARY = {"site-packages", "dist-packages", "test", "tests", "idle_test"}


def library_files(config: LibraryCorpusConfig) -> dict[str, list[Path]]:
    """Source files of the standard library by split, chosen by a digest of the path: the same on every machine."""
    folder, paths = find_library()
    files: dict[str, list[Path]] = {split: [] for split in SPLITS}
    test, apart = config.test_size, config.test_size + config.validation_size
    for path in paths:
        place = int.from_bytes(hashlib.blake2b(path.encode(), digest_size=8).digest()) / 2**64
        files["test" if place < test else "validation" if place < apart else "train"].append(folder / path)
    return {split: part for split, part in files.items() if part or split != "test"}


def find_library() -> tuple[Path, list[str]]:
    """Folder of the standard library, and its source files without tests: sorted paths in the folder, with slashes.

    Raises:
        DataError: if there are no source files, because they are zipped or stripped.
    """
    folder = Path(sysconfig.get_path("stdlib"))
    found: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in NOT_LIBRARY]
        found += (Path(parent, name) for name in files if name.endswith(".py"))
    paths = sorted(path.relative_to(folder).as_posix() for path in found if path.is_file())
    if not paths:
        raise DataError(
            f"no sources of the standard library in {folder}: its .py files are missing (zipped or stripped); "
            "run seqtrain with a full installation of Python, or choose another dataset"
        )
    return folder, paths


def read_sources(paths: list[Path]) -> Iterator[Chunk]:
    """The source files as documents, without those that Python cannot decode."""
    for path in paths:
        try:
            with tokenize.open(path) as file:
                text = file.read()
        except (SyntaxError, UnicodeDecodeError):
            continue
        except OSError as error:
            raise unreadable(path, error) from error
        if text:
            yield Chunk(text, True)
