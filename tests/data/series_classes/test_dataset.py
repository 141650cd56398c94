"""Labelled series as a dataset: splits, filling, scaling, shortening, batches, and what a trained run reads again."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from seqtrain.commands.build import build_data
from seqtrain.config.base import Targets
from seqtrain.config.root import Config
from seqtrain.data.series_classes.dataset import SeriesClasses
from seqtrain.errors import DataError, RunError
from seqtrain.runs.json_files import write_json
from tests.archives import Labelled, waves, write_archive, write_pair

Compose = Callable[..., Config]


@pytest.fixture
def build(composed: Compose) -> Callable[..., SeriesClasses]:
    def build_from(
        path: Path, *overrides: str, trained: Path | None = None, single_split: bool = False
    ) -> SeriesClasses:
        data = build_data(composed("data=series_classes", f"data.path={path}", *overrides), trained, single_split)
        assert isinstance(data, SeriesClasses)
        return data

    return build_from


Build = Callable[..., SeriesClasses]


def save(data: SeriesClasses, run: Path) -> Path:
    run.mkdir()
    data.save(run)
    write_json(run / "data.json", data.describe())
    return run


def test_a_pair_of_files_with_unequal_lengths(build: Build, tmp_path: Path) -> None:
    data = build(write_pair(tmp_path / "Waves", unequal=True, features=2))
    assert data.sizes == {"train": 48, "validation": 12, "test": 30}
    spec = data.spec
    assert spec.num_features == 2 and spec.targets == Targets.sequence_class and spec.vocab_size is None
    assert spec.class_names == ["high", "low", "mid"] and spec.class_counts == [16, 16, 16]
    assert data.notes[0] == "files of train: Waves_TRAIN.ts; test: Waves_TEST.ts"
    rows = [row for batch in data.train_batches(0) for row in batch.rows.tolist()]
    assert sorted(rows) == list(range(48))
    whole = [(v, label) for v, label in waves(60, 1, unequal=True, features=2)]
    train = np.concatenate([whole[row][0] for row in data.source_rows("train")])
    mean, std = train.mean(0), train.std(0)
    for batch in data.eval_batches("validation"):
        assert batch.inputs.dtype == torch.float32 and batch.inputs.shape[1] == batch.lengths.max()
        assert batch.num_tokens == batch.lengths.sum()
        for i, row in enumerate(data.source_rows("validation")[batch.rows]):
            values, label = whole[row]
            assert spec.class_names[batch.targets[i]] == label and batch.lengths[i] == len(values)
            np.testing.assert_allclose(batch.inputs[i, : len(values)], (values - mean) / std, atol=1e-5)
            assert (batch.inputs[i, len(values) :] == 0).all()


def test_the_seed_decides_the_order_and_not_the_split(build: Build, tmp_path: Path) -> None:
    folder = write_pair(tmp_path / "Waves")
    one, same, other = (build(folder, f"seed={seed}") for seed in (1, 1, 2))
    orders = [[batch.rows.tolist() for batch in data.train_batches(3)] for data in (one, same, other)]
    assert orders[0] == orders[1] != orders[2]
    assert (
        one.fingerprint == other.fingerprint
        and (one.source_rows("validation") == other.source_rows("validation")).all()
    )
    assert [b.rows.tolist() for b in one.train_batches(3, 2)] == orders[0][2:]
    assert build(folder, "data.split_seed=1").fingerprint != one.fingerprint


def test_two_rows_a_class_leave_none_without_a_row_in_train(build: Build, tmp_path: Path) -> None:
    names = [f"c{i}" for i in range(20)]
    write_archive(tmp_path / "F_TRAIN.ts", waves(40, classes=names))
    write_archive(tmp_path / "F_TEST.ts", waves(40, 3, classes=names))
    data = build(tmp_path)
    assert data.sizes["validation"] == 8 and min(data.spec.class_counts) == 1
    notes = "\n".join(data.notes)
    assert "validation: has no series of 12 of 20 classes (" in notes and "validation: has 8 series only" in notes
    folded = build(tmp_path, "data.folds=2", "data.fold=1")
    assert folded.sizes["validation"] == 20 and folded.spec.class_counts == [1] * 20 and folded.folds_of
    assert folded.folds_of == build(tmp_path, "data.folds=2").folds_of


def test_one_row_a_class_is_train_and_validation(build: Build, tmp_path: Path) -> None:
    names = [f"c{i}" for i in range(18)]
    write_archive(tmp_path / "F_TRAIN.ts", waves(18, classes=names))
    write_archive(tmp_path / "F_TEST.ts", waves(36, 3, classes=names))
    data = build(tmp_path)
    assert data.sizes == {"train": 18, "validation": 18, "test": 36} and data.spec.class_counts == [1] * 18
    of_validation = [note for note in data.notes if note.startswith("validation:")]
    assert len(of_validation) == 1 and "is train itself, since no class has two series" in of_validation[0]


def test_a_folder_with_a_test_file_only_can_be_scored_and_not_trained_on(build: Build, tmp_path: Path) -> None:
    run = save(build(write_pair(tmp_path / "Waves")), tmp_path / "run")
    (tmp_path / "Waves" / "Waves_TRAIN.ts").unlink()
    with pytest.raises(DataError, match=r"Waves: has no file of split 'train' .* to train on; test: Waves_TEST\.ts$"):
        build(tmp_path / "Waves")
    assert build(tmp_path / "Waves", trained=run).sizes == {"test": 30}


def test_a_single_file_is_split_in_three_and_scored_whole(build: Build, tmp_path: Path) -> None:
    path = write_archive(tmp_path / "one.ts", waves(50))
    data = build(path)
    assert data.sizes == {"train": 32, "validation": 9, "test": 9}
    run = save(data, tmp_path / "run")
    other = write_archive(tmp_path / "other.ts", waves(9, 5)[1:])  # without a row of the first class at the start
    scored = build(other, trained=run, single_split=True)
    assert scored.sizes == {"test": 8} and scored.spec.class_names == data.spec.class_names
    assert scored.preparation == data.preparation
    assert build(path, trained=run).fingerprint == data.fingerprint
    alone = build(write_pair(tmp_path / "Waves") / "Waves_TRAIN.ts")
    assert "Waves_TEST.ts too" in alone.notes[0] and set(alone.sizes) == {"train", "validation", "test"}


def with_gaps() -> list[Labelled]:
    series = waves(20, features=2)
    series[0][0][[0, 1, 10, -1], 0] = np.nan
    series[1][0][:, 1] = np.nan
    return series


def test_missing_values_are_filled_and_counted(build: Build, tmp_path: Path) -> None:
    path = write_archive(tmp_path / "gaps.ts", with_gaps())
    data = build(path, "data.scale_by=none", "data.test_size=0", "data.validation_size=1")
    assert any("44 of 1,600 values are missing, in 2 of 20 series; filled by the line" in note for note in data.notes)
    at = {int(row): (split, i) for split in data.sizes for i, row in enumerate(data.source_rows(split))}
    values = {row: data.series[split][i] for row, (split, i) in at.items()}
    known = with_gaps()[0][0][:, 0]
    first = values[0][:, 0]
    np.testing.assert_allclose(first[[0, 1, -1]], [known[2], known[2], known[-2]], rtol=1e-6)
    assert first[10] == pytest.approx((known[9] + known[11]) / 2, rel=1e-5)
    train = np.concatenate([with_gaps()[row][0] for row in data.source_rows("train")])
    np.testing.assert_allclose(values[1][:, 1], np.nanmean(train[:, 1]), rtol=1e-5)
    mean = build(path, "data.scale_by=none", "data.missing=mean", "data.test_size=0", "data.validation_size=1")
    split, i = at[0]
    assert mean.series[split][i][10, 0] == pytest.approx(np.nanmean(train[:, 0]), rel=1e-5)
    assert mean.fingerprint == data.fingerprint and mean.prepared_fingerprint != data.prepared_fingerprint
    with pytest.raises(DataError, match=r"gaps\.ts: line 8: 4 values are missing \(44 in all\); set data\.missing"):
        build(path, "data.missing=error")


def test_scaling_by_series_and_constants(build: Build, tmp_path: Path) -> None:
    series = [(values * (i + 1) + i, label) for i, (values, label) in enumerate(waves(12, features=2))]
    series[4][0][:, 1] = 7.0
    data = build(write_archive(tmp_path / "s.ts", series), "data.scale_by=series", "data.test_size=0")
    for split in data.sizes:
        for i, row in enumerate(data.source_rows(split)):
            values = data.series[split][i]
            np.testing.assert_allclose(values.mean(0), 0, atol=1e-5)
            np.testing.assert_allclose(values.std(0), [1, 0 if row == 4 else 1], atol=1e-5)


def test_long_series_are_averaged(build: Build, tmp_path: Path) -> None:
    series = waves(20, length=45)
    data = build(
        write_archive(tmp_path / "s.ts", series), "data.max_length=20", "data.scale_by=none", "data.test_size=0"
    )
    assert data.notes[-1] == "series of 45 steps; the mean of 3 neighbouring steps becomes one (data.max_length)"
    row = data.source_rows("train")[0]
    np.testing.assert_allclose(data.series["train"][0], series[row][0].reshape(15, 3, 1).mean(1), rtol=1e-5, atol=1e-6)
    uneven = build(
        write_archive(tmp_path / "u.ts", waves(20, length=44)),
        "data.max_length=20",
        "data.scale_by=none",
        "data.test_size=0",
    )
    row = uneven.source_rows("train")[0]
    np.testing.assert_allclose(uneven.series["train"][0][-1], waves(20, length=44)[row][0][-2:].mean(), rtol=1e-4)


def test_a_batch_has_a_share_of_train(build: Build, tmp_path: Path) -> None:
    path = write_archive(tmp_path / "s.ts", waves(100))
    assert build(path, "data.batch_share=0.1").config.batch_size == 6
    assert build(path, "data.batch_share=0.01").config.batch_size == 4
    assert build(path, "data.batch_share=0.5").config.batch_size == 16


def test_rows_without_label_or_value_are_dropped_and_repeated_ones_named(build: Build, tmp_path: Path) -> None:
    series = waves(12)
    series[3] = series[3][0], "?"
    series[5] = np.full((4, 1), np.nan), "low"
    write_archive(tmp_path / "D_TRAIN.ts", series)
    write_archive(tmp_path / "D_TEST.ts", waves(12)[:3])
    data = build(tmp_path)
    notes = "\n".join(data.notes)
    assert "2 series dropped (1 without a known value, 1 without label)" in notes
    assert "series also occur, with equal values, in validation or test" in notes


def test_numbers_and_labels_of_steps(build: Build, tmp_path: Path) -> None:
    series = [(values, f"{values.mean():.4f}") for values, _ in waves(30)]
    path = write_archive(tmp_path / "r.ts", series, ["@targetLabel true"])
    data = build(path, "task=sequence_regression")
    assert data.spec.targets == Targets.sequence_number and data.spec.class_names == []
    batch = data.batch("train", np.array([0]))
    assert batch.targets.dtype == torch.float32
    assert batch.targets.item() == pytest.approx(float(series[data.source_rows("train")[0]][1]))
    with pytest.raises(DataError, match="line 3: 'low' is not a finite number"):
        build(write_archive(tmp_path / "c.ts", waves(9), ["@classLabel true low mid high"]), "task=sequence_regression")
    rows = [f"{i},{t},{t % 3},{'on' if (t + i) % 3 else 'off'}" for i in range(20) for t in range(4 + i % 3)]
    (tmp_path / "steps.csv").write_text("id,t,x,label\n" + "\n".join(rows))
    steps = build(tmp_path / "steps.csv", "task=sequence_labelling", "data.id_column=id", "data.features=[x]")
    assert steps.spec.targets == Targets.step_labels and steps.spec.class_names == ["off", "on"]
    for batch in steps.eval_batches("train"):
        for i, row in enumerate(steps.source_rows("train")[batch.rows].tolist()):
            length = 4 + row % 3
            assert batch.lengths[i] == length
            assert batch.targets[i, :length].tolist() == [int((t + row) % 3 > 0) for t in range(length)]
    longer = build(tmp_path / "steps.csv", "task=sequence_labelling", "data.id_column=id", "data.max_length=5")
    assert "data.max_length=5: is not applied, since every step has a label" in longer.notes
    assert longer.lengths("train").max() == 6 and longer.preparation.steps == 1


def test_new_series_are_read_and_prepared_as_those_of_the_run(build: Build, tmp_path: Path) -> None:
    data = build(write_archive(tmp_path / "s.ts", waves(30, features=2)), "data.max_length=20")
    run = save(data, tmp_path / "run")
    new = [values for values, _ in waves(5, 9, features=2, unequal=True)]
    batches = list(SeriesClasses.new_batches(data.config, run, new))
    found = {
        int(row): (batch.inputs[i], int(batch.lengths[i])) for batch in batches for i, row in enumerate(batch.rows)
    }
    for i, values in enumerate(new):
        inputs, length = found[i]
        np.testing.assert_array_equal(inputs[:length], data.preparation.apply(values, data.config))
    for wrong in ([1.0, 2.0], np.zeros((4, 3)), np.full((3, 2), np.nan), [["a", "b"]]):
        with pytest.raises(DataError, match="series 0: "):
            list(SeriesClasses.new_batches(data.config, run, [wrong]))
    table, rows, usable = SeriesClasses.read_rows(data.config, str(tmp_path / "s.ts"))
    assert table.names == ["series", "label"] and len(rows) == 30 and usable.all()
    other = write_archive(tmp_path / "o.ts", waves(3))
    _, rows, _ = SeriesClasses.read_rows(data.config, str(other))
    with pytest.raises(DataError, match="its series have 1 features, and those of the run have 2"):
        list(SeriesClasses.new_batches(data.config, run, rows))
    (run / "preparation.json").write_text("{}")
    with pytest.raises(RunError, match=r"preparation\.json"):
        list(SeriesClasses.new_batches(data.config, run, new))


def test_faults_of_folders_and_labels(build: Build, tmp_path: Path) -> None:
    both = tmp_path / "both"
    write_pair(both)
    write_archive(both / "Other_TRAIN.ts", waves(6))
    with pytest.raises(DataError, match=r"holds 2 datasets \(Other, Waves\), and none has the name of the folder"):
        build(both)
    shutil.copy(both / "Waves_TRAIN.ts", both / "Waves_VAL.ts")
    shutil.copy(both / "Waves_TRAIN.ts", both / "Waves_VALID.ts")
    (both / "Other_TRAIN.ts").unlink()
    with pytest.raises(DataError, match=r"validation is there twice \(Waves_VAL\.ts, Waves_VALID\.ts\); remove one"):
        build(both)
    new = write_pair(tmp_path / "new")
    write_archive(new / "Waves_TEST.ts", waves(8, classes=("low", "mid", "odd", "high")))
    with pytest.raises(DataError, match="train has no row of class odd, which another split has"):
        build(new, "data.class_names=[low,mid,odd,high]")
    with pytest.raises(DataError, match="all rows have the one label 'low'"):
        build(write_archive(tmp_path / "one.ts", waves(6, classes=("low",))))
    with pytest.raises(DataError, match=r"data\.path: must be given for data=series_classes: a \.ts"):
        build_data_without_path(build)


def build_data_without_path(build: Build) -> None:
    build(Path("x"), "data.path=null")
