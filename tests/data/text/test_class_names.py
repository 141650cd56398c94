"""Whether labels are names or numbers: one rule for a column, in every format."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from seqtrain.commands.build import build_data
from seqtrain.config.data import LabelsAs
from seqtrain.config.root import Config
from seqtrain.data.text.classification import TextClassification
from seqtrain.errors import ConfigError, DataError

Compose = Callable[..., Config]
FORMATS = ("csv", "jsonl", "parquet")
PLACES = {"csv": "line 3", "jsonl": "line 2", "parquet": "row 2"}
"""How each format names its second row."""


def write(path: Path, labels: list[Any], names: list[str] | None = None) -> Path:
    """A file with a text for each label, which says the label; the metadata of a parquet file name the classes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = [f"{path.name} {i} says {label}" for i, label in enumerate(labels)]
    if path.suffix == ".csv":
        lines = [f"{text},{'' if label is None else label}" for text, label in zip(texts, labels, strict=True)]
        path.write_text("\n".join(["text,label", *lines]) + "\n")
    elif path.suffix == ".jsonl":
        rows = [json.dumps({"text": text, "label": label}) for text, label in zip(texts, labels, strict=True)]
        path.write_text("\n".join(rows) + "\n")
    else:
        table = pa.table({"text": texts, "label": labels})
        if names is not None:
            table = described(table, {"label": {"names": names, "_type": "ClassLabel"}})
        parquet.write_table(table, path)
    return path


def described(table: pa.Table, features: Any) -> pa.Table:
    """The table with metadata of the hub."""
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


@pytest.fixture
def read(small: Compose) -> Callable[..., TextClassification]:
    def reader(
        path: Path, task: str = "classification", trained: Path | None = None, **options: Any
    ) -> TextClassification:
        config = small(f"task={task}", "data.validation_size=0.25")  # of few forms, since composing takes long
        config.data = replace(config.data, path=str(path), **options)  # type: ignore[call-arg]  # of text_files
        data = build_data(config, trained, single_split=trained is not None)
        assert isinstance(data, TextClassification)
        return data

    return reader


Read = Callable[..., TextClassification]


def every_label(data: TextClassification) -> list[int]:
    """The class of each row of all splits, in order of the file."""
    labels = np.concatenate([data.labels[split] for split in data.sizes])
    found: list[int] = labels[np.argsort(np.concatenate([data.source_rows(split) for split in data.sizes]))].tolist()
    return found


def classes_of(data: TextClassification) -> dict[str, set[str]]:
    """What the texts say of each class."""
    found: dict[str, set[str]] = {name: set() for name in data.spec.class_names}
    for split in data.sizes:
        for text, label in zip(*data.labelled_split(split), strict=True):
            found[data.spec.class_names[label]].add(text.partition(" says ")[2])
    return found


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([0, 1, 2], {"1": {"0"}, "2": {"1"}, "3": {"2"}}),
        ([1, 2, 3], {"1": {"1"}, "2": {"2"}, "3": {"3"}}),
    ],
)
def test_class_names_that_are_numbers(
    read: Read, tmp_path: Path, kind: str, labels: list[int], expected: dict[str, set[str]]
) -> None:
    data = read(write(tmp_path / f"a.{kind}", labels * 4), class_names=["1", "2", "3"])
    assert classes_of(data) == expected


@pytest.mark.parametrize("kind", FORMATS)
def test_names_and_numbers_that_both_fit(read: Read, tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / f"a.{kind}", [0, 1] * 4)
    with pytest.raises(
        ConfigError, match=r"class_names=1, 0: the labels of .* \(0, 1\) can be these names, or their num"
    ):
        read(path, class_names=["1", "0"])
    names = classes_of(read(path, class_names=["1", "0"], labels_as=LabelsAs.names))
    numbers = classes_of(read(path, class_names=["1", "0"], labels_as=LabelsAs.numbers))
    assert names == {"1": {"1"}, "0": {"0"}} and numbers == {"1": {"0"}, "0": {"1"}}
    assert classes_of(read(path, class_names=["0", "1"])) == {"0": {"0"}, "1": {"1"}}  # one and the same


@pytest.mark.parametrize("kind", FORMATS)
def test_minus_one_is_a_label_as_any_other(read: Read, tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / f"a.{kind}", [0, -1, 1] * 4)
    with pytest.raises(DataError, match=rf"a\.{kind}: {PLACES[kind]}: label '-1' is no class of data.class_names"):
        read(path, class_names=["bad", "neutral", "good"])
    data = read(path, class_names=["-1", "0", "1"])
    assert classes_of(data) == {"-1": {"-1"}, "0": {"0"}, "1": {"1"}}
    assert data.spec.class_names == read(path).spec.class_names == ["-1", "0", "1"]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_label_that_is_neither(read: Read, tmp_path: Path, kind: str) -> None:
    labels = ["neg", "1", "pos", "neg", "pos", "0"]
    with pytest.raises(
        DataError, match=rf"{PLACES[kind]}: label '1' .* one of these names or, like all labels, a number"
    ):
        read(write(tmp_path / f"a.{kind}", labels), class_names=["neg", "pos"])
    with pytest.raises(DataError, match=rf"{PLACES[kind]}: label '3' .*: must be a number from 0 to 1"):
        read(write(tmp_path / f"b.{kind}", [0, 3, 1]), class_names=["neg", "pos"], labels_as=LabelsAs.numbers)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("spelt", [(False, True), ("False", "True"), ("FALSE", "TRUE"), ("false", "true")])
