"""Damaged data files of every format, read by the dataset that they are meant for.

A file that is read without a word must give as many rows as another reader finds in it.
"""

import csv
import gzip
import io
import json
import random
import re
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from seqtrain.commands.build import build_data
from seqtrain.config.root import Config
from seqtrain.errors import UserError
from tests.fuzzing.mutations import mutated, reshaped
from tests.fuzzing.outcome import SECONDS, Wrong, within

TEXTS = [{"text": f"text {i} {'good' if i % 2 else 'bad'}", "label": "pos" if i % 2 else "neg"} for i in range(40)]
SETS = [{"text": f"text {i}", "label": [name for k, name in enumerate("abc", 1) if i % (k + 1)]} for i in range(40)]
TAGS = [{"tokens": ["Ann", "met", f"Bo{i}"], "tags": ["B-PER", "O", "B-PER"]} for i in range(20)]
SERIES = pd.DataFrame(
    {"date": pd.date_range("2021-01-01", periods=60).astype(str), "y": [i % 7 + 0.5 for i in range(60)]}
)


def separated(separator: str) -> str:
    """The labelled texts as csv or tsv."""
    return "".join(separator.join(row) + "\n" for row in [("text", "label"), *(tuple(r.values()) for r in TEXTS)])


def parquet(frame: pd.DataFrame) -> bytes:
    """A table as parquet."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


def lines(rows: list[dict[str, object]]) -> str:
    """Rows as JSON lines."""
    return "\n".join(map(json.dumps, rows))


FILES: dict[str, str | bytes] = {
    "texts.csv": separated(","),
    "texts.tsv": separated("\t"),
    "texts.jsonl": "\n".join(map(json.dumps, TEXTS)),
    "texts.json": json.dumps(TEXTS),
    "texts.csv.gz": gzip.compress(separated(",").encode(), mtime=0),
    "texts.parquet": parquet(pd.DataFrame(TEXTS)),
    "sets.jsonl": "\n".join(map(json.dumps, SETS)),
    "tags.conll": "\n\n".join("\n".join(map("\t".join, zip(r["tokens"], r["tags"], strict=True))) for r in TAGS),
    "tags.jsonl": "\n".join(map(json.dumps, TAGS)),
    "series.csv": SERIES.to_csv(index=False),
    "series.jsonl": SERIES.to_json(orient="records", lines=True),
    "series.parquet": parquet(SERIES),
    "corpus.jsonl": "\n".join(json.dumps({"text": f"word {i} and more words\n"}) for i in range(200)),
    "corpus.txt": "\n".join(f"word {i} and more words" for i in range(200)),
}
CELLS = [
    "",
    "nan",
    "x",
    "-1",
    "1e300",
    "1,5",
    "a\nb",
    'a"b',
    "2021-13-45",
    "0",
    "pos",
    "\t",
    " ",
    "\x00",
    "\x1b[2J",
    "é",
]
"""What may stand in the place of a cell of csv."""
OPTIONS = {
    "texts": ["data=text_files", "data.min_count=1"],
    "sets": ["data=text_files", "task=multilabel", "data.min_count=1"],
    "tags": ["data=tagging_files"],
    "series": ["data=series_files", "data.lookback=5", "data.horizon=2"],
    "corpus": ["data=text_corpus", "data.bptt_len=4", "data.batch_size=2"],
}


class DataFile:
    """One file, damaged anew at each trial.

    Args:
        name: of the file, one of ``FILES``.
        folder: where to write it.
        composed: composes a configuration.
    """

    def __init__(self, name: str, folder: Path, composed: Callable[..., Config]):
        self.name, self.path = f"data/{name}", folder / name
        self.content = content if isinstance(content := FILES[name], bytes) else content.encode()
        self.config = composed(*OPTIONS[name.partition(".")[0]], f"data.path={self.path}")
        self.path.write_bytes(self.content)
        build_data(self.config)  # whole, it is read

    def attempt(self, seed: int) -> str:
        rng = random.Random(f"{self.name} {seed}")
        edit = EDITS.get(self.name.partition(".")[2])
        whole = edit is not None and rng.randrange(2)
        damaged = edit(self.content, rng) if edit and whole else mutated(self.content, rng, rng.choice([1, 1, 4]))
        self.path.write_bytes(damaged)
        try:
            with warnings.catch_warnings(action="error"), within(SECONDS):
                data = build_data(self.config)
        except UserError as error:
            if "\n" in str(error):
                raise Wrong(f"says more than one line: {error}") from error
            return "refused"
        except Wrong:
            raise
        except Exception as error:
            raise Wrong(f"ends in {type(error).__name__}: {error}") from error
        count = COUNTS.get(self.name)
        if count is not None and (rows := count(damaged)) is not None:
            dropped = sum(int(number) for note in data.notes for number in re.findall(r": (\d+) rows dropped", note))
            if sum(data.sizes.values()) + dropped != rows:
                raise Wrong(f"has {rows} rows; {data.sizes} are used, {dropped} are counted: {data.notes}")
        return "told" if any("rows" in note or "line" in note for note in data.notes) else "read"


def other_line(content: bytes, rng: random.Random) -> bytes:
    """JSON lines of which one has another value."""
    rows = content.split(b"\n")
    at = rng.randrange(len(rows))
    return b"\n".join([*rows[:at], reshaped(rows[at], rng), *rows[at + 1 :]])


def other_cell(content: bytes, rng: random.Random) -> bytes:
    """A csv or tsv file of which one cell has another value; its rows stay whole."""
    separator = "\t" if b"\t" in content else ","
    rows = [line.split(separator) for line in content.decode().splitlines()]
    row = rng.choice(rows)
    row[rng.randrange(len(row))] = rng.choice(CELLS)
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=separator, lineterminator="\n").writerows(rows)
    return buffer.getvalue().encode()


def other_table(content: bytes, rng: random.Random) -> bytes:
    """A parquet file with another cell, another type of a column, or other metadata of the hub and of pandas."""
    table = pq.read_table(io.BytesIO(content))
    metadata = dict(table.schema.metadata)
    number = rng.randrange(table.num_columns)
    values = table.column(number).to_pylist()
    match rng.randrange(3):
        case 0:
            metadata[b"pandas"] = reshaped(metadata[b"pandas"], rng)
        case 1:
            features = {name: {"dtype": "string", "_type": "Value"} for name in table.column_names}
            classes = {"label": {"names": ["neg", "pos"], "_type": "ClassLabel"}}
            metadata[b"huggingface"] = reshaped(json.dumps({"info": {"features": features | classes}}).encode(), rng)
        case 2:
            values[rng.randrange(len(values))] = None
            kept = rng.randrange(2)
            column = pa.array(values if kept else [None if value is None else str(value) + "x" for value in values])
            table = table.set_column(number, table.column_names[number], column)
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(metadata), buffer)
    return buffer.getvalue()


EDITS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "csv": other_cell, "tsv": other_cell, "json": reshaped, "jsonl": other_line, "parquet": other_table
}  # fmt: skip
"""What changes a value and leaves the file well-formed, by suffix."""


def separated_rows(content: bytes, separator: str) -> int | None:
    """Rows of a csv file below its header by Python's reader; None if it cannot read them or they are ragged."""
    try:
        rows = [row for row in csv.reader(io.StringIO(content.decode("utf-8-sig")), strict=True, delimiter=separator)]
    except (csv.Error, UnicodeDecodeError):
        return None
    full = [row for row in rows if row]
    return len(full) - 1 if len({len(row) for row in full}) == 1 else None


def json_rows(content: bytes) -> int:
    """Lines of a JSON lines file that are not blank."""
    return sum(line.strip() != b"" for line in content.split(b"\n"))


COUNTS: dict[str, Callable[[bytes], int | None]] = {
    "data/texts.csv": partial(separated_rows, separator=","),
    "data/texts.jsonl": json_rows,
    "data/sets.jsonl": json_rows,
}
"""Another reader of the rows of a file that was read."""
