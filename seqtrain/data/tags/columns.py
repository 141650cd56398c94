"""Sentences from files with one token a line, in columns: CoNLL, CoNLL-U and their relatives.

One rule holds for all lines of a file. Tabs alone separate columns if every line has one, else blanks and tabs do. What
is not a token is left out and counted in a note: comments, ``-DOCSTART-`` lines, a header, and the ranges and empty
nodes of CoNLL-U.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from seqtrain.config.data import TaggingFilesConfig
from seqtrain.data.tables.files import file_type
from seqtrain.data.tags.entities import TAG
from seqtrain.errors import DataError

COMMENT = re.compile(r"#(?:[ \t].*|(?:begin|end) document.*|[\w.:]+ ?= .*)?", re.DOTALL)
BLANKS = re.compile("[ \t]+")
WORD_NUMBER = re.compile(r"([1-9][0-9]*)|[1-9][0-9]*-[1-9][0-9]*|[0-9]+\.[1-9][0-9]*")
TOKEN_HEADER = re.compile(r"#? ?(id|form|text|tokens?|words?)", re.IGNORECASE)
TAG_HEADER = re.compile(
    r"((ner?|[ux]?pos|iob|bio|chunk|entity)[-_ ]?)?(tags?|labels?)|ner?|[ux]?pos|entity|entities|class|feats|deps|misc",
    re.IGNORECASE,
)

Rows = list[list[str]]


class Line(NamedTuple):
    """A line that may be a token."""

    number: int
    """Number of the line in its file, from 1."""
    sentence: int
    """Number of its sentence."""
    text: str
    """The line without blanks at its ends."""
    cells: list[str]
    """Its columns."""


class ColumnFile:
    """The tokens, and perhaps tags, of a file of columns.

    Args:
        path: the file.
        lines: its lines.
        config: which columns hold tokens and tags.
        tagged: whether every token must have a tag.
        notes: remarks on what is left out are added here.

    Raises:
        DataError: for a line that lacks a column, or whose columns are not those of most lines, where that may change
            what a column means; if the column of tokens holds their numbers; and for an empty tag.
    """

    def __init__(self, path: Path, lines: list[str], config: TaggingFilesConfig, tagged: bool, notes: list[str]):
        self.path, self.config, self.tagged, self.notes = path, config, tagged, notes
        texts = list(self.token_texts(lines))
        plain = [text for _, _, text in texts if text[0] != "#"] or [text for _, _, text in texts]
        self.by_tabs = file_type(path) == ".tsv" or separated_by_tabs(plain)
        self.is_conllu = file_type(path) == ".conllu"
        self.lines = [Line(number, sentence, text, self.split(text)) for number, sentence, text in texts]
        usual = [line for line in self.lines if line.text[0] != "#"] or self.lines
        widths = Counter(len(line.cells) for line in usual)
        self.width = max(widths, key=widths.__getitem__, default=0)
        """The number of columns that most lines have."""
        self.leave_out_comments()
        self.leave_out_header()
        self.leave_out_numbered()
        self.check_columns()
        self.tokens: Rows = [[line.cells[config.token_column] for line in part] for part in self.sentences()]
        """The tokens of each sentence."""
        self.tags: Rows | None = None
        """The tags of each sentence; None if they are not required and not all lines have one."""
        if tagged or all(len(line.cells) == self.width and self.tag(line) is not None for line in self.lines):
            self.tags = [[line.cells[config.tag_column] for line in part] for part in self.sentences()]

    def token_texts(self, lines: list[str]) -> Iterator[tuple[int, int, str]]:
        """Number, sentence and text of each line, but for blank and ``-DOCSTART-`` lines, which end sentences."""
        sentence, documents = 0, 0
        for number, line in enumerate(lines, start=1):
            text = line.strip(" ")
            if text.startswith("-DOCSTART-"):
                documents += 1
            if text.startswith("-DOCSTART-") or not text.strip(" \t"):
                sentence += 1
            else:
                yield number, sentence, text
        if documents:
            self.notes.append(f"{self.path}: {documents} -DOCSTART- lines left out")

    def split(self, text: str) -> list[str]:
        """The columns of a line."""
        return [cell.strip(" ") for cell in text.split("\t")] if self.by_tabs else by_blanks(text)

    def sentences(self) -> Iterator[list[Line]]:
        """The lines of each sentence."""
        for _, part in groupby(self.lines, key=lambda line: line.sentence):
            yield list(part)

    def tag(self, line: Line) -> str | None:
        """The tag of a line; None if it has no such column, or it is that of the token."""
        column, width = self.config.tag_column, len(line.cells)
        inside = -width <= column < width and (column - self.config.token_column) % width != 0
        return line.cells[column] if inside else None

    @property
    def layout(self) -> str:
        """How columns are written, in words."""
        separators, width = "tabs" if self.by_tabs else "blanks", self.width or 1
        tags = "" if self.tags is None else f", tags in column {self.config.tag_column % width}"
        tokens = f"tokens in column {self.config.token_column % width}"
        return f"{self.width} columns separated by {separators} ({tokens}{tags})"

    def leave_out(self, wrong: Callable[[Line], bool], what: str) -> None:
        """Leave lines out, with a note of how many."""
        found = [line.number for line in self.lines if wrong(line)]
        if found:
            gone = set(found)
            self.lines = [line for line in self.lines if line.number not in gone]
            self.notes.append(f"{self.path}: {len(found)} {what} left out (the first: line {found[0]})")

    def leave_out_comments(self) -> None:
        """Leave out the comments among the lines that begin with ``#``.

        A line that looks like a comment is a token if it has as many columns as most lines, and its tag is that of a
        line without ``#`` or its first column is ``#`` alone, set off by a tab.
        """
        tags = {self.tag(line) for line in self.lines if line.text[0] != "#"}

        def is_comment(line: Line) -> bool:
            if not COMMENT.fullmatch(line.text) and not (line.text[0] == "#" and self.by_tabs and len(line.cells) == 1):
                return False
            token = self.width == 1 or self.tag(line) in tags or (self.by_tabs and line.cells[0] == "#")
            return len(line.cells) != self.width or not token

        self.leave_out(is_comment, "lines that begin with '#', as comments do, without the columns or tag of a token,")

    def leave_out_header(self) -> None:
        """Leave out a first line that names the columns, and its repetitions; note a line that may be one."""
        if not self.lines:
            return
        first, tag = self.lines[0], self.tag(self.lines[0])
        others = [line for line in self.lines if line.cells != first.cells]
        if not others or (tag is not None and any(self.tag(line) == tag for line in others)):
            return
        named = any(TOKEN_HEADER.fullmatch(cell) for cell in first.cells)
        if tag and named and TAG_HEADER.fullmatch(tag):
            self.leave_out(
                lambda line: line.cells == first.cells, f"lines with names of columns ({', '.join(first.cells)})"
            )
        elif named if tag is None else self.tagged and tag != "O" and not TAG.fullmatch(tag):
            what = "may be the name of a column" if tag is None else "has a tag that is on no other line"
            self.notes.append(
                f"{self.path}: line {first.number}, the first, {what} ({tag or first.text}); if the line names the "
                "columns, remove it"
            )

    def leave_out_numbered(self) -> None:
        """Where the first column holds the numbers of words, as in CoNLL-U, leave out what is not a word.

        Ranges stand for several words that follow, and empty nodes for words that are not in the text.
        """
        found = {line.number: WORD_NUMBER.fullmatch(line.cells[0]) for line in self.lines}
        whole = sum(bool(match and match[1]) for match in found.values())
        others = {number: match[0] for number, match in found.items() if match and not match[1]}
        numbered = self.width > 1 and bool(self.lines) and (self.is_conllu or 2 * whole >= len(found))
        if not numbered or self.config.tag_column % self.width == 0:
            return
        if self.config.token_column % self.width == 0:
            if self.is_conllu or self.counts_words():
                raise DataError(
                    f"{self.path}: column {self.config.token_column} (data.token_column) holds the numbers of words "
                    "(CoNLL-U); set data.token_column=1, and data.tag_column to the column of the tags (3 for UPOS)"
                )
            return
        wrong = next((line for line in self.lines if not found[line.number]), None)
        if wrong and (self.is_conllu or others):
            raise DataError(
                f"{self.path}: line {wrong.number}: its first column, {wrong.cells[0]!r}, is not the number of a word, "
                "as those of other lines are, nor a range (1-2) or an empty node (8.1) of CoNLL-U; correct it"
            )
        ranges = {number for number, cell in others.items() if "-" in cell}
        self.leave_out(lambda line: line.number in ranges, "ranges of words, such as 1-2 in CoNLL-U,")
        self.leave_out(lambda line: line.number in others, "empty nodes, such as 8.1 in CoNLL-U,")

    def counts_words(self) -> bool:
        """Whether the whole numbers in the first column are 1, 2, ... in every sentence, one of which has several."""
        numbers = [[line.cells[0] for line in part if line.cells[0].isdigit()] for part in self.sentences()]
        return max(map(len, numbers)) > 1 and all(part == [str(i + 1) for i in range(len(part))] for part in numbers)

    def check_columns(self) -> None:
        """Check that all lines have the columns that are read, and that these mean the same on every line."""
        token_column, tag_column = self.config.token_column, self.config.tag_column
        columns = {"data.token_column": token_column} | ({"data.tag_column": tag_column} if self.tagged else {})
        named = " and ".join(f"{key}={column}" for key, column in columns.items())
        separated = f"separated by {'tabs' if self.by_tabs else 'blanks'}"
        others = []

        def wrong(line: Line, what: str) -> DataError:
            return DataError(f"{self.path}: line {line.number} has {what}")

        for line in self.lines:
            width, tag = len(line.cells), self.tag(line)
            if width != self.width:
                # Without tags, a blank may also be one inside a token.
                unsure = not self.by_tabs and ("\t" in line.text or not self.tagged)
                if min(columns.values()) < 0 or unsure:
                    usual = next((each.number for each in self.lines if len(each.cells) == self.width), line.number)
                    remedy = "separate all columns by tabs" if unsure else "count columns from the start"
                    raise wrong(
                        line,
                        f"{width} columns, {separated}, but most lines have {self.width}, such as line {usual}; "
                        f"{named} may name another column there: correct the line, or {remedy}",
                    )
                others.append(line.number)
            if not -width <= token_column < width or (self.tagged and tag is None):
                wanted = "two different ones" if self.tagged else "one"
                raise wrong(line, f"too few columns ({width}, {separated}): {named} must name {wanted} of them")
            if self.tagged and not tag:
                raise wrong(line, f"an empty tag (data.tag_column={tag_column})")
        if others:
            self.notes.append(
                f"{self.path}: {len(others)} lines do not have {self.width} columns, as most have, but those of "
                f"{named} (the first: line {others[0]})"
            )
        empty = sum(not line.cells[token_column] for line in self.lines)
        if empty:
            self.notes.append(f"{self.path}: {empty} tokens are empty; they count as a word without letters")


def by_blanks(text: str) -> list[str]:
    """The columns of a line that are separated by any number of blanks and tabs."""
    text = text.strip(" \t")
    return BLANKS.split(text) if "\t" in text or "  " in text else text.split(" ")


def separated_by_tabs(texts: Sequence[str]) -> bool:
    """Whether tabs alone separate the columns of lines, so that blanks are part of a column.

    They do if all lines have tabs. If only some have, they do not if all lines have as many columns without that rule;
    else what most lines have decides, so that an error can name the first of the others.
    """
    tabbed = sum("\t" in text for text in texts)
    mixed = 0 < tabbed < len(texts)
    return 2 * tabbed > len(texts) and not (mixed and len({len(by_blanks(text)) for text in texts}) == 1)
