"""Options of data that is read from tables: csv, tsv, jsonl, json and parquet files."""

from dataclasses import dataclass
from enum import Enum

from seqtrain.config.base import DataConfig, require
from seqtrain.config.options import Affects, option

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "space": " "}
"""Separators by the names that need no quotes on a command line."""

MARKS = {"point": ".", "comma": ",", "space": " ", "apostrophe": "'"}
"""Marks in numbers, by names that need no quotes on a command line."""


class Quoting(Enum):
    """What a double quote at the start of a field of a csv or tsv file means."""

    double = "double"
    none = "none"


@dataclass
class TableConfig(DataConfig):
    """How the fields of a table are written."""

    separator: str | None = option(None, Affects.rows)
    """What separates two fields of a csv or tsv file: ``comma``, ``semicolon``, ``tab``, ``pipe``, ``space`` or any one
    character; null takes a comma for csv and a tab for tsv."""
    quoting: Quoting = option(Quoting.double, Affects.rows)
    """What a double quote at the start of a field of a csv or tsv file means. ``double``: the field ends at the next
    double quote that is not doubled. ``none``: it is a character like any other."""
    header: bool = option(True, Affects.rows)
    """Whether the first row of a csv or tsv file names the columns; if false, their names are 0, 1, ..."""
    missing_values: list[str] = option([], Affects.rows)
    """Values that mean that there is none, for example ``[NA,-9999]``; an empty field always does."""

    def check(self, key: str) -> None:
        separator = "," if self.separator is None else SEPARATORS.get(self.separator, self.separator)
        fits = len(separator) == 1 and separator.isascii() and separator not in '"\r\n'
        require(fits, f"{key}.separator", self.separator,
                f"null, {', '.join(SEPARATORS)}, or one ASCII character that is no quote or line end")  # fmt: skip


@dataclass
class NumbersConfig(TableConfig):
    """How the fields of a table are written, of which some are numbers."""

    decimal: str = option("point", Affects.rows)
    """Decimal mark of numbers in text: ``point`` or ``comma``."""
    thousands: str | None = option(None, Affects.rows)
    """Mark between thousands of numbers in text: ``comma``, ``point``, ``space`` or ``apostrophe``; null: none."""

    def check(self, key: str) -> None:
        super().check(key)
        decimal, thousands = (MARKS.get(mark or "", mark) for mark in (self.decimal, self.thousands))
        require(decimal in (".", ","), f"{key}.decimal", self.decimal, "point or comma")
        allowed = f"null or one of {', '.join(MARKS)}, and not the decimal mark"
        fits = thousands is None or (thousands in MARKS.values() and thousands != decimal)
        require(fits, f"{key}.thousands", self.thousands, allowed)
