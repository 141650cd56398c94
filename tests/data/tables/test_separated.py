"""The rules of csv and tsv: quotes, blank lines, fields, and the line of each row and fault."""

import re
from pathlib import Path

import pytest

from seqtrain.config.tables import Quoting, TableConfig
from seqtrain.data.tables.files import BOM
from seqtrain.data.tables.layout import regular_rows
from seqtrain.data.tables.reading import read_table
from seqtrain.data.tables.records import Dialect, Findings, records
from seqtrain.data.tables.table import Table
from seqtrain.errors import ConfigError, DataError


def read(path: Path, content: str, **options: object) -> Table:
    path.write_bytes(content.encode())
    return read_table(path, TableConfig(**options))  # type: ignore[arg-type]


def rows(table: Table) -> list[tuple[str | None, ...]]:
    return list(zip(*(table.values(name) for name in table.names), strict=True))


@pytest.mark.parametrize(
    ("content", "expected", "note"),
    [
        # A quote that is never closed is a character, whatever follows it.
        (
            't\tl\n"great\tpos\nbad\tneg\nok\tpos\n',
            [('"great', "pos"), ("bad", "neg"), ("ok", "pos")],
            "fields that begin .*: 1 .first: line",
        ),
        (
            't\tl\n"a\tp\nb\tn\n"c\tp\nd\tn\n',
            [('"a', "p"), ("b", "n"), ('"c', "p"), ("d", "n")],
            "fields that begin .*: 2 ",
        ),
        ('t\tl\n"a\tp\nb" c\tn\n', [('"a', "p"), ('b" c', "n")], "fields that begin .*: 1 .first: line"),
        ('l\tt\np\t"a\nn\tb"\n', [("p", '"a'), ("n", 'b"')], "fields that begin .*: 1 .first: line"),
        # Fields in proper quotes are read as one, also with tabs, quotes and line ends in them.
        ('t\tl\n"a ""b"" c"\tp\n"d\te"\tn\n', [('a "b" c', "p"), ("d\te", "n")], None),
        (
            't\tl\n"a\nb"\tp\nc\tn\n',
            [("a\nb", "p"), ("c", "n")],
            "quoted fields of more than one line: 1 .first: line 2",
        ),
        ('l\tt\np\t"a\nb"\n', [("p", "a\nb")], "quoted fields of more than one line: 1 "),
        ('t\tl\n"a" b\tp\n5" pipe\tn\n', [('"a" b', "p"), ('5" pipe', "n")], "fields that begin .*: 1 .first: line"),
    ],
)
def test_quotes_of_tsv(tmp_path: Path, content: str, expected: list[tuple[str, str]], note: str | None) -> None:
    for ends in (content, content.replace("\n", "\r\n").replace("a\r\nb", "a\nb"), content.removesuffix("\n")):
        table = read(tmp_path / "a.tsv", ends)
        assert rows(table) == expected
        assert [bool(re.search(note, line)) for line in table.notes] == [True] if note else table.notes == []


