"""Compilation of the kernels on first use, and what happens if it fails."""

import hashlib
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from seqtrain.errors import ConfigError
from seqtrain.kernels import compile as compiling
from seqtrain.kernels import stored
from seqtrain.kernels.binding import Cell, Weights
from seqtrain.kernels.recurrence import recurrence

TINY = 'extern "C" int answer() { return ANSWER; }\n'


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A source that compiles fast, in place of the kernels, and an empty cache."""
    source = tmp_path / "tiny.cpp"
    source.write_text(TINY)
    monkeypatch.setattr(compiling, "FOLDER", tmp_path)
    monkeypatch.setattr(compiling, "UNITS", {"tiny": ["tiny.cpp", "-DANSWER=42"], "other": ["tiny.cpp", "-DANSWER=1"]})
    monkeypatch.setenv("SEQTRAIN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    forget()
    yield source
    compiling.stop_compilers()
    forget()


def forget() -> None:
    for function in (compiling.library, compiling.build, compiling.warn_once, stored.warn_once):
        function.cache_clear()


def cached_files(tmp_path: Path, base: str = "cache") -> list[Path]:
    return list((tmp_path / base / "kernels").iterdir())


def answer(unit: str = "tiny") -> int:
    found = compiling.library(unit)
    assert found is not None
    return int(found.answer())


def test_it_is_compiled_once(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert answer() == 42
    (made,) = cached_files(tmp_path)
    forget()
    monkeypatch.setattr(compiling, "start_compiler", lambda *_: pytest.fail("compiled again"))
    assert answer() == 42
    assert cached_files(tmp_path) == [made]


def test_another_source_is_another_library(tiny: Path, tmp_path: Path) -> None:
    assert answer() == 42
    tiny.write_text(TINY.replace("ANSWER", "ANSWER + 1"))
    forget()
    assert answer() == 43
    assert len(cached_files(tmp_path)) == 2


@pytest.mark.parametrize("damage", ["cut short", "one byte", "empty"])
def test_a_damaged_library_is_compiled_again(tiny: Path, tmp_path: Path, damage: str) -> None:
    """In a process of its own: a library cut short ends a process by SIGBUS when it is loaded."""
    (tmp_path / "check.py").write_text(
        "import sys, pathlib; from seqtrain.kernels import compile as c; "
        f"c.FOLDER = pathlib.Path({str(tiny.parent)!r}); c.UNITS = {compiling.UNITS!r}; "
        "sys.exit(c.library('tiny').answer() != 42)"
    )
    assert answer() == 42
    (made,) = cached_files(tmp_path)
    content = bytearray(made.read_bytes())
    whole = bytes(content)
    content[len(content) // 2] ^= 1
    made.unlink()  # this process has it mapped
    made.write_bytes({"cut short": whole[: len(whole) // 4], "one byte": bytes(content), "empty": b""}[damage])
    assert subprocess.run([sys.executable, tmp_path / "check.py"]).returncode == 0
    (mended,) = cached_files(tmp_path)
    assert hashlib.blake2b(mended.read_bytes(), digest_size=16).hexdigest() == mended.stem.rpartition("-")[2]


def test_a_cache_that_cannot_be_written(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SEQTRAIN_CACHE_DIR", str(tmp_path / "file"))
    assert answer() == 42
    assert (tmp_path / "file").read_text() == ""
    assert len(cached_files(tmp_path, "home/.cache/seqtrain")) == 1


def test_two_processes_at_once(tiny: Path, tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from seqtrain.kernels import compile as c; "
        f"c.FOLDER = pathlib.Path({str(tiny.parent)!r}); c.UNITS = {compiling.UNITS!r}; "
        "sys.exit(c.library('tiny').answer() != 42)"
    )
    both = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert len(cached_files(tmp_path)) == 1


def test_units_are_compiled_in_the_background(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiling.start(["tiny", "other"])
    assert set(compiling.running) == {"tiny", "other"}
    compiling.start(["tiny"])  # is running already
    monkeypatch.setattr(compiling, "start_compiler", lambda *_: pytest.fail("compiled twice"))
    assert (answer("tiny"), answer("other")) == (42, 1)
    assert len(cached_files(tmp_path)) == 2 and not compiling.running
    compiling.start(["tiny", "other"])
    assert not compiling.running


def test_a_process_that_ends_leaves_no_compiler_behind(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("CXX", str(slow))
    monkeypatch.setattr(compiling, "version", lambda _: "")
    compiling.start(["tiny"])
    process = compiling.running["tiny"].process
    compiling.stop_compilers()
    assert process.poll() is not None and cached_files(tmp_path) == []


def test_a_failure_in_the_background_gives_way_to_the_next(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", f"{sys.executable} -c raise")
    compiling.start(["tiny"])
    assert answer() == 42


def test_a_compiler_that_knows_no_native_code_makes_other_code(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picky = tmp_path / "picky"
    refuse = 'case "$*" in *=native*--version*) ;; *=native*) echo "error: unknown" >&2; exit 1;; esac'
    picky.write_text(f'#!/bin/sh\n{refuse}\nexec {compiling.compilers()[0][0]} "$@"\n')
    picky.chmod(0o755)
    monkeypatch.setenv("CXX", str(picky))
    assert answer() == 42
    (made,) = cached_files(tmp_path)
    assert made.name.startswith(compiling.cached_name("tiny", [str(picky)]))


def test_a_compiler_that_fails_gives_way_to_the_next(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", f"{sys.executable} -c raise")
    assert answer() == 42


def test_an_error_is_one_line(tiny: Path) -> None:
    tiny.write_text("no C++ at all\n")
    reason = compiling.build("tiny")
    assert isinstance(reason, str) and "error" in reason and "\n" not in reason


def test_without_a_compiler_it_is_said_once(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.delenv("CXX", raising=False)
    with caplog.at_level(logging.WARNING):
        assert compiling.library("tiny") is None and compiling.library("other") is None
    assert len(caplog.records) == 1
    assert "no C++ compiler is found" in caplog.text and "torch's own" in caplog.text
    with pytest.raises(RuntimeError, match="not compiled"):
        recurrence(Cell.gru_after, torch.zeros(1, 1, 1), [Weights(torch.zeros(3, 1), torch.zeros(3, 1), None, None)])


def test_a_compiler_with_an_open_quote_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "g++ 'x")
    with pytest.raises(ConfigError, match="CXX=g[+][+] 'x: is no command .No closing quotation.; correct or unset it"):
        compiling.start(["lstm"])
