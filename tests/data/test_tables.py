import csv
import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from seqtrain.data.tables import read_table, text_lines
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
    for suffix in ("csv", "tsv", "jsonl", "parquet"):
        assert read_table(tmp_path / f"a.{suffix}").to_pylist() == ROWS, suffix


def test_empty_fields_are_null_and_numbers_stay_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text,n\n,007\n"NA",\n')
    assert read_table(tmp_path / "a.csv").to_pylist() == [{"text": None, "n": "007"}, {"text": "NA", "n": None}]


def test_a_header_alone_is_a_table_without_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\n")
    table = read_table(tmp_path / "a.csv")
    assert table.num_rows == 0 and table.column_names == ["text", "label"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "the file is empty"),
        ("a.csv", b"text,label\nok,1\nna\xefve,2\n", "line 3 is not UTF-8"),
        ("a.txt", b"ok\n\xff\n", "line 2 is not UTF-8"),
        ("a.csv", b"text,label\nok,1\na,b,c\n", "Row #3: Expected 2 columns, got 3"),
        ("a.jsonl", b'{"text": "a"}\n{"text": \n', "line 2 is not valid JSON"),
        ("a.parquet", b"no parquet", "Parquet"),
        ("a.jsonl", b'{"text": "na\xefve"}\n', "line 1 is not UTF-8"),
        ("a.jsonl", b'["a"]\n', "is not a JSON object"),
        ("a.csv", b"text,text\na,b\n", "two columns have the same name"),
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
    rows = [{"d": "2020-01-01", "n": 1, "m": 1}, {"d": "x", "n": None, "m": "a", "o": {"k": [1]}}]
    (tmp_path / "a.jsonl").write_text("\n\n".join(json.dumps(row) for row in rows))
    assert read_table(tmp_path / "a.jsonl").to_pylist() == [
        {"d": "2020-01-01", "n": 1, "m": "1", "o": None},
        {"d": "x", "n": None, "m": '"a"', "o": {"k": [1]}},
    ]


def test_only_line_feeds_end_a_line() -> None:
    assert text_lines("a\u2028b\x0bc\r\n\nd\n".encode()) == ["a\u2028b\x0bc", "", "d"]
    assert text_lines(b"") == [] and text_lines(b"\xef\xbb\xbfa") == ["a"]
