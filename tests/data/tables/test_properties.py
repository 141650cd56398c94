"""Random tables in every format give the same rows; damaged files give the right rows, a note or an error.

The writers are those of Python and pyarrow. A format gets what it can hold: no tab or line end in tsv, and no
difference between an empty and a missing text in csv and tsv.
"""

import csv
import gzip
import json
import random
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pytest
from pyarrow import parquet

from seqtrain.data.tables.reading import read_table
from seqtrain.errors import DataError
from tests.fuzzing.mutations import mutated

Row = tuple[str | None, str]
PIECES = [
    '"',
    '""',
    ",",
    ";",
    "'",
    "\\",
    " ",
    "  ",
    "a",
    "B c",
    "7",
    "1.0",
    "NA",
    "null",
    "é",
    "日本",
    "😀",
    "\u2028",
    "\x0b",
]
QUOTING: tuple[Literal[0], Literal[1]] = (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
BREAKS = ["\n", "\r\n", "\r", "\t", "\n\n"]


def random_rows(rng: random.Random, breaks: bool) -> list[Row]:
    """Up to 20 rows of a text and a label; a text may be empty or missing."""
    pieces = PIECES + BREAKS * breaks

    def text() -> str | None:
        return rng.choice([None, ""]) if rng.random() < 0.1 else "".join(rng.choices(pieces, k=rng.randint(1, 8)))

    return [(text(), rng.choice(["pos", "neg", "0", "x y"])) for _ in range(rng.randint(1, 20))]


def write_separated(path: Path, rows: list[Row], separator: str, quoting: Literal[0, 1], end: str) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=separator, quoting=quoting, lineterminator=end)
        writer.writerows([("text", "label"), *rows])


def written(folder: Path, rows: list[Row], rng: random.Random) -> Iterator[Path]:
    """The rows in every format that can hold them."""
    end, objects = rng.choice(["\n", "\r\n"]), [{"text": text, "label": label} for text, label in rows]
    breaks = any(mark in (text or "") for (text, _), mark in product(rows, BREAKS))
    for quoting in QUOTING:
        write_separated(folder / f"{quoting}.csv", rows, ",", quoting, end)
        yield folder / f"{quoting}.csv"
        if not breaks:
            write_separated(folder / f"{quoting}.tsv", rows, "\t", quoting, end)
            yield folder / f"{quoting}.tsv"
    ascii_only = rng.random() < 0.5
    (folder / "a.jsonl").write_text(end.join(json.dumps(row, ensure_ascii=ascii_only) for row in objects) + end)
    (folder / "a.json").write_text(json.dumps(objects, ensure_ascii=ascii_only))
    (folder / "b.jsonl.gz").write_bytes(gzip.compress((folder / "a.jsonl").read_bytes()))
    parquet.write_table(pa.Table.from_pylist(objects), folder / "a.parquet")
    yield from (folder / name for name in ("a.jsonl", "a.json", "b.jsonl.gz", "a.parquet"))


def read(path: Path) -> list[Row]:
    """Rows of a file, with missing texts as empty ones."""
    table = read_table(path)
    return [(text or "", label) for text, label in zip(table.values("text"), table.values("label"), strict=True)]


@pytest.mark.parametrize("seed", range(60))
def test_every_format_gives_the_same_rows(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    rows = random_rows(rng, breaks=seed % 2 == 0)
    for path in written(tmp_path, rows, rng):
        assert read(path) == [(text or "", label) for text, label in rows], path.name
        if path.suffix in (".csv", ".tsv", ".jsonl"):
            lines = read_table(path).lines
            assert lines is not None and len(lines) == len(rows) and (lines[1:] > lines[:-1]).all()


def damaged_quotes(content: str, rng: random.Random) -> tuple[str, int]:
    """The content with one double quote more or less below the header, and the place of the change."""
    header = content.index("\n") + 1
    quotes = [i for i, character in enumerate(content) if character == '"' and i > header]
    if quotes and rng.random() < 0.5:
        at = rng.choice(quotes)
        return content[:at] + content[at + 1 :], at
    at = rng.randrange(header, len(content))
    return content[:at] + '"' + content[at:], at


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_one_quote_more_or_less_changes_no_other_row(tmp_path: Path, name: str) -> None:
    """Each row of the file still stands in one line, so that the rows before and after the change are known."""
    for seed in range(300):
        rng = random.Random(seed)
        rows = random_rows(rng, breaks=False)
        path = tmp_path / name
        separator = "," if name == "a.csv" else "\t"
        write_separated(path, rows, separator, rng.choice(QUOTING), "\n")
        content, at = damaged_quotes(path.read_bytes().decode(), rng)
        path.write_bytes(content.encode())
        changed = content.count("\n", 0, at) - 1
        expected = [(text or "", label) for text, label in rows]
        try:
            table = read_table(path)
        except DataError:
            continue
        found = [(text or "", label) for text, label in zip(table.values("text"), table.values("label"), strict=True)]
        if not any("more than one line" in note for note in table.notes):
            assert found[:changed] + found[changed + 1 :] == expected[:changed] + expected[changed + 1 :], seed
            assert len(found) == len(rows), seed


FORMATS: dict[str, Callable[[Path, list[Row]], object]] = {
    "a.csv": lambda path, rows: write_separated(path, rows, ",", csv.QUOTE_MINIMAL, "\n"),
    "a.tsv": lambda path, rows: write_separated(path, rows, "\t", csv.QUOTE_MINIMAL, "\r\n"),
    "a.jsonl": lambda path, rows: path.write_text(
        "\n".join(json.dumps({"text": t, "label": label}) for t, label in rows)
    ),
    "a.json": lambda path, rows: path.write_text(json.dumps([{"text": t, "label": label} for t, label in rows])),
    "a.parquet": lambda path, rows: parquet.write_table(pa.table({"text": [t for t, _ in rows]}), path),
    "a.csv.gz": lambda path, rows: path.write_bytes(gzip.compress(b"text,label\n" + b"a,b\n" * len(rows))),
}


@pytest.mark.parametrize("name", FORMATS)
def test_mutated_files_end_in_rows_or_in_an_error(tmp_path: Path, name: str) -> None:
    for seed in range(500):
        rng = random.Random(seed)
        FORMATS[name](tmp_path / name, random_rows(rng, breaks="sv" not in name))
        (tmp_path / name).write_bytes(mutated((tmp_path / name).read_bytes(), rng, rng.randint(1, 6)))
        try:
            table = read_table(tmp_path / name)
        except DataError as error:
            assert str(tmp_path / name) in str(error) and "\n" not in str(error), seed
        else:
            assert all(len(table.values(column)) == len(table) for column in table.names), seed
