import csv
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from seqtrain.commands.build import build_data
from seqtrain.config.root import Config
from seqtrain.data.text.classification import TextClassification
from seqtrain.errors import ConfigError, DataError

Compose = Callable[..., Config]


def dataset(config: Config) -> TextClassification:
    data = build_data(config)
    assert isinstance(data, TextClassification)
    return data


def write(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(rows)
    return path


GOOD = [(f"text number {i} {'good' if i % 2 else 'bad'}", "pos" if i % 2 else "neg") for i in range(40)]


def test_splits_and_spec(small: Compose) -> None:
    data = dataset(small())
    assert data.sizes == {"train": 270, "validation": 30, "test": 80}
    assert data.spec.class_names == ["neg", "pos"] and data.spec.class_counts == [135, 135]
    assert np.bincount(data.labels["validation"]).tolist() == [15, 15]
    assert not set(data.source_rows("train")) & set(data.source_rows("validation"))
    assert any("30 rows of train set apart" in note for note in data.notes)


def test_batches_hold_what_the_file_holds(small: Compose, reviews: Path) -> None:
    data = dataset(small())
    with (reviews / "test.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    seen = 0
    for batch in data.eval_batches("test"):
        for i, row in enumerate(batch.rows):
            words = [str(data.tokenizer.id_to_token(t)) for t in batch.inputs[i, : batch.lengths[i]].tolist()]
            assert " ".join(words) == rows[row]["text"]
            assert data.spec.class_names[batch.targets[i]] == rows[row]["label"]
            seen += 1
    assert seen == 80


def test_order_depends_on_seed_epoch_and_position(small: Compose) -> None:
    data = dataset(small())
    first = [batch.rows.tolist() for batch in data.train_batches(0)]
    assert [batch.rows.tolist() for batch in dataset(small()).train_batches(0)] == first
    assert [batch.rows.tolist() for batch in data.train_batches(0, start=5)] == first[5:]
    assert [batch.rows.tolist() for batch in data.train_batches(1)] != first
    assert [batch.rows.tolist() for batch in dataset(small("seed=1")).train_batches(0)] != first
    assert len(first) == data.num_batches(0)


def test_rare_tokens_are_dropped_in_training(small: Compose) -> None:
    """As often as the equation says, in training alone, and the same in a run that goes on."""
    plain, data = dataset(small()), dataset(small("data.rare_dropout=20"))
    assert data.directory == plain.directory  # prepared data does not depend on it
    counts, dropped = np.zeros(data.spec.vocab_size or 0), np.zeros(data.spec.vocab_size or 0)
    epochs = 40
    for epoch in range(epochs):
        for before, after in zip(plain.train_batches(epoch), data.train_batches(epoch), strict=True):
            changed = before.inputs != after.inputs
            assert np.array_equal(before.rows, after.rows) and (after.inputs[changed] == 1).all()
            counts += np.bincount(before.inputs.flatten(), minlength=len(counts))
            dropped += np.bincount(before.inputs[changed], minlength=len(counts))
    assert dropped[0] == 0 and counts[0] > 0  # padding
    used = np.flatnonzero(counts)[2:] if counts[1] else np.flatnonzero(counts)[1:]
    expected = 20 / (20 + counts[used] / epochs)
    deviation = np.sqrt(expected * (1 - expected) / counts[used])
    assert (np.abs(dropped[used] / counts[used] - expected) < 4.5 * deviation).all() and len(used) > 20
    first = [batch.inputs.tolist() for batch in data.train_batches(3)]
    again = dataset(small("data.rare_dropout=20"))
    assert [batch.inputs.tolist() for batch in again.train_batches(3, start=2)] == first[2:]
    for one, other in zip(plain.eval_batches("validation"), data.eval_batches("validation"), strict=True):
        assert one.inputs.equal(other.inputs)
    with pytest.raises(ConfigError, match=r"^data\.rare_dropout=-1\.0: must be at least 0, and finite$"):
        small("data.rare_dropout=-1")


def test_cache_is_keyed_by_what_shapes_it(small: Compose) -> None:
    data = dataset(small())
    for same in (
        "trainer.lr=1",
        "data.batch_size=8",
        "data.max_length=10",
        "data.truncate=tail",
        "seed=3",
        "model=rnn",
    ):
        assert dataset(small(same)).directory == data.directory, same
    for other in ("data.vocab_size=30", "data.lowercase=false", "data.split_seed=1", "data.validation_size=0.2"):
        assert dataset(small(other)).directory != data.directory, other


def test_a_changed_file_is_read_anew_and_has_another_fingerprint(small: Compose, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", GOOD)
    first = dataset(small(f"data.path={path}"))
    write(path, [*GOOD[:-1], ("another good text", "pos")])
    second = dataset(small(f"data.path={path}"))
    assert first.directory != second.directory and first.fingerprint != second.fingerprint
    write(path, GOOD)
    assert dataset(small(f"data.path={path}")).directory == first.directory


def test_fingerprint_is_of_contents_not_of_files(small: Compose, reviews: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    from seqtrain.data.tables.reading import read_table

    for split in ("train", "test"):
        rows = read_table(reviews / f"{split}.csv").columns
        parquet.write_table(pa.table({n: rows[n] for n in ("label", "text")}), tmp_path / f"{split}.parquet")
    assert dataset(small(f"data.path={tmp_path}")).fingerprint == dataset(small()).fingerprint


def test_repeated_and_unusable_rows_are_reported(small: Compose, tmp_path: Path) -> None:
    write(tmp_path / "train.csv", [*GOOD, ("", "pos"), ("no label", "")])
    write(tmp_path / "test.csv", GOOD[:4])
    notes = dataset(small(f"data.path={tmp_path}", "data.validation_size=0.1")).notes
    assert any("train.csv: 2 rows dropped (1 with empty text, 1 without label)" in note for note in notes)
    assert any(note.startswith("train: the text of ") for note in notes)


def test_a_single_file_gets_a_test_split(small: Compose, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", GOOD)
    data = dataset(small(f"data.path={path}", "data.validation_size=0.1"))
    assert data.sizes == {"train": 32, "validation": 4, "test": 4}
    assert np.bincount(data.labels["test"]).tolist() == [2, 2]
    rows = [set(data.source_rows(split)) for split in data.sizes]
    assert set.union(*rows) == set(range(40)) and sum(map(len, rows)) == 40
    assert "test: 4 rows of train set apart (data.test_size), stratified by class" in data.notes
    # A source with a split for scores keeps its splits.
    write(tmp_path / "folder" / "train.csv", GOOD)
    write(tmp_path / "folder" / "dev.csv", GOOD[:10])
    data = dataset(small(f"data.path={tmp_path / 'folder'}"))
    assert data.sizes == {"train": 40, "validation": 10}
    assert "files of train: train.csv; validation: dev.csv" in data.notes
    data = dataset(small(f"data.path={path}", "data.test_size=0"))
    assert data.sizes == {"train": 36, "validation": 4}
    assert any(note.startswith("test: the source has none") for note in data.notes)


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ([("a text", "pos")] * 20, None, "one label 'pos'"),
        (GOOD, [("what", "maybe")], "test.csv: line 2: label 'maybe'"),
        ([("", "pos")], None, "none of its 1 rows can be used"),
        ([], None, "has no rows"),
    ],
)
def test_unusable_data(
    small: Compose, tmp_path: Path, train: list[tuple[str, str]], test: list[tuple[str, str]] | None, message: str
) -> None:
    write(tmp_path / "train.csv", train)
    if test is not None:
        write(tmp_path / "test.csv", test)
    with pytest.raises(DataError, match=message):
        dataset(small(f"data.path={tmp_path}"))


def test_a_class_that_train_lacks(small: Compose, tmp_path: Path) -> None:
    write(tmp_path / "train.csv", GOOD)
    write(tmp_path / "test.csv", [("what", "maybe")])
    with pytest.raises(DataError, match="train has no row of class maybe"):
        dataset(small(f"data.path={tmp_path}", "data.class_names=[neg,pos,maybe]"))


def test_missing_column_names_those_there_are(small: Compose) -> None:
    with pytest.raises(DataError, match=r"no column 'sentence' \(data.text_column\); its columns: text, label"):
        dataset(small("data.text_column=sentence"))
    with pytest.raises(DataError, match=r"no column 'stars' \(data.label_column\)"):
        dataset(small("data.label_column=stars"))


def test_missing_path(small: Compose, composed: Compose) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        dataset(small("data.path=/nowhere"))
    with pytest.raises(DataError, match="data.path: must be given"):
        dataset(composed("data=text_files"))


def test_unreachable_hub_names_the_remedies_at_once(composed: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if `datasets` was imported earlier, when it looked for HF_HUB_OFFLINE."""
    import datasets
    from huggingface_hub import constants

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    for module in (datasets.config, constants):
        monkeypatch.setattr(module, "HF_HUB_OFFLINE", False)
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)  # as a library that tries again and again does
    with pytest.raises(DataError, match=r"data\.path.*SEQTRAIN_DATA_DIR.*connect to the hub"):
        dataset(composed("data=imdb"))
    assert waits == []
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


def test_hub(composed: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `datasets` gives becomes splits, with its class names; its unlabelled split is left aside."""
    import datasets

    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})
    rows = {"text": [f"text {i}" for i in range(40)], "label": [i % 2 for i in range(40)]}
    none = {"text": ["a"], "label": [-1]}
    parts = {"train": rows, "test": rows, "unsupervised": none}
    hub = datasets.DatasetDict({k: datasets.Dataset.from_dict(v, features=features) for k, v in parts.items()})
    asked = []

    def load_dataset(*arguments: object, **options: object) -> datasets.DatasetDict:
        asked.append((arguments, options))
        return hub

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    data = dataset(composed("data=imdb", "data.revision=abc", "data.min_count=1"))
    assert asked == [(("stanfordnlp/imdb", None), {"revision": "abc"})]
    assert data.sizes == {"train": 36, "validation": 4, "test": 40}
    assert data.spec.class_names == ["neg", "pos"] and data.labels["test"].tolist() == rows["label"]
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


def test_too_few_rows_for_validation(small: Compose, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", GOOD[:6])
    for split, size in (("validation", 0.05), ("test", 0.05)):
        with pytest.raises(DataError, match=rf"data\.{split}_size=0\.05: sets none of the \d rows apart"):
            dataset(small(f"data.path={path}", f"data.{split}_size={size}"))
    whole = small(f"data.path={path}", "data.validation_size=2", "data.test_size=0")
    assert dataset(whole).sizes == {"train": 4, "validation": 2}


def test_a_source_that_changed_is_not_used_for_baselines(small: Compose, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", GOOD)
    data = dataset(small(f"data.path={path}"))
    write(path, GOOD[:-2])
    with pytest.raises(DataError, match="has changed since this run began"):
        data.labelled_split("train")


def test_class_weights_must_fit(small: Compose) -> None:
    from seqtrain.commands.build import build_model

    config = small("task.class_weights=[1,2,3]")
    with pytest.raises(ConfigError, match="one weight for each of the 2 classes"):
        build_model(config, dataset(config).spec)


DATA = os.environ.get("SEQTRAIN_DATA_DIR") or str(Path(__file__).parents[4] / "shared" / "data")
real_data = pytest.mark.skipif(not Path(DATA, "imdb").is_dir(), reason="SEQTRAIN_DATA_DIR names no folder with imdb/")


@real_data
def test_sst2_as_published(composed: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQTRAIN_DATA_DIR", DATA)
    data = dataset(composed("data=sst2"))
    assert data.sizes["train"] + data.sizes["validation"] == 67_349 and data.sizes["test"] == 872
    assert data.spec.class_names == ["negative", "positive"]
    assert np.bincount(data.labels["test"]).tolist() == [428, 444]


@real_data
def test_imdb_as_published(composed: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQTRAIN_DATA_DIR", DATA)
    data = dataset(composed("data=imdb"))
    assert data.sizes == {"train": 22_500, "validation": 2_500, "test": 25_000}
    assert data.spec.class_names == ["neg", "pos"] and data.spec.vocab_size == 30_000
    assert np.bincount(data.labels["test"]).tolist() == [12_500, 12_500]
    assert (data.labels["test"][:12_500] == 0).all()  # file order: all neg, then all pos
    places = sum(batch.inputs.numel() for batch in data.train_batches(0))
    tokens = sum(batch.num_tokens for batch in data.train_batches(0))
    assert 1 - tokens / places <= 0.02
