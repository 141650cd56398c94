"""Files are written whole or not at all, and never through what stands at their name or at that of a left-over."""

import os
import threading
from pathlib import Path
from typing import BinaryIO

import pytest

from seqtrain import atomic
from seqtrain.atomic import create, open_to_append, replacing


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A file that nothing may change."""
    path = tmp_path / "outside.txt"
    path.write_text("mine")
    return path


def test_replacing_follows_no_link(tmp_path: Path, outside: Path) -> None:
    path = tmp_path / "run" / "status.json"
    path.parent.mkdir()
    path.symlink_to(outside)
    path.with_name(f".status.json.{os.getpid()}").symlink_to(outside)
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new" and not path.is_symlink()
    assert outside.read_text() == "mine" and os.listdir(path.parent) == ["status.json"]


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text("old")
    with pytest.raises(OSError, match="No space left"), replacing(path) as temporary:
        temporary.write_text("ne")
        raise OSError(28, "No space left on device")
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["results.json"]


def test_what_cannot_be_created_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> BinaryIO:
        path.write_text("ne")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic, "open_new", full)
    with pytest.raises(OSError, match="No space left"):
        create(tmp_path / "config.yaml", "new")
    assert os.listdir(tmp_path) == []


def test_create_follows_no_link(tmp_path: Path, outside: Path) -> None:
    path = tmp_path / "run" / "config.yaml"
    path.parent.mkdir()
    path.with_name(f".config.yaml.{os.getpid()}-{threading.get_ident()}").symlink_to(outside)
    create(path, "seed: 0 # größer\n")
    assert path.read_bytes().decode() == "seed: 0 # größer\n" and os.listdir(path.parent) == ["config.yaml"]
    for target in (outside, tmp_path / "none"):
        link = path.with_name(f"to-{target.name}")
        link.symlink_to(target)
        with pytest.raises(FileExistsError):
            create(link, "new")
    assert outside.read_text() == "mine" and not (tmp_path / "none").exists()


def test_appending_follows_no_link(tmp_path: Path, outside: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    for text in ("one\n", "two\n"):
        with open_to_append(path) as file:
            file.write(text)
    assert path.read_text() == "one\ntwo\n"
    for target in (outside, tmp_path / "none"):
        link = tmp_path / f"to-{target.name}"
        link.symlink_to(target)
        with pytest.raises(OSError, match="symbolic links"):
            open_to_append(link)
    assert outside.read_text() == "mine" and not (tmp_path / "none").exists()
