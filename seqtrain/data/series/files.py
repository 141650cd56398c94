"""Find the file of a series dataset, or fetch a public one from its address."""

import urllib.request
from http.client import HTTPException
from pathlib import Path

from seqtrain.config.series import PublicSeriesConfig, SeriesConfig
from seqtrain.data.cache import cached, digest
from seqtrain.data.locate import find_path, own_path
from seqtrain.data.tables.files import SUFFIXES, file_type
from seqtrain.errors import DataError

WANTED = "a csv, tsv, jsonl or parquet file"
SECONDS = 10  # timeout of a public address


def find_file(config: SeriesConfig) -> Path:
    """The file of a dataset: at ``data.path``, else (if public) under $SEQTRAIN_DATA_DIR, else from its address.

    Raises:
        DataError: if it cannot be found or fetched; names the remedies.
    """
    if not isinstance(config, PublicSeriesConfig):
        own = own_path(config, WANTED)
        return only_file(own) if own.is_dir() else own
    path = find_path(config, WANTED, config.folder)
    if path is not None and path.is_dir():
        path = path / config.file
    if path is not None and (config.path is not None or path.is_file()):
        return path
    return cached("series", digest([config.url, config.file]), lambda folder: download(config, folder)) / config.file


def only_file(folder: Path) -> Path:
    """The only table of a folder, hidden files aside; raises DataError if there is none or more than one."""
    visible = (path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file())
    found = sorted(path for path in visible if file_type(path) in SUFFIXES)
    if len(found) != 1:
        shown = f"{len(found)} files ({', '.join(path.name for path in found[:4])})" if found else "no file"
        raise DataError(f"{folder}: has {shown} of type {', '.join(SUFFIXES)}; give one file as data.path")
    return found[0]


def download(config: PublicSeriesConfig, folder: Path) -> None:
    """Fetch a public file into a folder; raises DataError, which names the other ways to get it."""
    reason = "it has no public address"
    if config.url is not None:
        try:
            with urllib.request.urlopen(config.url, timeout=SECONDS) as response:
                content = response.read()
        except (OSError, HTTPException, ValueError) as error:
            reason = f"{config.url} cannot be fetched ({' '.join(str(error).split())[:150]})"
        else:
            (folder / config.file).write_bytes(content)
            return
    raise DataError(
        f"data={config.name}: no local copy, and {reason}; give data.path=<file or folder>, or set SEQTRAIN_DATA_DIR "
        f"to a folder that holds {config.folder}/{config.file}{', or connect to the internet' if config.url else ''}"
    )
