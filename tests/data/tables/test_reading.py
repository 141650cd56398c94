import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from seqtrain.data.tables.files import split_lines
from seqtrain.data.tables.reading import read_table
from seqtrain.errors import DataError

ROWS = [
    {"text": 'a "quoted", text\nof two lines', "label": "1"},
    {"text": "naïve ☃", "label": "02"},
    {"text": "x" * 300_000, "label": "3"},
]


def test_every_type_gives_the_same_rows(tmp_path: Path) -> None:
    for name, delimiter in (("a.csv", ","), ("a.tsv", "\t")):
        with (tmp_path / name).open("w", newline="") as file:
            writer = csv.DictWriter(file, ["text", "label"], delimiter=delimiter)
            writer.writeheader()
            writer.writerows(ROWS)
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in ROWS))
    parquet.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    (tmp_path / "a.json").write_text(json.dumps(ROWS, indent=1))
    for suffix in ("csv", "tsv", "jsonl", "parquet", "json"):
        content = (tmp_path / f"a.{suffix}").read_bytes()
        (tmp_path / f"B.{suffix.upper()}").write_bytes(content)
        (tmp_path / f"c.{suffix}.gz").write_bytes(gzip.compress(content))
        for name in (f"a.{suffix}", f"B.{suffix.upper()}", *([f"c.{suffix}.gz"] if suffix != "parquet" else [])):
            assert read_table(tmp_path / name).columns.to_pylist() == ROWS, name


def test_empty_fields_are_null_and_numbers_stay_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text,n\n,007\n"NA",\n')
    assert read_table(tmp_path / "a.csv").columns.to_pylist() == [{"text": None, "n": "007"}, {"text": "NA", "n": None}]


def test_a_header_alone_is_a_table_without_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\n")
    table = read_table(tmp_path / "a.csv")
    assert len(table) == 0 and table.names == ["text", "label"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "the file is empty"),
        ("a.csv", b"text,label\nok,1\nna\xefve,2\n", "line 3 is not UTF-8"),
        ("a.txt", b"ok\n\xff\n", "line 2 is not UTF-8"),
        ("a.csv", b"text,label\nok,1\na,b,c\n", "line 3 has 3 fields, but the first line has 2"),
        ("a.jsonl", b'{"text": "a"}\n{"text": \n', "line 2 is not valid JSON"),
        ("a.parquet", b"no parquet", "Parquet"),
        ("a.jsonl", b'{"text": "na\xefve"}\n', "line 1 is not UTF-8"),
        ("a.jsonl", b'["a"]\n', "is not a JSON object"),
        ("a.csv", b"text,text\na,b\n", "2 columns have the same name 'text'"),
        ("a.jsonl", b'{"text": "a", "text": "b"}\n', "line 1 is not valid JSON .key 'text' occurs twice"),
        ("a.jsonl", b'{"a": 1}\n\n{"text": "\\ud83d"}\n', "line 3 holds half of a surrogate pair"),
        ("a.jsonl", b"[" * 100_000 + b"\n", "line 1 is not valid JSON"),
        ("a.json", b'[{"a": 1}, 2]', "row 2 is not a JSON object"),
        ("a.json", b'[{"a": 1},', "is not valid JSON"),
        ("a.csv.gz", b"text,label\n", "cannot be read"),
        ("a.csv.gz", gzip.compress(b"text,label\na,b\n" * 99, mtime=0)[:40], "cannot be read"),
        ("a.csv", "text\n\u00e9".encode("utf-16"), "line 1 is UTF-16"),
        ("a.csv", b"\n\n", "blank lines only"),
        ("a.xlsx", b"x", "files of type .xlsx are not read"),
    ],
)
def test_damage_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        read_table(tmp_path / name)
    assert str(tmp_path / name) in str(error.value) and "\n" not in str(error.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_table(tmp_path / "a.csv")


def test_a_damaged_parquet_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"text": [f"some text {i}" for i in range(5000)]}), path)
    content = bytearray(path.read_bytes())
    content[100:200] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.parquet: "):
        read_table(path)


def test_json_values_are_kept_as_they_are(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"d": "2020-01-01", "n": 1, "m": 1, "f": 1, "l": ["a"]},
        {"d": "x", "n": None, "m": "a\u00e9", "o": {"k": [1]}, "f": 2.5, "l": None},
        {"d": "y", "n": 2, "m": True, "f": 3.0, "l": ["b", "c"]},
        {"d": "z", "n": 2, "m": ["a", 1], "f": 10**30, "l": []},
    ]
    (tmp_path / "a.jsonl").write_text("\n\n".join(json.dumps(row) for row in rows))
    table = read_table(tmp_path / "a.jsonl")
    for name in table.names:
        expected = [row.get(name) for row in rows]
        assert repr(table.values(name)) == repr(expected), name  # True, 1 and 1.0 are equal, but not the same
    assert table.place(2) == f"{tmp_path}/a.jsonl: line 5"


def test_named_levels_of_an_index_are_columns(tmp_path: Path) -> None:
    import pandas as pd

    index = pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["unique_id", "ds"])
    pd.DataFrame({"y": [1.0, 2.0, 3.0, 4.0]}, index=index).to_parquet(tmp_path / "a.parquet")
    table = read_table(tmp_path / "a.parquet")
    assert table.names == ["y", "unique_id", "ds"] and table.values("unique_id") == ["a", "a", "b", "b"]
    assert table.place(1) == f"{tmp_path}/a.parquet: row 2"


def test_only_line_feeds_end_a_line() -> None:
    assert split_lines("a\u2028b\x0bc\r\n\nd\n") == ["a\u2028b\x0bc", "", "d"]
    assert split_lines("") == []
