"""Saved YAML, read so that no content of the file can exhaust the process, and told if it was changed."""

import logging
import re
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from seqtrain.regular import read_regular

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C loader is ten times as fast
MOST_BYTES = 1 << 22
"""Largest size: 4 MiB. A saved configuration has 2 KB."""
MOST_NESTED = 50
"""Deepest nesting. The C loader crashes at some 50,000."""
SUSPECT = re.compile(r"[&*]|\[(?!\])|\{(?!\})|([-?] ){9}|^ {60}", re.MULTILINE)
"""What a text has that has anchors, or is nested more than ``MOST_NESTED`` deep. Saved configurations rarely do."""
CHECKSUM = "# crc32: "

log = logging.getLogger(__name__)


def with_checksum(text: str) -> str:
    """YAML with the CRC-32 of its text in a comment at the end."""
    return f"{text}{CHECKSUM}{zlib.crc32(text.encode())}\n"


@cache
def warn_of_changes(path: Path) -> None:
    """Say once of a file that it was changed; a user may have done so."""
    log.warning("%s: was changed after the run had written it; its values are used as they stand now", path)


def plain_yaml(path: Path) -> str:
    """The text of a YAML file without anchors and aliases, which could stand for more than memory holds.

    A text that differs from its checksum is read with a warning.

    Raises:
        OSError: if the file cannot be read, is not a regular file, or is too large.
        ValueError: if it is not UTF-8, is nested too deeply, or has anchors or aliases.
        yaml.YAMLError: if it is not valid YAML.
    """
    text = read_regular(path, MOST_BYTES).decode()
    if SUSPECT.search(text):  # to parse all events takes as long as to load the file
        refuse_nesting(text)
    body, found, _ = text.rpartition(CHECKSUM)  # earlier versions wrote none
    if found and text != with_checksum(body):
        warn_of_changes(path)
    return text


def refuse_nesting(text: str) -> None:
    """Raise ValueError for YAML that is nested too deeply, or has anchors or aliases."""
    depth = 0
    for event in yaml.parse(text, Loader=LOADER):
        if getattr(event, "anchor", None) is not None:
            raise ValueError("anchors and aliases are not allowed")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_NESTED:
            raise ValueError(f"it is nested more than {MOST_NESTED} deep")
