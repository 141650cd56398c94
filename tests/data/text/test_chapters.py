import inspect
import json
import random
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from seqtrain.data.text.chapters import CHAPTERS, read_docstrings
from seqtrain.errors import DataError

FILES: dict[str, str | bytes] = {
    "json/__init__.py": '"""JSON encoder and decoder."""\n',
    "json/decoder.py": '''
        """Implementation of the decoder."""
        import re
        if re:
            class Decoder:
                """Simple decoder
                    of documents.

                Second paragraph.
                """
                def decode(self):
                    """Return the Python representation."""
                    async def inner():
                        """A function inside another."""
                def silent(self):
                    "too short"
        else:
            try:
                pass
            except OSError:
                def fallback():
                    """Used if nothing else works."""
        ''',
    "os/__init__.py": '"""Interfaces of the operating system."""\n',
    "os/path.py": '"""Common operations on pathnames."""\n',
    "re/_parser.py": '"""Internal support of expressions."""\n',
    "random.py": '"""Broken module with a docstring."""\ndef (:\n',
    "heapq.py": b'"""Not UTF-8: caf\xe9 and more."""\n',
    "csv.py": '"""An invalid \\escape is harmless."""\n',
    "json/test/test_decode.py": '"""Tests of the JSON decoder."""\n',
    "site-packages/json.py": '"""Not of the standard library."""\n',
    "test/json.py": '"""Not of the standard library either."""\n',
    "turtledemo/clock.py": '"""A turtle that shows time."""\n',
    "myown.py": '"""Not of the standard library at all."""\n',
}


def write(library: Path, files: dict[str, str | bytes]) -> Path:
    for name, source in files.items():
        path = library / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source if isinstance(source, bytes) else inspect.cleandoc(source).encode())
    return library


@pytest.fixture(scope="module")
def real() -> tuple[list[str], list[str]]:
    return read_docstrings()


def test_small_library(tmp_path: Path) -> None:
    texts, chapters = read_docstrings(write(tmp_path, FILES))
    assert list(zip(texts, chapters, strict=True)) == [
        ("An invalid \\escape is harmless.", "File Formats"),
        ("JSON encoder and decoder.", "Internet Data Handling"),
        ("Implementation of the decoder.", "Internet Data Handling"),
        ("Simple decoder\n    of documents.\n\nSecond paragraph.", "Internet Data Handling"),
        ("Return the Python representation.", "Internet Data Handling"),
        ("A function inside another.", "Internet Data Handling"),
        ("Used if nothing else works.", "Internet Data Handling"),
        ("Interfaces of the operating system.", "Operating System Services"),
        ("Common operations on pathnames.", "File and Directory Access"),
        ("Internal support of expressions.", "Text Processing"),
    ]


def test_order_does_not_depend_on_creation(tmp_path: Path) -> None:
    names = sorted(FILES)
    random.Random(0).shuffle(names)
    shuffled = read_docstrings(write(tmp_path / "a", {name: FILES[name] for name in names}))
    assert shuffled == read_docstrings(write(tmp_path / "b", FILES))


def test_copies(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "csv.py": '"""Return the  next\n   row."""\ndef f():\n    """Close the file."""\n',
        "netrc.py": '"""Return the next row."""\n',
        "json/encoder.py": 'def f():\n    """Close the file."""\ndef g():\n    """Encode this object."""\n',
        "json/tool.py": 'def f():\n    """Close   the file."""\ndef g():\n    """Encode this object."""\n',
    }
    texts, chapters = read_docstrings(write(tmp_path, files))
    assert texts == ["Return the  next\nrow.", "Encode this object."]
    assert chapters == ["File Formats", "Internet Data Handling"]


@pytest.mark.parametrize("kind", ["missing", "empty", "unrelated", "zip"])
def test_no_sources(tmp_path: Path, kind: str) -> None:
    library = tmp_path / "python311.zip"
    if kind == "zip":
        with zipfile.ZipFile(library, "w") as archive:
            archive.writestr("json/__init__.py", '"""JSON encoder and decoder."""')
    elif kind != "missing":
        library.mkdir()
        if kind == "unrelated":
            write(library, {"myown.py": FILES["myown.py"], "json/__init__.pyc": b""})
    with pytest.raises(DataError, match=r"zipped or stripped.*full installation of Python") as error:
        read_docstrings(library)
    assert str(library) in str(error.value)
    assert "\n" not in str(error.value)


def test_real_library_has_many_classes(real: tuple[list[str], list[str]]) -> None:
    texts, chapters = real
    assert len(texts) == len(chapters) > 5000
    assert set(chapters) <= CHAPTERS.keys()
    assert sum(count >= 100 for count in Counter(chapters).values()) >= 10


def test_real_library_has_distinct_texts(real: tuple[list[str], list[str]]) -> None:
    texts, _ = real
    assert len({" ".join(text.split()) for text in texts}) == len(texts)
    assert min(len(text.split()) for text in texts) == 3


@pytest.mark.parametrize(
    ("documented", "chapter"),
    [
        (json.dumps, "Internet Data Handling"),
        (json.JSONDecoder, "Internet Data Handling"),
        (inspect.getmro, "Runtime Services"),
        (zipfile.ZipFile.extractall, "Data Compression and Archiving"),
        (random.Random.shuffle, "Numeric and Mathematical"),
        (Counter.most_common, "Data Types"),
        (Path.read_text, "File and Directory Access"),
    ],
)
def test_known_docstrings(real: tuple[list[str], list[str]], documented: object, chapter: str) -> None:
    texts, chapters = real
    assert documented.__doc__
    assert chapters[texts.index(inspect.cleandoc(documented.__doc__))] == chapter


def test_every_module_is_listed_once() -> None:
    listed = Counter(module for modules in CHAPTERS.values() for module in modules)
    assert [module for module, count in listed.items() if count > 1] == []
    assert all(part.isidentifier() for module in listed for part in module.split("."))


@pytest.mark.skipif(sys.version_info >= (3, 15), reason="the table follows the reference of Python 3.14")
def test_every_public_module_is_listed() -> None:
    listed = {module for modules in CHAPTERS.values() for module in modules}
    public = {module for module in sys.stdlib_module_names if not module.startswith("_")}
    assert public - listed == {"antigravity", "nt", "this", "turtledemo"}
