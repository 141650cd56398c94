"""Paths as users write them: an unknown user, a name that is not UTF-8, and what is no file."""

import io
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seqtrain.data.locate import own_path
from seqtrain.data.tables.files import read_bytes
from seqtrain.data.tables.reading import read_table
from seqtrain.data.text.columns import from_folders
from seqtrain.errors import ConfigError, DataError, RunError
from seqtrain.models.pretrained import check_vectors
from seqtrain.paths import expanded, is_utf8, not_a_file, read_input
from seqtrain.runs.directory import RunDirectory

NOBODY = "~nosuchuser/x"
BYTES = os.fsdecode(b"caf\xe9")
ROOT = Path(__file__).parents[1]


def test_a_user_without_folder_is_named() -> None:
    assert expanded("~/x") == Path.home() / "x" and expanded("a/~x") == Path("a/~x")
    with pytest.raises(ConfigError, match="^output=~nosuchuser/x: ~nosuchuser is no user with a folder; write"):
        expanded(NOBODY, "output")
    with pytest.raises(ConfigError, match="^~nosuchuser/x: ~nosuchuser is no user"):
        expanded(NOBODY)


def test_all_paths_are_expanded_in_one_place() -> None:
    files = [path for folder in ("seqtrain", "hydra_plugins", "examples") for path in (ROOT / folder).rglob("*.py")]
    assert [path.name for path in files if ".expanduser()" in path.read_text()] == ["paths.py"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["data=text_files", f'data.path="{NOBODY}"'], f"data.path={NOBODY}: ~nosuchuser is no user"),
        (["eval", f"run={NOBODY}"], f"run={NOBODY}: ~nosuchuser"),
        (["compare", NOBODY], f"{NOBODY}: ~nosuchuser"),
        (["sweep", NOBODY], f"{NOBODY}: ~nosuchuser"),
        ([f"sweep.resume={NOBODY}"], f"sweep.resume={NOBODY}: ~nosuchuser"),
        (["data=text_files", "data.path=/dev/zero"], "data.path=/dev/zero: is a device, not a file"),
        (["data=text_files", f'data.path="{BYTES}.csv"'], "must be UTF-8"),
        (["data=adding", f'hydra.run.dir="{BYTES}"'], "the path of a run must be UTF-8"),
    ],
)
def test_from_the_shell(
    tmp_path: Path, run_in: Callable, fails: Callable[..., None], arguments: list[str], says: str
) -> None:
    fails(run_in(tmp_path)(*arguments), says)


@pytest.fixture
def special(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Path]]:
    """A path of each kind that is no file."""
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        names = {kind: tmp_path / kind for kind in ("pipe", "socket")}
        yield names | {"device": Path("/dev/zero"), "folder": tmp_path}


@pytest.mark.parametrize("kind", ["device", "pipe", "socket", "folder"])
def test_what_is_no_file_is_named_before_it_is_read(
    special: dict[str, Path], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = special[kind]
    says = f"is a {kind}, not a file"
    assert not_a_file(path) == says and not_a_file(ROOT / "README.md") is None
    assert not_a_file(path / "none") in ("no such file", "cannot be read (Not a directory)")
    monkeypatch.setattr(Path, "open", None)
    for read in (
        lambda: read_input(str(path), "prompt_file", 10),
        lambda: read_table(path),
        lambda: read_bytes(path),
        lambda: check_vectors(str(path), 3),
    ):
        with pytest.raises((ConfigError, DataError), match=says):
            read()
    if kind != "folder":
        with pytest.raises(DataError, match=says):
            own_path(Source(str(path)), "a file")


class Source:
    """Options of a dataset."""

    name = "files"

    def __init__(self, path: str):
        self.path: str | None = path


def test_inherited_pipes_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As of ``<(command)`` and /dev/stdin; also longer than a pipe holds at a time."""
    reading, writing = os.pipe()
    os.write(writing, b"the cat")
    os.close(writing)
    assert read_input(f"/dev/fd/{reading}", "prompt_file", 7) == b"the cat"
    os.close(reading)
    (tmp_path / "prompt.txt").write_bytes(b"a prompt")
    assert read_input(str(tmp_path / "prompt.txt"), "prompt_file", 8) == b"a prompt"
    with pytest.raises(ConfigError, match=r"prompt_file=.*: is longer than 7 bytes"):
        read_input(str(tmp_path / "prompt.txt"), "prompt_file", 7)
    with open("/dev/zero", "rb") as zero:
        stdin = io.TextIOWrapper(zero)
        monkeypatch.setattr(sys, "stdin", stdin)
        for text in (f"/dev/fd/{zero.fileno()}", "-"):
            with pytest.raises(ConfigError, match="is a device, not a file|is longer than 1,000 bytes"):
                read_input(text, "prompt_file", 1000)
        monkeypatch.setattr(sys, "stdin", None)
        with pytest.raises(ConfigError, match="prompt_file=-: stdin is closed"):
            read_input("-", "prompt_file", 1000)
        stdin.detach()


def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    assert is_utf8("café") and not is_utf8(BYTES)
    with pytest.raises(RunError, match=r"caf\\udce9': the path of a run must be UTF-8"):
        RunDirectory.claim(tmp_path / BYTES, exact=True)
    assert not list(tmp_path.iterdir())
    (tmp_path / BYTES).mkdir()
    (tmp_path / BYTES / "1.txt").write_text("a text")
    with pytest.raises(DataError, match=r"the name of the folder 'caf\\udce9' is not UTF-8"):
        from_folders([tmp_path / BYTES / "1.txt"])
