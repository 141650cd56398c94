"""Text from files that is safe to print on a terminal."""

import logging
import re
from typing import Any

UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line separators, marks that turn the direction of writing, and surrogates."""


def escaped(text: str) -> str:
    """The text with unprintable characters as Python writes them in a string, such as ``\\x1b``."""
    if text.isprintable():  # the usual case, and much faster to find out
        return text
    return UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def escaped_lines(text: str) -> str:
    """The same of each line of a text; line ends stay."""
    return "\n".join(map(escaped, text.split("\n")))


def escaped_within(value: Any) -> Any:
    """The value with every text in it escaped; keys of dicts too."""
    if isinstance(value, str):
        return escaped(value)
    if isinstance(value, list):
        return [escaped_within(part) for part in value]
    if isinstance(value, dict):
        return {escaped_within(key): escaped_within(part) for key, part in value.items()}
    return value


class PrintableRecord(logging.LogRecord):
    """A record of the log whose message is escaped: it may quote names of classes, columns or runs from files."""

    def getMessage(self) -> str:
        return escaped_lines(super().getMessage())
