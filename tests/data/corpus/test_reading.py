import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from seqtrain.config.corpus import CorpusConfig
from seqtrain.data.corpus import reading as corpus_reading
from seqtrain.data.corpus.reading import read_files
from seqtrain.data.corpus.stream import Chunk
from seqtrain.errors import DataError

TEXT = (
    "\ufeffFirst line\r\nÜber die Straße 🙂🙂\n\n\n  a line that is longer than any block\r\n\rodd \r\n"
    "漢字かな漢字かな漢字\nend"
)
PLAIN = TEXT.removeprefix("\ufeff").replace("\r\n", "\n")


def read(path: Path, **options: object) -> list[Chunk]:
    chunks = list(read_files([path], CorpusConfig(**options)))  # type: ignore[arg-type]
    assert all(chunk.text for chunk in chunks)
    return chunks


def documents(chunks: list[Chunk]) -> list[str]:
    joined: list[str] = []
    for chunk in chunks:
        if chunk.starts_document:
            joined.append("")
        joined[-1] += chunk.text
    return joined


@pytest.mark.parametrize("block", [1, 2, 3, 7, 16, 1 << 20])
def test_blocks_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(corpus_reading, "BLOCK", block)
    path = tmp_path / "a.txt"
    path.write_bytes(TEXT.encode())
    chunks = read(path)
    assert documents(chunks) == [PLAIN]
    if block >= 7:
        assert [word for chunk in chunks for word in chunk.text.split()][:4] == ["First", "line", "Über", "die"]
    assert len(chunks) == 2 if block > len(TEXT) else len(chunks) > 4


def test_chunks_end_at_lines_and_else_before_a_blank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_reading, "BLOCK", 8)
    path = tmp_path / "a"
    path.write_text("ab\ncd\nefghij klm nop qr\nst")
    assert [chunk.text for chunk in read(path)] == ["ab\ncd\n", "efghij", " klm nop qr\n", "st"]


@pytest.mark.parametrize(("block", "offset"), [(7, 0), (7, 60), (7, 61), (1 << 20, 60), (16, 15)])
def test_an_undecodable_byte_is_named_by_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, offset: int
) -> None:
    monkeypatch.setattr(corpus_reading, "BLOCK", block)
    path = tmp_path / "latin.txt"
    path.write_bytes(b"x" * offset + b"\xfcber\n" * 9)
    with pytest.raises(DataError, match=rf"latin\.txt: byte {offset} is not UTF-8.*convert the file to UTF-8"):
        read(path)
    path.write_bytes("漢".encode() * offset + "字".encode()[:2])
    with pytest.raises(DataError, match=rf"byte {3 * offset} is not UTF-8 \(unexpected end"):
        read(path)


def write_jsonl(path: Path, rows: list[str | None]) -> None:
    path.write_text("\n".join(json.dumps({"text": row, "n": 1}) for row in rows))


def write_parquet(path: Path, rows: list[str | None]) -> None:
    parquet.write_table(pa.table({"n": range(len(rows)), "text": rows}), path, row_group_size=2)


@pytest.mark.parametrize(("name", "write"), [("a.jsonl", write_jsonl), ("a.parquet", write_parquet)])
def test_rows_are_documents_or_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, write: Callable[[Path, list[str | None]], None]
) -> None:
    monkeypatch.setattr(corpus_reading, "ROWS", 3)
    rows = ["one\ntwo", "", "漢字\n", None, " = three = \n", "four\n\n", "five"]
    write(tmp_path / name, rows)
    assert documents(read(tmp_path / name)) == [row for row in rows if row]
    lines = documents(read(tmp_path / name, rows_are_lines=True))
    assert lines == ["one\ntwo\n\n漢字\n = three = \nfour\n\nfive\n"]
    with pytest.raises(DataError, match=r"has no column 'body' \(data.text_column\); its columns: .*text"):
        read(tmp_path / name, text_column="body")
    with pytest.raises(DataError, match=r"'n' \(data.text_column\) holds a value that is not text"):
        read(tmp_path / name, text_column="n")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "a"}\n{"text": \n', "line 2 is not valid JSON"),
        ("a.jsonl", b'{"text": "a"}\n["text"]\n', "line 2 is not a JSON object"),
        ("a.jsonl", b'{"text": "a"}\n{"text": "\xff"}\n', "line 2 is not UTF-8"),
        ("a.jsonl", b'{"text": "\\ud800"}\n', "line 1 holds half of a surrogate pair"),
        ("a.parquet", b"no parquet", "Parquet"),
    ],
)
def test_damaged_rows_are_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}: {message}"):
        read(tmp_path / name)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.txt: no such file"):
        read(tmp_path / "a.txt")
