from pathlib import Path

import pytest

from seqtrain.config.corpus import LibraryCorpusConfig
from seqtrain.data.corpus.library import library_files, read_sources
from seqtrain.data.corpus.sources import identity, open_corpus
from seqtrain.data.corpus.stream import Chunk
from seqtrain.errors import DataError


def test_small_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"m{i}.py": f"x = {i}\n".encode() for i in range(200)}
    files |= {
        "latin.py": b"# -*- coding: latin-1 -*-\r\n# \xfc\n",
        "bad.py": b"# \xfc\n",
        "worse.py": b"# coding: what\n",
    }
    files |= {"test/a.py": b"no", "idlelib/idle_test/a.py": b"no", "site-packages/a.py": b"no", "a.pyc": b"no"}
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    config = LibraryCorpusConfig(name="library", validation_size=0.2, test_size=0.1)
    found = library_files(config)
    assert {split: len(part) for split, part in found.items()} == {"train": 136, "validation": 44, "test": 23}
    read = [chunk for part in found.values() for chunk in read_sources(part)]
    assert len(read) == 201 and Chunk("# -*- coding: latin-1 -*-\n# ü\n", True) in read
    assert set(open_corpus(config, words=True).apart) == {"validation", "test"}
    assert set(library_files(LibraryCorpusConfig(test_size=0.0))) == {"train", "validation"}
    (tmp_path / "m1.py").write_text("changed = 1\n")
    before = identity(config)
    (tmp_path / "m1.py").write_text("longer = 10\n" * 2)
    assert identity(config) != before
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path / "python311.zip"))
    with pytest.raises(DataError, match=r"zipped or stripped.*full installation of Python"):
        open_corpus(config, words=True)
