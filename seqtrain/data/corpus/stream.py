"""Text as a stream of chunks, and operations on it: beginning documents, ending lines, cutting it into parts."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import partial


@dataclass(frozen=True)
class Chunk:
    """A part of a text, never empty; as read, it ends with a line or a document, unless a line is very long."""

    text: str
    starts_document: bool


Stream = Callable[[], Iterator[Chunk]]
"""A text that can be read any number of times."""


def begin_documents(stream: Stream, pattern: re.Pattern[str]) -> Iterator[Chunk]:
    """Cut chunks so that every line that the pattern matches completely begins a document."""
    continues = False  # whether the last line of the previous chunk goes on
    for chunk in stream():
        begin = position = 0
        starts = chunk.starts_document
        for line in chunk.text.split("\n"):
            if pattern.fullmatch(line) and position < len(chunk.text) and (position or not continues or starts):
                if position:
                    yield Chunk(chunk.text[begin:position], starts)
                begin, starts = position, True
            position += len(line) + 1
        yield Chunk(chunk.text[begin:], starts)
        continues = not chunk.text.endswith("\n")


def end_lines(stream: Stream) -> Iterator[Chunk]:
    """Add a "\\n" to the last line of each document that lacks it, as the word tokenizer needs it."""
    ended = True
    for chunk in stream():
        if chunk.starts_document and not ended:
            yield Chunk("\n", False)
        yield chunk
        ended = chunk.text.endswith("\n")
    if not ended:
        yield Chunk("\n", False)


def cut_end(stream: Stream, sizes: dict[str, float], words: bool) -> dict[str, Stream]:
    """Cut a text into train and, after it, parts of the given shares; the text is read once to measure it.

    Args:
        stream: the text.
        sizes: share of each part but train, in order.
        words: cut after a line (before a blank if the line does not end in the chunk), not within a word.
    """
    total = sum(len(chunk.text) for chunk in stream())
    shares = [Decimal(str(size)) for size in sizes.values()]  # 1 - 0.05 - 0.05 is 0.9 in decimal, not in binary
    bounds = [int(total * (1 - sum(shares[i:]))) for i in range(len(shares))]
    return {split: partial(read_part, stream, bounds, i, words) for i, split in enumerate(("train", *sizes))}


def read_part(stream: Stream, bounds: list[int], number: int, words: bool) -> Iterator[Chunk]:
    """One part of a text; its first chunk begins a document."""
    begun = False
    for part, chunk in divide(stream(), bounds, words):
        if part > number:
            return
        if part == number:
            yield Chunk(chunk.text, chunk.starts_document or not begun)
            begun = True


def divide(chunks: Iterator[Chunk], bounds: list[int], words: bool) -> Iterator[tuple[int, Chunk]]:
    """Chunks, each with the number of the part it belongs to; every part but the first begins at its bound."""
    part = position = 0
    for chunk in chunks:
        rest, starts = chunk.text, chunk.starts_document
        while part < len(bounds) and position + len(rest) >= bounds[part]:
            cut = max(bounds[part] - position, 0)
            if words and not (cut == 0 and starts):
                newline, blank = rest.find("\n", max(cut - 1, 0)), rest.find(" ", cut)
                if newline < 0 and blank < 0:
                    break
                cut = newline + 1 if newline >= 0 else blank
            if cut:
                yield part, Chunk(rest[:cut], starts)
            rest, starts, position, part = rest[cut:], False, position + cut, part + 1
        if rest:
            yield part, Chunk(rest, starts)
            position += len(rest)
