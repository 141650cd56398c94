from pathlib import Path

import pytest

from seqtrain.config.corpus import PublicCorpusConfig, TextCorpusConfig
from seqtrain.data.corpus.files import corpus_files, file_notes
from seqtrain.errors import DataError


def text_config(path: Path) -> TextCorpusConfig:
    return TextCorpusConfig(name="text", path=str(path))


LAYOUTS: list[dict[str, list[str]]] = [
    {"train": ["train.txt"], "validation": ["valid.txt"], "test": ["test.txt"]},
    {"train": ["wiki.train.tokens"], "validation": ["wiki.valid.tokens"], "test": ["wiki.test.tokens"]},
    {"train": ["ptb.train.txt"], "validation": ["ptb.dev.txt"]},
    {
        "train": ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"],
        "validation": ["data/validation-00000-of-00001.parquet"],
        "test": ["data/test-00000-of-00001.parquet"],
    },
    {"train": ["train/a/one", "train/b.txt"], "validation": ["val/c.md"], "test": ["test/train.txt"]},
    {"train": ["train.txt"], "test": ["test.txt"]},
    {"all": ["LICENSE", "a.txt", "b/c.py", "test.txt"]},
    {"all": ["training.txt"]},
    {"all": ["train_test.txt"]},
]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_splits_are_found_by_name(tmp_path: Path, layout: dict[str, list[str]]) -> None:
    for name in [name for names in layout.values() for name in names] + ["scores.csv", ".hidden/x.txt", ".git"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    if "train" in layout:
        (tmp_path / "README.md").write_text("x")
    found = corpus_files(text_config(tmp_path))
    assert {split: [p.relative_to(tmp_path).as_posix() for p in paths] for split, paths in found.items()} == layout
    (note,) = file_notes(text_config(tmp_path))
    assert note.startswith(
        "files of the text: " if "all" in layout else f"files of train: {Path(layout['train'][0]).name}"
    )
    assert "all" in layout or "files of no split, not read: README.md" in note


def test_a_split_in_two_formats_is_refused(tmp_path: Path) -> None:
    for name in ("wiki.train.tokens", "wiki.train.raw"):
        (tmp_path / name).write_text("x")
    with pytest.raises(DataError, match=r"'train' has files of several formats \(wiki.train.raw, wiki.train.tokens\)"):
        corpus_files(text_config(tmp_path))


def test_nothing_found_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x")
    with pytest.raises(DataError, match=r"has no text; looked in it and its folders for \.txt,.*\.parquet"):
        corpus_files(text_config(tmp_path))
    with pytest.raises(DataError, match="no such file or folder"):
        corpus_files(text_config(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="data.path: must be given for data=text"):
        corpus_files(TextCorpusConfig(name="text"))


def test_public_text_in_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = PublicCorpusConfig(name="p", folder="some", hub="a/b", hub_subset="sub")
    assert corpus_files(config) == {}
    monkeypatch.setenv("SEQTRAIN_DATA_DIR", str(tmp_path))
    assert corpus_files(config) == {}
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "input.txt").write_text("x")
    assert corpus_files(config) == {"all": [tmp_path / "some" / "input.txt"]}
    (tmp_path / "some" / "sub").mkdir()
    (tmp_path / "some" / "sub" / "train.txt").write_text("x")
    assert corpus_files(config) == {"train": [tmp_path / "some" / "sub" / "train.txt"]}