@pytest.mark.parametrize(
    ("content", "expected", "note"),
    [
        ('t,l\n"a, ""b""\nc",p\n', [('a, "b"\nc', "p")], "quoted fields of more than one line: 1 .first: line 2"),
        (
            't,l\n"a" b,p\nx,y\n',
            [("a b", "p"), ("x", "y")],
            "quoted fields with text after the closing quote; it is kept: 1 ",
        ),
        ('t,l\n5" pipe,p\n', [('5" pipe', "p")], None),
        ('t,l\n"",p\n,q\n', [(None, "p"), (None, "q")], None),
        ('"t","l"\n\n"a",p\n \nb,q\n\n', [("a", "p"), ("b", "q")], None),
        ("t,l,\na,p,\nb,q,\n", [("a", "p"), ("b", "q")], "columns without a name .*: 1$"),
        ("t,l\na,p,\nb,q,\n", [("a", "p"), ("b", "q")], "rows that end in a separator more .*: 2 .first: line 2"),
        ("t,l\na\rb,p\n", [("a\rb", "p")], None),
        ("t,l\ra,p\rb,q\r", [("a", "p"), ("b", "q")], None),
        ("t\n\na\n\n\nb\n", [(None,), ("a",), (None,), (None,), ("b",)], None),
    ],
)
def test_fields_and_blank_lines_of_csv(
    tmp_path: Path, content: str, expected: list[tuple[str, str]], note: str | None
) -> None:
    for start in ("", BOM.decode()):
        table = read(tmp_path / "a.csv", start + content)
        assert rows(table) == expected
        assert [bool(re.search(note, line)) for line in table.notes] == [True] if note else table.notes == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", 't,l\na,p\n"b,q\nc,p\n', r"line 3: the double quote before 'b,q' is never closed; close it"),
        ("a.csv", 't,l\n"b,q\nc,p\nd"e,q\n', "line 2: the double quote .* closes on line 4, where text follows it"),
        ("a.csv", "t,l\na,p\n\nb\n", "line 4 has 1 fields, but the first line has 2"),
        ("a.csv", "t;l\na, b;p\nc;q\n", "separated by a semicolon: set data.separator=semicolon"),
        ("a.tsv", "t,l\na,p\nc,q\tr\n", "line 3 has 2 fields.* separated by a comma: set data.separator=comma"),
        ("a.csv", "# made by us\nt,l\na,p\n", "line 1 begins with '#': if it is a comment, remove it"),
    ],
)
def test_faults_name_the_line_and_the_remedy(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path / name, content)


def test_a_wrong_separator_is_guessed_when_a_column_is_missing(tmp_path: Path) -> None:
    table = read(tmp_path / "a.csv", "text;label\na;p\n")
    with pytest.raises(DataError, match="no column 'text' .data.text_column.*; its fields .*data.separator=semicolon"):
        table.column("text", "data.text_column")
    with pytest.raises(DataError, match="its columns: a film, pos; if its first line is a row, set data.header=false"):
        read(tmp_path / "a.csv", "a film,pos\nb,neg\n").column("text", "data.text_column")


def test_options(tmp_path: Path) -> None:
    content = 'a;"b\nc;d\n'
    table = read(tmp_path / "a.csv", content, separator=";", quoting=Quoting.none, header=False)
    assert table.names == ["0", "1"] and rows(table) == [("a", '"b'), ("c", "d")] and table.place(1).endswith("line 2")
    assert rows(read(tmp_path / "a.csv", "x|y\n1|2\n", separator="pipe")) == [("1", "2")]
    for separator in ("", ";;", '"', "\u00a7"):
        with pytest.raises(ConfigError, match=r"data\.separator=.*must be null, comma"):
            TableConfig(separator=separator).check("data")


@pytest.mark.parametrize("header", [True, False])
def test_lines_of_rows(tmp_path: Path, header: bool) -> None:
    content = 't,l\n\n"a\n\nb",p\r\n\r\nc,q'
    for text in (content, content + '\n"d" ,r\n'):  # the second one is not read by pyarrow
        table = read(tmp_path / "a.csv", text, header=header)
        assert table.lines is not None
        assert table.lines.tolist()[-2 - ("d" in text) :] == [3, 7, 8][: 2 + ("d" in text)]
        assert len(table.lines) == len(table)


def test_both_readers_agree_where_both_may_read(tmp_path: Path) -> None:
    content = 't,l\n"a ""b"", c",p\n,\n"",x\n"d\ne",""\nf,g'
    path = tmp_path / "a.csv"
    assert regular_rows(content.encode(), Dialect(path, ",", quoted=True, tabs=False)) is not None
    slow = [fields for _, fields in records(content, Dialect(path, ",", quoted=True, tabs=False), Findings())]
    assert [[value or "" for value in row] for row in rows(read(path, content))] == slow[1:]
