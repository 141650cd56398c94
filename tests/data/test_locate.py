from dataclasses import replace
from pathlib import Path

import pytest

from seqtrain.config.corpus import PublicCorpusConfig, TextCorpusConfig
from seqtrain.config.data import TextFilesConfig
from seqtrain.data.locate import find_path, split_files, wanted_splits
from seqtrain.data.tables.files import SUFFIXES
from seqtrain.errors import DataError


def test_the_given_path_comes_before_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some").mkdir()
    (tmp_path / "own.txt").write_text("x")
    config = PublicCorpusConfig(name="p", folder="some")
    assert find_path(config, "a file", "some") is None
    monkeypatch.setenv("SEQTRAIN_DATA_DIR", str(tmp_path))
    assert find_path(config, "a file", "some") == tmp_path / "some"
    assert find_path(config, "a file", "other") is None
    config.path = str(tmp_path / "own.txt")
    assert find_path(config, "a file", "some") == tmp_path / "own.txt"
    config.path = str(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"data\.path=.*nowhere: no such file or folder"):
        find_path(config, "a file", "some")


def test_a_path_that_must_be_given_is_asked_for() -> None:
    with pytest.raises(DataError, match="data.path: must be given for data=text: a file"):
        find_path(TextCorpusConfig(name="text"), "a file")


CONFIG = TextFilesConfig(name="text_files")


def found(folder: Path, *names: str, subset: str | None = None, **splits: str | None) -> dict[str, list[str]]:
    """Files of each split of a folder with these files."""
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text("x")
    files = split_files(folder, wanted_splits(replace(CONFIG, **splits)), SUFFIXES, [], subset)  # type: ignore[arg-type]
    return {split: [str(path.relative_to(folder)) for path in paths] for split, paths in files.items()}


@pytest.mark.parametrize(
    "layout",
    [
        ["train.parquet", "test.parquet"],
        ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet", "data/test-0.parquet"],
        ["train/0.csv", "test/0.csv"],
        ["trained.csv", "train.jsonl", "test.jsonl"],
        ["plain/train/0.parquet", "plain/test/0.parquet"],
        ["Train.CSV", "TEST.tsv.gz"],
    ],
)
def test_layouts_of_split_files(tmp_path: Path, layout: list[str]) -> None:
    files = found(tmp_path, *layout)
    assert files["test"] == [name for name in layout if "test" in name.lower()]
    assert files["train"] == [name for name in layout if "train" in name.lower() and "trained" not in name]


@pytest.mark.parametrize("name", ["dev.csv", "valid.jsonl", "val/1.csv", "validation-0.parquet"])
def test_usual_names_of_validation(tmp_path: Path, name: str) -> None:
    assert found(tmp_path, "train.csv", name)["validation"] == [name]
    assert "validation" not in found(tmp_path, validation_split=None)
    assert "validation" not in found(tmp_path, validation_split="held_out")
    (tmp_path / "held_out.csv").write_text("x")
    assert found(tmp_path, validation_split="held_out")["validation"] == ["held_out.csv"]


def test_the_given_name_comes_first(tmp_path: Path) -> None:
    names = "train.csv", "dev.csv", "valid.csv", "validation.csv"
    assert found(tmp_path, *names)["validation"] == ["validation.csv"]
    assert found(tmp_path, *names, validation_split="dev")["validation"] == ["dev.csv"]


def test_hidden_files_are_passed_over_and_others_named(tmp_path: Path) -> None:
    found(
        tmp_path,
        "train/a.csv",
        "train/.b.csv",
        "train/._a.csv",
        ".train.csv",
        "__x/.y/train.csv",
        "train-old.csv",
        "notes.txt",
    )
    notes: list[str] = []
    files = split_files(tmp_path, wanted_splits(CONFIG), SUFFIXES, notes)
    assert [path.name for path in files["train"]] == ["a.csv"]
    assert notes == ["files of train: a.csv; files of no split, not read: train-old.csv"]
    assert found(tmp_path / "two", "train-clean.csv", "train-clean-backup.csv")["train"] == [
        "train-clean-backup.csv",
        "train-clean.csv",
    ]


def test_subset_is_searched_alone(tmp_path: Path) -> None:
    assert found(tmp_path, "a/train.csv", "b/train.csv", subset="b") == {"train": ["b/train.csv"]}


def test_a_split_in_two_formats_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is there twice"):
        found(tmp_path, "train.csv", "train.jsonl")
