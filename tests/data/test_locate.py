from pathlib import Path

import pytest

from seqtrain.config.corpus import PublicCorpusConfig, TextCorpusConfig
from seqtrain.data.locate import find_path, split_files
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


@pytest.mark.parametrize(
    "layout",
    [
        ["train.parquet", "test.parquet"],
        ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet", "data/test-0.parquet"],
        ["train/0.csv", "test/0.csv"],
        ["trained.csv", "train.jsonl", "test.jsonl"],
        ["plain/train/0.parquet", "plain/test/0.parquet"],
    ],
)
def test_layouts_of_split_files(tmp_path: Path, layout: list[str]) -> None:
    for name in layout:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("x")
    found = {split: [str(p.relative_to(tmp_path)) for p in split_files(tmp_path, split)] for split in ("train", "test")}
    assert found["test"] == [name for name in layout if "test" in name]
    assert found["train"] == [name for name in layout if "train" in name and "trained" not in name]


def test_subset_is_searched_alone(tmp_path: Path) -> None:
    for name in ("a/train.csv", "b/train.csv"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("x")
    assert split_files(tmp_path, "train", "b") == [tmp_path / "b/train.csv"]


def test_a_split_in_two_formats_is_refused(tmp_path: Path) -> None:
    for name in ("train.csv", "train.jsonl"):
        (tmp_path / name).write_text("x")
    with pytest.raises(DataError, match="is there twice"):
        split_files(tmp_path, "train")
