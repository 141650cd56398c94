"""Rows of a csv or tsv text one by one, with every rule for quotes; slower than pyarrow, but it knows each line.

A field that begins with a double quote ends at the next one that is not doubled:

- In csv, text between that quote and the next separator belongs to the field. A quote that is never closed is an error,
  and so is text after a field of several lines, since its first quote may be a character of the text.
- In tsv, the field counts as quoted only if a separator or line end follows. Otherwise the quote is a character. It is
  one, too, if the field would swallow lines that each have as many fields as the header.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from seqtrain.config.tables import SEPARATORS
from seqtrain.errors import DataError

QUOTED = re.compile(r'"([^"]*+(?:""[^"]*+)*+)"')


@dataclass(frozen=True)
class Dialect:
    """How the fields of a file are separated and quoted."""

    path: Path
    separator: str
    quoted: bool
    """Whether double quotes have a meaning."""
    tabs: bool
    """Whether the rules of tsv hold, not those of csv."""


@dataclass
class Findings:
    """Lines of what the reader of a file noticed."""

    several_lines: list[int] = field(default_factory=list)
    """Quoted fields of more than one line."""
    quote_characters: list[int] = field(default_factory=list)
    """Fields whose first character is a double quote that does not quote them."""
    after_quote: list[int] = field(default_factory=list)
    """Quoted fields with text after the closing quote."""
    empty_ends: list[int] = field(default_factory=list)
    """Rows that end in one separator more than the first row."""
    empty_columns: int = 0
    """Number of columns that have neither a name nor a value."""

    def notes(self, path: Path) -> list[str]:
        """Remarks for the user."""
        texts = {
            "quoted fields of more than one line": self.several_lines,
            "fields that begin with a double quote which does not quote them; it is kept": self.quote_characters,
            "quoted fields with text after the closing quote; it is kept": self.after_quote,
            "rows that end in a separator more than the first line; it is left out": self.empty_ends,
        }
        notes = [f"{path}: {text}: {len(at):,} (first: line {at[0]})" for text, at in texts.items() if at]
        if self.empty_columns:
            notes.append(f"{path}: columns without a name and without a value, left out: {self.empty_columns}")
        return notes


def records(text: str, dialect: Dialect, found: Findings) -> Iterator[tuple[int, list[str]]]:
    """Line and fields of each row; a blank line is a row with one empty field.

    Raises:
        DataError: for a quote that is never closed, or that closes on another line with text after it.
    """
    separator, quoted = dialect.separator, dialect.quoted
    width, position, line = 0, 0, 1
    while position < len(text):
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        fields = text[position:end].removesuffix("\r").split(separator)
        if quoted and any(part.startswith('"') for part in fields):
            fields, end = quoted_record(text, position, line, width, dialect, found)
        width = width or len(fields)
        yield line, fields
        line += text.count("\n", position, end) + 1
        position = end + 1


def quoted_record(
    text: str, position: int, line: int, width: int, dialect: Dialect, found: Findings
) -> tuple[list[str], int]:
    """Fields of the row at a position, of which at least one begins with a double quote, and where the row ends."""
    fields: list[str] = []
    while True:
        end = field_end(text, position, dialect.separator)
        value = plain(text, position, end)
        if text.startswith('"', position):
            match = QUOTED.match(text, position)
            where = f"{dialect.path}: line {line}: the double quote before {excerpt(text, position)}"
            if match is None:
                if not dialect.tabs:
                    raise DataError(f"{where} is never closed; close it, double it, or set data.quoting=none")
                found.quote_characters.append(line)
            else:
                after = field_end(text, match.end(), dialect.separator)
                tail, breaks = plain(text, match.end(), after), match.group().count("\n")
                if dialect.tabs and (tail or (breaks and swallows_rows(text, position, after, width, dialect))):
                    found.quote_characters.append(line)
                elif tail and breaks:
                    raise DataError(
                        f"{where} closes on line {line + breaks}, where text follows it; double the quotes inside a "
                        "quoted field, or set data.quoting=none"
                    )
                else:
                    found.several_lines += [line] if breaks else []
                    found.after_quote += [line] if tail else []
                    value, end, line = match.group(1).replace('""', '"') + tail, after, line + breaks
        fields.append(value)
        if text[end : end + 1] != dialect.separator:
            return fields, end
        position = end + 1


def field_end(text: str, position: int, separator: str) -> int:
    """Where a field without quotes ends that begins at a position: at the next separator or line end."""
    line_end = text.find("\n", position)
    line_end = len(text) if line_end < 0 else line_end
    end = text.find(separator, position, line_end)
    return line_end if end < 0 else end


def plain(text: str, start: int, end: int) -> str:
    """Part of a text without the "\\r" of a line end."""
    part = text[start:end]
    return part.removesuffix("\r") if end == len(text) or text[end] == "\n" else part


def swallows_rows(text: str, position: int, end: int, width: int, dialect: Dialect) -> bool:
    """Whether each line from the one of ``position`` to the one of ``end`` has as many fields as the header."""
    start = text.rfind("\n", 0, position) + 1
    stop = text.find("\n", end)
    lines = text[start : len(text) if stop < 0 else stop].split("\n")
    return all(row.count(dialect.separator) + 1 == width for row in lines)


def excerpt(text: str, position: int) -> str:
    """The first characters after a position, for messages."""
    return repr(text[position + 1 : position + 21].partition("\n")[0].removesuffix("\r"))


def advice(lines: list[str], separator: str) -> str:
    """Advice for errors, from the first lines of a file: another separator, or a comment; empty if there is none."""
    if lines and lines[0].startswith("#"):
        return "; line 1 begins with '#': if it is a comment, remove it"
    for name, other in SEPARATORS.items():
        counts = {line.count(other) for line in lines if line}
        if other not in (separator, " ") and len(counts) == 1 and 0 not in counts:
            return f"; its fields seem to be separated by a {name}: set data.separator={name}"
    return ""
