"""Saved YAML, read so that no content of the file can exhaust the process."""

from pathlib import Path
from typing import Any

import yaml

from seqtrain.regular import read_regular

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C loader is ten times as fast
MOST_BYTES = 1 << 22
"""Largest size: 4 MiB. A saved configuration has 2 KB."""
MOST_NESTED = 50
"""Deepest nesting. The C loader crashes at some 50,000."""


def plain_yaml(path: Path) -> str:
    """The text of a YAML file without anchors and aliases, which could stand for more than memory holds.

    Raises:
        OSError: if the file cannot be read, is not a regular file, or is too large.
        ValueError: if it is not UTF-8, is nested too deeply, or has anchors or aliases.
        yaml.YAMLError: if it is not valid YAML.
    """
    text = read_regular(path, MOST_BYTES).decode()
    depth = 0
    for event in yaml.parse(text, Loader=LOADER):
        if getattr(event, "anchor", None) is not None:
            raise ValueError("anchors and aliases are not allowed")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_NESTED:
            raise ValueError(f"it is nested more than {MOST_NESTED} deep")
    return text
