"""Folds: which rows are validation of which, in texts, sets of labels and tags."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqtrain.commands.build import build_data
from seqtrain.config.root import Config
from seqtrain.data.base import Dataset
from seqtrain.data.folds import NONE, class_folds, cut_fold, set_folds
from seqtrain.errors import ConfigError, DataError

Compose = Callable[..., Config]


@pytest.mark.parametrize(("counts", "folds"), [([50, 31, 7, 2], 5), ([3, 3], 6), ([2, 2, 2], 2)])
def test_classes_are_spread_evenly(counts: list[int], folds: int) -> None:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    fold_of = class_folds(labels, folds, seed=0)
    sizes = np.bincount(fold_of, minlength=folds)
    assert len(sizes) == folds and sizes.max() - sizes.min() <= 1
    for label in range(len(counts)):
        of_class = np.bincount(fold_of[labels == label], minlength=folds)
        assert of_class.max() - of_class.min() <= 1 and np.count_nonzero(of_class) > 1
    assert (class_folds(labels, folds, seed=1) != fold_of).any()


def test_every_class_keeps_a_row_in_train() -> None:
    labels = np.array([0] * 8 + [1])
    fold_of = class_folds(labels, 3, seed=0)
    assert fold_of[8] == NONE and (fold_of[:8] >= 0).all()
    holders = [np.arange(6), np.array([2]), np.array([], dtype=int), np.array([2, 4])]
    for seed in range(20):
        fold_of = set_folds(iter(holders), 6, 2, seed)
        assert fold_of[2] == NONE  # and it keeps the class of rows 2 and 4, too
        assert (fold_of[[0, 1, 3, 5]] >= 0).all()


def test_folds_that_cannot_be() -> None:
    with pytest.raises(DataError, match=r"data.folds=4: train has only 3 rows, and each fold needs one; lower it"):
        class_folds(np.array([0, 1, 1]), 4, seed=0)
    with pytest.raises(DataError, match=r"data.fold=1: every row of this fold is the only one of its class"):
        cut_fold(np.array([0, NONE, 2]), 1)


TAGS = "".join(f"word{i} {'AB'[i % 2]}\nend {'C' if i == 7 else 'A'}\n\n" for i in range(30))


@pytest.fixture(params=["classes", "sets", "tags"])
def make(request: pytest.FixtureRequest, small: Compose, composed: Compose, tmp_path: Path) -> Callable[..., Dataset]:
    """Datasets of 31 rows or fewer in train, of the kinds that have folds."""
    lines = [f'{{"text": "text {i}", "label": {["a", "b"][i % 2 :][:1]}}}\n'.replace("'", '"') for i in range(30)]
    if request.param == "tags":
        (tmp_path / "tags.conll").write_text(TAGS)
        options = ["data=tagging_files", f"data.path={tmp_path / 'tags.conll'}", "device=cpu"]
        return lambda *more: build_data(composed(*options, *more))
    if request.param == "classes":
        lines = [line.replace("[", "").replace("]", "") for line in lines]
    (tmp_path / "texts.jsonl").write_text("".join(lines))
    task = ["task=multilabel"] if request.param == "sets" else []
    return lambda *more: build_data(small(f"data.path={tmp_path / 'texts.jsonl'}", *task, *more))


def test_each_row_is_validation_of_one_fold(make: Callable[..., Dataset]) -> None:
    folds: list[Any] = [make("data.folds=4", f"data.fold={fold}", f"seed={fold}") for fold in range(4)]
    plain: Any = make()
    tests = [data.source_rows("test").tolist() for data in [*folds, plain]]
    assert all(rows == tests[0] for rows in tests) and len(tests[0]) == 3  # the test split stays
    pool = np.sort(np.concatenate([plain.source_rows(split) for split in ("train", "validation")]))
    validation = np.concatenate([data.source_rows("validation") for data in folds])
    assert len(set(validation)) == len(validation) and set(pool) - set(validation) <= {7}
    for fold, data in enumerate(folds):
        both = [*data.source_rows("train"), *data.source_rows("validation")]
        assert np.sort(both).tolist() == pool.tolist()
        size = data.sizes["validation"]
        unit = "sentences" if "tags" in type(data).__module__ else "rows"
        assert any(f"validation: {size} {unit} of train, fold {fold} of 4 (data.folds)" in n for n in data.notes)
        assert all(count > 0 for count in data.spec.class_counts)
    assert len({data.fingerprint for data in folds}) == 4 and len({data.folds_of for data in folds}) == 1
    assert plain.folds_of == "" and "folds_of" not in plain.describe()
    assert folds[0].describe()["folds_of"] == folds[0].folds_of
    again = make("data.folds=4", "data.fold=1", "seed=9")
    assert again.fingerprint == folds[1].fingerprint
    for other in ("data.split_seed=1", "data.folds=5"):
        assert make("data.folds=4", "data.fold=1", other).folds_of != folds[1].folds_of


def test_validation_of_the_source_is_no_fold(small: Compose, composed: Compose, tmp_path: Path) -> None:
    rows = "text,label\n" + "".join(f"text {i},{'ab'[i % 2]}\n" for i in range(30))
    for split in ("train", "validation"):
        for kind, content in (("conll", TAGS), ("csv", rows)):
            (tmp_path / kind).mkdir(exist_ok=True)
            (tmp_path / kind / f"{split}.{kind}").write_text(content)
    message = r"data.folds=2: .*validation.* is validation, and a fold .*; give data.validation_split=null to leave"
    tags = ["data=tagging_files", f"data.path={tmp_path / 'conll'}", "device=cpu"]
    for compose, options in ((composed, tags), (small, [f"data.path={tmp_path / 'csv'}"])):
        with pytest.raises(DataError, match=message):
            build_data(compose(*options, "data.folds=2"))
        sizes = build_data(compose(*options, "data.folds=2", "data.validation_split=null", "data.test_size=0")).sizes
        assert sum(sizes.values()) == 30 and set(sizes) == {"train", "validation"}


@pytest.mark.parametrize("data", ["text_files", "tagging_files"])
def test_options_out_of_range(composed: Compose, data: str) -> None:
    options = [f"data={data}", "data.path=x", "device=cpu"]
    for bad, message in (
        (["data.folds=1"], "data.folds=1: must be at least 2, or null"),
        (["data.fold=2"], "data.fold=2: must be 0, unless data.folds gives the number of folds"),
        (["data.folds=3", "data.fold=3"], r"data.fold=3: must be in \[0, 3\), of data.folds=3"),
    ):
        with pytest.raises(ConfigError, match=message):
            composed(*options, *bad)


def test_a_sweep_over_folds_from_the_command_line(
    run_in: Callable[[Path], Callable[..., Any]], reviews: Path, tmp_path: Path
) -> None:
    run = run_in(tmp_path)
    options = ["data=text_files", f"data.path={reviews}", "model=gru", "trainer.max_steps=2", "trainer.figures=false"]
    tiny = ["model.hidden_size=8", "model.embedding.embed_dim=8", "device=cpu", "trainer.baselines=false"]
    sweep = run("-m", *options, *tiny, "data.folds=2", "data.fold=range(2)", "hydra.sweep.dir=folds")
    assert sweep.returncode == 0, sweep.stderr
    table = run("compare", "folds", "format=csv", "split=validation").stdout.splitlines()
    header, row = csv.reader(table[:2])
    assert row[header.index("runs")] == "2"
    done = sorted(path.parent for path in (tmp_path / "folds").glob("*/results.json"))
    scored = run("eval", f"run={done[0]}", "split=validation")
    assert scored.returncode == 0 and '"size": 150' in scored.stdout, scored.stderr


def panel(folder: Path, names: list[str], steps: int = 60) -> list[str]:
    """Options for series with these names in a file of long form."""
    rows = [[name, step, place + step % 5] for place, name in enumerate(names) for step in range(steps)]
    with (folder / "panel.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "date", "y"], *rows])
    sizes = ["data.lookback=4", "data.horizon=2", "data.id_column=id", "model=nlinear", "device=cpu"]
    return ["data=series_files", f"data.path={folder / 'panel.csv'}", *sizes]


def test_folds_of_series_are_groups_of_series(composed: Compose, tmp_path: Path) -> None:
    options = panel(tmp_path, ["c", "a", "e", "b", "d"])
    plain: Any = build_data(composed(*options))
    folds: list[Any] = [build_data(composed(*options, "data.folds=2", f"data.fold={fold}")) for fold in range(2)]
    validation = [data.source_rows("validation").tolist() for data in folds]
    assert sorted(validation[0] + validation[1]) == sorted(plain.source_rows("validation").tolist())
    for fold, data in enumerate(folds):
        inside = {
            data.table.ids[series] for series in data.batch("validation", np.arange(data.sizes["validation"])).series
        }
        others = {data.table.ids[series] for series in data.batch("train", np.arange(data.sizes["train"])).series}
        assert inside | others == set("abcde") and not inside & others and len(inside) in (2, 3)
        assert data.source_rows("test").tolist() == plain.source_rows("test").tolist()
        assert f"validation: {len(inside)} of 5 series, fold {fold} of 2 (data.folds)" in "; ".join(data.notes)
        assert not any("too short" in note for note in data.notes)
        np.testing.assert_array_equal(data.constants.scale, plain.constants.scale)
    assert len({data.fingerprint for data in (plain, *folds)}) == 3
    assert folds[0].folds_of == folds[1].folds_of != "" and plain.folds_of == ""
    again: Any = build_data(composed(*panel(tmp_path, ["a", "b", "c", "d", "e"]), "data.folds=2"))
    first = folds[0].batch("validation", np.arange(folds[0].sizes["validation"])).series
    other = again.batch("validation", np.arange(again.sizes["validation"])).series
    assert {folds[0].table.ids[k] for k in first} == {again.table.ids[k] for k in other}  # whatever their order
    assert build_data(composed(*options, "data.folds=2", "data.split_seed=3")).folds_of != folds[0].folds_of


def test_one_series_has_no_folds(composed: Compose, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.folds=2: .*panel\.csv has one series, .* use seqtrain backtest refit"):
        build_data(composed(*panel(tmp_path, ["a"]), "data.folds=2"))
    with pytest.raises(DataError, match=r"data\.folds=3: .* has 2 series, and each fold needs one"):
        build_data(composed(*panel(tmp_path, ["a", "b"]), "data.folds=3"))
    with pytest.raises(ConfigError, match=r"data\.fold=2: must be in \[0, 2\)"):
        composed(*panel(tmp_path, ["a", "b"]), "data.folds=2", "data.fold=2")
