"""Entries of the cache: built whole, verified when opened or used, built again when damaged."""

import errno
import json
import logging
import os
import random
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from seqtrain.commands.build import build_data
from seqtrain.config.root import Config
from seqtrain.data import cache, digests
from seqtrain.data.cache import cached, opened
from seqtrain.data.digests import CHUNK, CheckedArray, mapped
from seqtrain.errors import DataError
from tests.fuzzing.mutations import mutated

Compose = Callable[..., Config]
TOKENS = np.arange(3 * CHUNK // 2, dtype="<u2")  # of three chunks
OTHER = TOKENS + np.uint16(1)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEQTRAIN_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def build(directory: Path, tokens: np.ndarray = TOKENS) -> None:
    tokens.tofile(directory / "train.tokens")
    np.save(directory / "offsets.npy", np.arange(10))
    (directory / "meta.json").write_text(json.dumps({"fingerprint": "f"}))


def never(directory: Path) -> None:
    raise AssertionError("the entry is there")


def change_byte(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_an_entry_is_built_once() -> None:
    assert opened("text", "a") is None
    target = cached("text", "a", build)
    assert cached("text", "a", never) == opened("text", "a") == target
    assert sorted(path.name for path in target.iterdir()) == [
        "digests.json",
        "meta.json",
        "offsets.npy",
        "train.tokens",
    ]
    assert [path.name for path in target.parent.iterdir() if path != target] == ["a.lock"]


def cut(entry: Path) -> None:
    path = entry / "train.tokens"
    path.write_bytes(path.read_bytes()[:1000])


def put_fifo(entry: Path) -> None:
    (entry / "meta.json").unlink()
    os.mkfifo(entry / "meta.json")


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "changed": (lambda entry: change_byte(entry / "train.tokens", 2 * CHUNK + 5), "the bytes of train.tokens"),
    "zeroed": (lambda entry: (entry / "train.tokens").write_bytes(bytes(TOKENS.nbytes)), "the bytes of train.tokens"),
    "cut": (cut, "train.tokens has 1,000 bytes, not 786,432"),
    "meta": (lambda entry: (entry / "meta.json").write_text('{"fingerprint": "g"}'), "the bytes of meta.json"),
    "missing": (lambda entry: (entry / "offsets.npy").unlink(), "offsets.npy is missing"),
    "no digests": (lambda entry: (entry / "digests.json").unlink(), "has no valid digests"),
    "wrong digests": (lambda entry: (entry / "digests.json").write_text("[" * 100_000), "has no valid digests"),
    "other digests": (lambda entry: (entry / "digests.json").write_text('{"entry": "text/a"}'), "has no valid digests"),
    "a FIFO": (put_fifo, "meta.json is missing"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_entry_is_built_again(damage: str, caplog: pytest.LogCaptureFixture) -> None:
    target = cached("text", "a", build)
    does, says = DAMAGE[damage]
    does(target)
    with caplog.at_level(logging.INFO):
        assert cached("text", "a", build) == target
    assert says in caplog.text and str(target) in caplog.text and len(caplog.records) == 1
    assert caplog.records[0].levelno == (logging.INFO if damage == "no digests" else logging.WARNING)
    assert np.array_equal(np.asarray(mapped(target / "train.tokens", TOKENS.dtype)), TOKENS)
    assert cached("text", "a", never) == target


def test_an_entry_in_the_place_of_another_is_not_used() -> None:
    other = cached("text", "b", partial(build, tokens=OTHER))
    shutil.copytree(other, other.parent / "a")
    target = cached("text", "a", build)
    assert np.array_equal(np.asarray(mapped(target / "train.tokens", TOKENS.dtype)), TOKENS)


def test_an_entry_that_is_damaged_and_cannot_be_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    target = cached("text", "a", build)
    change_byte(target / "meta.json", 3)

    def refuse(path: Path, **options: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(DataError, match=r"text/a: the cache cannot be written \(Read-only file system\); set SEQTRAIN"):
        cached("text", "a", never)


def test_an_intact_entry_needs_no_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    target = cached("text", "a", build)
    monkeypatch.setattr(cache, "locked", never)
    assert cached("text", "a", never) == target


def test_an_entry_that_may_not_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    target = cached("text", "a", build)

    def refuse(path: Path) -> list[int]:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(digests, "chunk_digests", refuse)
    with pytest.raises(DataError, match=r"\.npy|\.json: the cache cannot be read \(Permission denied\); set SEQTRAIN"):
        cached("text", "a", never)
    assert target.is_dir()


def failing(directory: Path, number: int, name: str | None) -> None:
    error = OSError(number, os.strerror(number)) if number else OSError("40 requested and 10 written")
    if name is not None:
        error.filename = str(directory / "train.tokens") if name == "own" else name
    raise error


@pytest.mark.parametrize(
    ("number", "name", "says"),
    [
        (errno.EIO, "/data/train.csv", r"^/data/train\.csv: cannot be prepared \(Input/output error\)"),
        (errno.EACCES, "/data/a", r"^/data/a: cannot be prepared \(Permission denied\)"),
        (errno.EIO, None, r"text/a: cannot be prepared \(Input/output error\)"),
        (errno.EIO, "own", r"text/a: the cache cannot be written \(Input/output error\)"),
        (errno.ENOSPC, None, r"text/a: the cache cannot be written \(No space left on device\)"),
        (0, None, r"text/a: cannot be prepared \(40 requested and 10 written\); .* whether the cache has room"),
    ],
)
def test_whose_an_error_is(own_cache: Path, number: int, name: str | None, says: str) -> None:
    with pytest.raises(DataError, match=says):
        cached("text", "a", partial(failing, number=number, name=name))
    assert [path.name for path in (own_cache / "text").iterdir()] == ["a.lock"]


def test_what_a_killed_process_left_is_removed(own_cache: Path) -> None:
    (own_cache / "text" / ".a-killed").mkdir(parents=True)
    (own_cache / "text" / ".b-killed").mkdir()
    cached("text", "a", build)
    assert sorted(path.name for path in (own_cache / "text").iterdir()) == [".b-killed", "a", "a.lock"]


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> Path:
    """An entry with an array that is verified by chunk."""
    monkeypatch.setattr(digests, "LARGE", CHUNK)
    return cached("text", "a", build)


def test_a_large_array_is_verified_where_it_is_read(large: Path) -> None:
    change_byte(large / "train.tokens", 2 * CHUNK + 5)
    assert cached("text", "a", never) == large  # not read yet
    tokens = mapped(large / "train.tokens", TOKENS.dtype)
    assert isinstance(tokens, CheckedArray) and len(tokens) == len(TOKENS) and tokens.dtype == TOKENS.dtype
    rows = np.array([[0, 1], [CHUNK // 2, CHUNK - 1]])
    assert np.array_equal(tokens[rows], TOKENS[rows])
    assert tokens.chunks.intact.tolist() == [True, True, False]
    assert np.array_equal(tokens[10 : CHUNK - 10], TOKENS[10 : CHUNK - 10]) and len(tokens[5:5]) == 0
    for use in (lambda: tokens[np.array([0, CHUNK])], lambda: tokens[-1:], lambda: np.asarray(tokens)):
        with pytest.raises(DataError, match=r"train\.tokens: is damaged between bytes 524,288 and .*; start again"):
            use()
    assert cached("text", "a", build) == large
    assert np.array_equal(np.asarray(mapped(large / "train.tokens", TOKENS.dtype)), TOKENS)


def test_a_large_array_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "LARGE", CHUNK)
    target = cached("text", "a", lambda directory: np.save(directory / "rows.npy", TOKENS))
    rows = mapped(target / "rows.npy")
    assert np.array_equal(list(rows), TOKENS) and isinstance(rows, CheckedArray)
    last_of_first = (CHUNK - 128) // 2 - 1  # after the header
    assert rows.chunk_of(np.array([0, last_of_first, last_of_first + 1])).tolist() == [0, 0, 1]
    change_byte(target / "rows.npy", 3)
    with pytest.raises(DataError, match=r"rows\.npy: is damaged between bytes 0 and"):
        mapped(target / "rows.npy")
    (target / "rows.npy").write_bytes(b"")
    with pytest.raises(AssertionError):  # the size is compared when it is opened
        cached("text", "a", never)


def test_a_large_array_that_cannot_be_marked(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_byte(large / "train.tokens", 5)

    def refuse(path: Path, missing_ok: bool) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(DataError, match=r"is damaged .*Read-only file system\); set SEQTRAIN_CACHE_DIR"):
        mapped(large / "train.tokens", TOKENS.dtype)


@pytest.mark.parametrize("limit", [digests.LARGE, 64], ids=["at opening", "by chunk"])
@pytest.mark.parametrize("kind", ["texts", "corpus"])
def test_no_damage_changes_the_data(
    small: Compose, composed: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, limit: int
) -> None:
    """Whatever happens to the files of an entry, the batches stay the same, or one line says what is wrong."""
    monkeypatch.setattr(digests, "LARGE", limit)
    text = tmp_path / "text.txt"
    text.write_text("".join(f"word {i % 50} and more words\n" for i in range(400)))
    options = ("data=text_corpus", f"data.path={text}", "data.bptt_len=4", "data.batch_size=2", "data.tokenizer=word")
    config = small() if kind == "texts" else composed(*options)

    def contents() -> list[list[int]]:
        data = build_data(config)
        batches = (batch for split in data.sizes for batch in data.eval_batches(split))
        return [[*batch.inputs.flatten().tolist(), *batch.targets.flatten().tolist()] for batch in batches]

    whole = contents()
    (entry,) = (tmp_path / "cache" / ("text" if kind == "texts" else "corpus")).glob("*/meta.json")
    names = sorted(path.name for path in entry.parent.iterdir())
    stopped = 0
    for seed in range(20):
        rng = random.Random(seed)
        path = entry.parent / rng.choice(names)
        path.write_bytes(mutated(path.read_bytes(), rng, rng.choice([1, 1, 4])))
        try:
            assert contents() == whole, (seed, path.name)
        except DataError as error:
            stopped += 1
            assert "start again" in str(error) and "\n" not in str(error)
            assert contents() == whole
    assert stopped == 0 or limit == 64
