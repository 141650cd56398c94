"""Libraries on disk: one that another user could have written is not loaded, and what killed compilers left goes."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from seqtrain.kernels import stored

LIBRARY = b"code"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of libraries, which does not exist yet."""
    monkeypatch.setenv("SEQTRAIN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    stored.warn_once.cache_clear()
    yield tmp_path / "cache/kernels"
    stored.warn_once.cache_clear()


def make() -> Path:
    """A library, compiled and kept."""
    workshop = stored.Workshop()
    (workshop.path / "out.so").write_bytes(LIBRARY)
    assert workshop.home is not None
    kept = stored.keep(workshop.path / "out.so", workshop.home, "unit-1")
    workshop.close()
    return kept


def test_what_is_kept_is_found(folder: Path) -> None:
    assert stored.find("unit-1") is None and not folder.exists()
    kept = make()
    assert kept.parent == folder and kept.read_bytes() == LIBRARY and os.listdir(folder) == [kept.name]
    assert stored.find("unit-1") == kept and stored.find("unit-2") is None
    kept.write_bytes(b"cod")
    assert stored.find("unit-1") is None and os.listdir(folder) == []


def test_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0)
    try:
        kept = make()
        assert stored.find("unit-1") == kept
    finally:
        os.umask(before)


def owned(monkeypatch: pytest.MonkeyPatch, path: Path, owner: int) -> None:
    """Let a file belong to a user, as far as Python tells."""
    real = Path.lstat

    def lstat(self: Path) -> Any:
        state = real(self)
        return SimpleNamespace(st_mode=state.st_mode, st_uid=owner, st_gid=0) if self == path else state

    monkeypatch.setattr(Path, "lstat", lstat)


def test_what_another_user_owns_is_not_loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = make()
    for path in (kept, folder, folder.parent):
        for owner, found in {os.getuid(): kept, 0: kept, os.getuid() + 4321: None}.items():
            with monkeypatch.context() as patch:
                owned(patch, path, owner)
                assert stored.find("unit-1") == found, (path, owner)


@pytest.mark.parametrize("mode", [0o777, 0o757])
def test_what_others_can_write_is_not_loaded(folder: Path, mode: int) -> None:
    kept = make()
    for path in (kept, folder, folder.parent, folder.parent.parent):
        before = path.stat().st_mode
        path.chmod(mode)
        assert stored.find("unit-1") is None, path
        path.chmod(before)
        assert stored.find("unit-1") == kept


def test_a_group_of_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group that this user shares is others; the group that many systems give each user is not."""
    kept = make()
    for path in (kept, folder, folder.parent):
        before = path.stat().st_mode
        path.chmod(0o775)
        for private, found in ((True, kept), (False, None)):
            monkeypatch.setattr(stored, "is_private", lambda _, private=private: private)
            assert stored.find("unit-1") == found
        path.chmod(before)


def test_the_home_serves_where_the_cache_is_open_to_all(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    with caplog.at_level(logging.WARNING):
        kept = make()
        assert stored.find("unit-1") == kept == Path.home() / ".cache/seqtrain/kernels" / kept.name
    assert os.listdir(folder) == []
    (record,) = caplog.records
    assert f"{folder}: other users can write to it" in record.message and "chmod go-w" in record.message


def test_the_home_is_closed_to_others(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the cache is the one in the home, an umask may have opened it; nothing that is in it then is loaded."""
    monkeypatch.delenv("SEQTRAIN_CACHE_DIR")
    home = tmp_path / "home/.cache/seqtrain"
    (home / "kernels").mkdir(parents=True)
    kept = make()
    for path in (home, home / "kernels"):
        path.chmod(0o777)
    kept.chmod(0o777)
    assert stored.find("unit-1") is None
    assert [path.stat().st_mode & 0o777 for path in (home, home / "kernels")] == [0o755, 0o755]
    assert stored.find("unit-1") is None
    assert make() == kept and stored.find("unit-1") == kept


def test_a_link_is_not_loaded(folder: Path) -> None:
    kept = make()
    kept.rename(folder.parent / "elsewhere.so")
    kept.symlink_to(folder.parent / "elsewhere.so")
    assert stored.find("unit-1") is None


def test_what_a_killed_process_left_goes(folder: Path) -> None:
    code = "from seqtrain.kernels.stored import Workshop; own = Workshop(); print(own.path, flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    left = Path(process.stdout.readline().strip())
    long_ago = time.time() - 2 * stored.YOUNG
    os.utime(left, (long_ago, long_ago))
    stored.find("unit-1")
    assert left.is_dir(), "its process lives"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    os.utime(left)
    stored.find("unit-1")
    assert left.is_dir(), "too young to tell"
    os.utime(left, (long_ago, long_ago))
    stored.find("unit-1")
    assert not left.exists()