def test_truth_values_are_the_same_in_every_format(
    read: Read, tmp_path: Path, kind: str, spelt: tuple[Any, Any]
) -> None:
    path = write(tmp_path / f"a.{kind}", [*spelt] * 4)
    data = read(path)
    assert data.spec.class_names == ["false", "true"] and every_label(data) == [0, 1] * 4
    named = read(path, class_names=["neg", "pos"])
    assert every_label(named) == [0, 1] * 4 and named.spec.class_names == ["neg", "pos"]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_run_with_other_spelling_can_be_scored(read: Read, tmp_path: Path, kind: str) -> None:
    """An earlier run has Python's spelling of truth values in its data.json."""
    data = read(write(tmp_path / "a.csv", [False, True] * 4))
    data.save(tmp_path)
    saved = data.describe()
    saved["spec"]["class_names"] = ["False", "True"]
    del saved["labels_as"]
    (tmp_path / "data.json").write_text(json.dumps(saved))
    scored = read(write(tmp_path / f"new.{kind}", [True, False]), trained=tmp_path)
    assert scored.labels["test"].tolist() == [1, 0] and scored.spec.class_names == ["False", "True"]


def test_a_run_decides_what_a_small_file_leaves_open(read: Read, tmp_path: Path) -> None:
    names = ["1", "2", "3"]
    data = read(write(tmp_path / "a.csv", [0, 1, 2] * 4), class_names=names)
    assert data.labels_as == "numbers"
    data.save(tmp_path)
    (tmp_path / "data.json").write_text(json.dumps(data.describe()))
    for labels, expected in (([1, 2], [1, 2]), ([3, 2], [2, 1])):  # 3 can only be a name
        scored = read(write(tmp_path / "new.csv", labels), trained=tmp_path, class_names=names)
        assert scored.labels["test"].tolist() == expected


def test_names_are_those_of_each_file(read: Read, tmp_path: Path) -> None:
    write(tmp_path / "two/train/a.parquet", [0, 1] * 4, ["neg", "pos"])
    write(tmp_path / "two/train/b.parquet", [0, 1, -1] * 4, ["pos", "neg"])
    data = read(tmp_path / "two")
    assert data.spec.class_names == ["neg", "pos"]
    assert every_label(data) == [0, 1] * 4 + [1, 0] * 4
    assert any(note.endswith("train: 4 rows dropped (0 with empty text, 4 without label)") for note in data.notes)
    write(tmp_path / "two/train/c.jsonl", [0, 1])  # numbers of which names?
    with pytest.raises(DataError, match=r"c\.jsonl: line 1: label '0' is no class of the names in"):
        read(tmp_path / "two")


@pytest.mark.parametrize("labels", [["neg", "pos"], [0, 1], ["0", "1.0"]])
def test_files_without_names_beside_one_with_names(read: Read, tmp_path: Path, labels: list[Any]) -> None:
    write(tmp_path / "train/a.jsonl", labels * 4)
    write(tmp_path / "train/b.parquet", [0, 1] * 4, ["neg", "pos"])
    data = read(tmp_path)
    assert data.spec.class_names == ["neg", "pos"] and every_label(data) == [0, 1] * 8
    with pytest.raises(DataError, match=r"b\.parquet: row 2: label '2' is the number of no class; the file itself"):
        read(write(tmp_path / "train/b.parquet", [0, 2], ["neg", "pos"]).parent.parent)


