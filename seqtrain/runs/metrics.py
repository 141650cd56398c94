"""metrics.jsonl: the scalars of a run, an object with ``step`` and values by tag in each line."""

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from seqtrain.regular import open_regular

LONGEST_LINE = 1 << 20
"""In bytes; of a longer line no part is a JSON object, so that it is dropped."""

Entry = tuple[int, dict[str, float | None]]
"""A step, and the values that were logged there by tag; None where a value was not finite."""


def raw_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, bad ones included; raises OSError if it is not a readable regular file."""
    with open_regular(path) as file:
        while line := file.readline(LONGEST_LINE):
            yield line


def parse(line: bytes) -> Entry | None:
    """The entry in a line; None if the line is cut short or damaged."""
    with suppress(ValueError, RecursionError):
        values = json.loads(line)
        if isinstance(values, dict) and all(map(is_value, values.values())):
            step = values.pop("step", None)
            if type(step) is int and 0 <= step < 2**63:
                return step, values
    return None


def is_value(value: object) -> bool:
    """Whether a value is null or a finite number."""
    if value is None:
        return True
    return isinstance(value, int | float) and type(value) is not bool and abs(value) <= sys.float_info.max


def entries(path: Path, tag: str | None = None) -> Iterator[Entry]:
    """The entries of a file, without bad lines; none if it cannot be read.

    Args:
        path: the file.
        tag: parse only lines with this text in quotes, which is faster.
    """
    wanted = None if tag is None else json.dumps(tag).encode()
    with suppress(OSError):
        for line in raw_lines(path):
            if (wanted is None or wanted in line) and (entry := parse(line)) is not None:
                yield entry
