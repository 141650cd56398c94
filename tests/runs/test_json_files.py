"""Records read from JSON: what is accepted, and what an error names."""

import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from seqtrain.errors import RunError
from seqtrain.runs.json_files import MOST_BYTES, overwrite_json, read_json, read_record, to_json, write_json
from seqtrain.runs.records import Results, Status


@dataclass(frozen=True)
class Part:
    count: int
    share: float | None = None


@dataclass(frozen=True)
class Whole:
    name: str
    parts: list[Part]
    scores: dict[str, list[float]] = field(default_factory=dict)
    flag: bool = False
    anything: Any = None


def read(tmp_path: Path, text: str) -> Whole:
    (tmp_path / "whole.json").write_text(text)
    return read_record(Whole, tmp_path / "whole.json")


def test_overwritten_in_place(tmp_path: Path) -> None:
    """Shorter and longer than before; verified like any other."""
    path = tmp_path / "whole.json"
    write_json(path, {"state": "running", "error": None})
    inode = path.stat().st_ino
    for state in ("no", "failed" * 20, "interrupted"):
        overwrite_json(path, {"state": state})
        assert read_json(path) == {"state": state} and path.stat().st_ino == inode
    path.write_bytes(path.read_bytes().replace(b"interrupted", b"interrupt3d"))
    with pytest.raises(RunError, match="has changed since it was written"):
        read_json(path)


def test_keys_may_be_missing_or_unknown(tmp_path: Path) -> None:
    found = read(tmp_path, '{"name": "a", "parts": [{"count": 2, "later": 1}], "scores": {"x": [1, 2.5]}, "new": {}}')
    assert found == Whole("a", [Part(2)], {"x": [1.0, 2.5]}) and type(found.scores["x"][0]) is float
    assert math.isclose(read(tmp_path, '{"name": "", "parts": [{"count": 0, "share": 0.1}]}').parts[0].share or 0, 0.1)


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999", "null"])
def test_a_number_that_is_not_finite_is_none_where_none_is_allowed(tmp_path: Path, number: str) -> None:
    assert read(tmp_path, f'{{"name": "a", "parts": [{{"count": 1, "share": {number}}}]}}').parts[0].share is None
    with pytest.raises(RunError, match=r"whole\.json: scores\.x\[1\]: expected a finite number, is (nan|-?inf|None)"):
        read(tmp_path, f'{{"name": "a", "parts": [], "scores": {{"x": [1, {number}]}}}}')


@pytest.mark.parametrize(
    "text, message",
    [
        ("[]", "expected an object, is a list"),
        ('{"name": "a"}', "'parts' is missing"),
        ('{"name": 3, "parts": []}', "name: expected text, is 3"),
        ('{"name": "a", "parts": {}}', "parts: expected a list, is an object"),
        ('{"name": "a", "parts": [{"count": 1}, {"count": true}]}', "parts[1].count: expected a whole number, is True"),
        ('{"name": "a", "parts": [{"count": 1.5}]}', "parts[0].count: expected a whole number, is 1.5"),
        ('{"name": "a", "parts": [{"count": 1%s}]}' % ("0" * 400), "parts[0].count: expected a whole number below"),
        ('{"name": "a", "parts": [], "scores": {"x": [1%s]}}' % ("0" * 400), "is a number beyond 2**63"),
        ('{"name": "a", "parts": [], "flag": "\\u001b[31m"}', "flag: expected true or false, is '\\x1b[31m'"),
        ('{"name": "a", "parts": [%s' % ("9" * 5000), "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        ("{", "is not valid JSON"),
        ("\ud800", "is not valid JSON"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_with_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "whole.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(RunError) as error:
        read_record(Whole, path)
    assert str(error.value).startswith(f"{path}: ") and message in str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < len(str(path)) + 300


def test_only_regular_files_of_a_bounded_size_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zeros").symlink_to("/dev/zero")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    for name, reason in {"pipe": "Is no regular file", "zeros": "Is no regular file", "large": "more than"}.items():
        with pytest.raises(RunError, match=f"{name}: cannot be read .*{reason}"):
            read_json(tmp_path / name)
    with pytest.raises(RunError, match="cannot be read .Is a directory"):
        read_json(tmp_path)
    with pytest.raises(RunError, match="none: cannot be read .No such file"):
        read_json(tmp_path / "none")


def test_json_knows_no_nan(tmp_path: Path) -> None:
    value = {"a": [1.5, math.nan, (math.inf, "NaN")], "b": {"c": -math.inf}}
    assert json.loads(to_json(value)) == {"a": [1.5, None, [None, "NaN"]], "b": {"c": None}}
    write_json(tmp_path / "x.json", value)
    assert "Infinity" not in (tmp_path / "x.json").read_text() and read_json(tmp_path / "x.json")["b"] == {"c": None}


def test_texts_to_be_shown_are_escaped(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text('{"id": "a", "state": "failed", "error": "\\u001b[2J\\nx \\ud800\\u202e é"}')
    found = read_record(Status, tmp_path / "status.json", shown=True)
    assert found.error == r"\x1b[2J\nx \ud800\u202e é"


def test_results_of_every_version(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    old: dict[str, Any] = {"model": "gru", "parameters": 3, "scores": {"gru": {"test": {"loss": math.nan}}}}
    path.write_text(json.dumps(old | {"conformal": "of level 0.9", "remarks": ["conformal"]}))
    found = Results.read(path)
    assert found.scores["gru"]["test"] == {"loss": None} and found.remarks == {"conformal": "of level 0.9"}
    changes: list[tuple[dict[str, Any], str]] = [
        ({"model": "rnn"}, "those of the model, 'rnn', are missing"),
        ({"against_baselines": {"a": [1.0]}}, "two ends"),
        ({"shown": [1]}, r"shown\[0\]: expected text"),
    ]
    for change, message in changes:
        path.write_text(json.dumps(old | change))
        with pytest.raises(RunError, match=message):
            Results.read(path)