def test_further_names_beside_a_file_with_names(read: Read, tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", ["neg", "pos", "neutral"] * 4)
    write(tmp_path / "test.parquet", [1, 0], ["pos", "neg"])
    data = read(tmp_path)
    assert data.spec.class_names == ["pos", "neg", "neutral"]
    assert classes_of(data) == {"pos": {"pos", "0"}, "neg": {"neg", "1"}, "neutral": {"neutral"}}


def test_given_names_beside_those_of_the_file(read: Read, tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [0, 1] * 4, ["1", "2"])
    assert classes_of(read(path, class_names=["negative", "positive"])) == {"negative": {"0"}, "positive": {"1"}}
    assert classes_of(read(path, class_names=["2", "1"])) == {"2": {"1"}, "1": {"0"}}  # in another order
    with pytest.raises(ConfigError, match="shares only some names"):
        read(path, class_names=["2", "3"])
    assert classes_of(read(path, class_names=["2", "3"], labels_as=LabelsAs.numbers)) == {"2": {"0"}, "3": {"1"}}
    with pytest.raises(ConfigError, match="give as many names, or the same ones"):
        read(path, class_names=["a", "b", "c"])


def test_a_class_without_rows_in_train(read: Read, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", ["neg", "pos"] * 4)
    with pytest.raises(DataError, match=r"train has no row of class neutral \(data.class_names\); remove the name"):
        read(path, class_names=["neg", "neutral", "pos"])
    data = read(write(tmp_path / "b.parquet", [0, 2] * 4, ["neg", "neutral", "pos"]))
    assert "train: has no row of class neutral, which its files name" in data.notes
    assert data.spec.class_names == ["neg", "neutral", "pos"]


@pytest.mark.parametrize("names", [["a", "a"], ["a", ""], ["1", "1.0"], ["True", "true"]])
def test_names_that_are_the_same(read: Read, tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(ConfigError, match="data.class_names: .* give each class a name of its own"):
        read(write(tmp_path / "a.csv", ["a", "b"] * 4), class_names=names)


@pytest.mark.parametrize(
    "metadata",
    [
        b"{",
        b"[]",
        b"\xff",
        b'{"info": 3}',
        b'{"info": {"features": {"label": {"names": "ab", "_type": "ClassLabel"}}}}',
        b'{"info": {"features": {"label": {"names": [1, 2], "_type": "ClassLabel"}}}}',
        b'{"info": {"features": {"label": {"names": [], "_type": "ClassLabel"}}}}',
        b'{"info": {"features": {"label": 3}}}',
        b'{"info": {"features": {"label": []}}}',
        b'{"info": {"features": ["label"]}}',
    ],
)
def test_damaged_metadata_are_named(read: Read, tmp_path: Path, metadata: bytes) -> None:
    path = write(tmp_path / "a.parquet", [0, 1] * 4)
    parquet.write_table(parquet.read_table(path).replace_schema_metadata({"huggingface": metadata}), path)
    data = read(path)
    assert data.spec.class_names == ["0", "1"]
    assert any("a.parquet: its metadata of the hub cannot be read and are ignored" in note for note in data.notes)


def test_metadata_that_do_not_describe_the_column(read: Read, tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", ["neg", "pos"] * 4, ["pos", "neg"])
    data = read(path)
    assert data.spec.class_names == ["neg", "pos"]
    assert any("which has no numbers; they are ignored" in note for note in data.notes)
    for features in ({}, {"label": {"dtype": "int64", "_type": "Value"}}, {"label": {"_type": "ClassLabel"}}):
        parquet.write_table(described(parquet.read_table(write(path, [0, 1] * 4)), features), path)
        assert read(path).spec.class_names == ["0", "1"]


def test_lists_are_refused_unless_they_are_asked_for(read: Read, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", ["x", ["neg", "rush"]] * 4)
    with pytest.raises(DataError, match=r"a\.jsonl: line 2: label \['neg', 'rush'\] is a list.*task=multilabel"):
        read(path)
    with pytest.raises(ConfigError, match="data.label_separator='\\|': must be null, unless task=multilabel"):
        read(path, label_separator="|")


@pytest.mark.parametrize("kind", FORMATS)
def test_sets_of_labels(read: Read, tmp_path: Path, kind: str) -> None:
    sets = [["neg", "rush"], ["pos"], ["neg"], ["pos", "rush"]] * 3
    labels = ["|".join(each) for each in sets] if kind == "csv" else [*sets, [], None]
    separator = "pipe" if kind == "csv" else None
    data = read(write(tmp_path / f"a.{kind}", labels), task="multilabel", label_separator=separator)
    assert data.spec.targets == "set of labels" and data.spec.class_names == ["neg", "pos", "rush"]
    assert data.spec.num_rows == data.sizes["train"] and sum(data.sizes.values()) == (12 if kind == "csv" else 13)
    for split in data.sizes:
        for text, applies in zip(*data.labelled_split(split), strict=True):
            found = [name for name, true in zip(data.spec.class_names, applies, strict=True) if true]
            said = text.partition(" says ")[2]
            assert said == ("|".join(found) if kind == "csv" else str(found))
    batch = next(data.eval_batches("train"))
    assert batch.targets.shape == (len(batch.rows), 3) and batch.targets.dtype is not None
    if kind != "csv":
        assert any(
            "1 rows dropped (0 with empty text, 1 without label); if no class applies" in note for note in data.notes
        )


def test_sets_of_numbers_of_the_names_of_a_file(read: Read, tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [[0, 1], [1], [], [2, 0]] * 3)
    feature = {"names": ["c", "b", "a"], "_type": "ClassLabel"}
    for features in ({"feature": feature, "_type": "Sequence"}, {"feature": feature, "_type": "List"}, [feature]):
        parquet.write_table(described(parquet.read_table(path), {"label": features}), path)
        data = read(path, task="multilabel")
        assert data.spec.class_names == ["c", "b", "a"]
        assert np.concatenate([data.labels[s] for s in data.sizes]).sum(0).tolist() == [6, 6, 3]
    named = read(
        write(tmp_path / "b.jsonl", [[0, 1], [1], [], [2, 0]] * 3), task="multilabel", class_names=["c", "b", "a"]
    )
    assert named.fingerprint != data.fingerprint and named.spec.class_names == ["c", "b", "a"]
    assert named.labels["train"].tolist() == data.labels["train"].tolist()
