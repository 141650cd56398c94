import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from seqtrain.config.series import (
    GeneratedSeriesConfig,
    Missing,
    Process,
    PublicSeriesConfig,
    ScaleBy,
    Scaler,
    SeriesConfig,
    SeriesFilesConfig,
)
from seqtrain.data.base import Batch
from seqtrain.data.series.batch import ForecastBatch
from seqtrain.data.series.dataset import ForecastingData
from seqtrain.data.series.splits import split_rows
from seqtrain.data.series.windows import FilledRows
from seqtrain.errors import ConfigError, DataError, RunError

DATA = Path(os.environ.get("SEQTRAIN_DATA_DIR") or Path(__file__).parents[4] / "shared" / "data")
SPLITS = ("train", "validation", "test")
TENSORS = ("inputs", "targets", "future", "observed", "series", "centre", "scale", "lengths")


@pytest.fixture
def frame() -> pd.DataFrame:
    """200 hours of four variables."""
    random = np.random.default_rng(0)
    values = {name: random.normal(i, 1 + i, 200) for i, name in enumerate(["a", "b", "past", "known"])}
    return pd.DataFrame({"date": pd.date_range("2016-07-01", periods=200, freq="h"), **values})


@pytest.fixture
def long() -> pd.DataFrame:
    """Days of five series of unequal lengths; the last two are too short for some split, or for any."""
    random, parts = np.random.default_rng(1), []
    for name, count in (("a", 80), ("b", 47), ("c", 120), ("d", 15), ("e", 5)):
        date = pd.date_range("2020-01-01", periods=count, freq="D")
        parts.append(
            pd.DataFrame({"id": name, "date": date, "x": random.normal(size=count), "y": random.random(count)})
        )
    return pd.concat(parts)


def options(path: Path, **changes: object) -> SeriesFilesConfig:
    defaults: dict[str, object] = {"lookback": 7, "horizon": 3, "batch_size": 16, "eval_batch_size": 10}
    return SeriesFilesConfig(name="t", path=str(path), **(defaults | changes))  # type: ignore[arg-type]


def dataset(folder: Path, frame: pd.DataFrame, seed: int = 0, **changes: Any) -> ForecastingData:
    frame.to_parquet(folder / "t.parquet")
    return ForecastingData(options(folder / "t.parquet", **changes), seed)


def together(batches: Iterable[Batch]) -> dict[str, np.ndarray]:
    """All windows of some batches, in the order of their numbers."""
    parts = [part for part in batches if isinstance(part, ForecastBatch)]
    order = np.argsort(np.concatenate([part.rows for part in parts]))
    found = {}
    for name in TENSORS:
        if getattr(parts[0], name) is not None:
            found[name] = np.concatenate([np.asarray(getattr(part, name)) for part in parts])[order]
    return found


def equal(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def test_windows_are_slices(tmp_path: Path, frame: pd.DataFrame) -> None:
    """Against plain slicing: every window of every split, once, in units that lead back to the file's."""
    choice: dict[str, Any] = {"past_covariates": ["past"], "future_covariates": ["known"], "calendar": True}
    data = dataset(tmp_path, frame, **choice)
    values = frame[["a", "b", "past", "known"]].to_numpy()
    scaled = ((values - values[:140].mean(0)) / values[:140].std(0)).astype(np.float32)
    hour = frame["date"].dt.hour.to_numpy() / 23 - 0.5
    assert data.spec.num_features == 4 + 4 and data.spec.num_future == 1 + 4 and data.spec.target_names == ["a", "b"]
    assert (data.spec.num_targets, data.spec.lookback, data.spec.horizon, data.spec.season) == (2, 7, 3, 24)
    for split, (begin, end) in {"train": (7, 140), "validation": (140, 160), "test": (160, 200)}.items():
        first = list(range(begin, end - 3 + 1))
        assert data.sizes[split] == len(first)
        np.testing.assert_array_equal(data.source_rows(split), first)
        found = together(data.train_batches(0) if split == "train" else data.eval_batches(split))
        for window, row in enumerate(first):
            np.testing.assert_array_equal(found["inputs"][window, :, :4], scaled[row - 7 : row])
            np.testing.assert_array_equal(found["targets"][window], scaled[row : row + 3, :2])
            np.testing.assert_array_equal(found["future"][window, :, 0], scaled[row : row + 3, 3])
            np.testing.assert_allclose(found["inputs"][window, :, 4], hour[row - 7 : row], atol=1e-6)
            np.testing.assert_allclose(found["future"][window, :, 1], hour[row : row + 3], atol=1e-6)
        covered = {row + step for row in first for step in range(3)}
        assert covered == set(range(begin, end))
        back = found["centre"][:, None] + found["scale"][:, None] * found["targets"]
        np.testing.assert_allclose(back[:, 0], values[first, :2], rtol=1e-4, atol=1e-5)
        assert (found["lengths"] == 7).all() and not found["series"].any() and "observed" not in found


def test_batches(tmp_path: Path, frame: pd.DataFrame) -> None:
    data = dataset(tmp_path, frame)
    batches = list(data.train_batches(0))
    assert [len(batch.rows) for batch in batches] == [16] * 8 + [3] and len(batches) == data.num_batches(0)
    assert sorted(np.concatenate([batch.rows for batch in batches])) == list(range(131))
    assert batches[0].num_tokens == 16 * 7 and batches[0].inputs.is_contiguous()
    later = list(data.train_batches(0, start=5))
    assert len(later) == 4 and all(torch.equal(a.inputs, b.inputs) for a, b in zip(batches[5:], later, strict=True))
    for other in (data.train_batches(1), dataset(tmp_path, frame, seed=1).train_batches(0)):
        assert not np.array_equal(next(other).rows, batches[0].rows)
    moved = batches[0].to(torch.device("cpu"))
    assert isinstance(moved, ForecastBatch) and torch.equal(moved.future, batches[0].future)  # type: ignore[attr-defined]


@pytest.mark.parametrize("changes", [{"eval_batch_size": 1}, {"eval_batch_size": 999}, {"batch_size": 5}])
def test_batch_sizes_change_nothing(tmp_path: Path, frame: pd.DataFrame, changes: dict[str, Any]) -> None:
    one, other = dataset(tmp_path, frame), dataset(tmp_path, frame, **changes)
    for split in SPLITS:
        assert equal(together(one.eval_batches(split)), together(other.eval_batches(split)))
    assert equal(together(one.train_batches(3)), together(other.train_batches(3)))
    assert one.fingerprint == other.fingerprint
    if "batch_size" not in changes:
        for a, b in zip(one.train_batches(0), other.train_batches(0), strict=True):
            np.testing.assert_array_equal(a.rows, b.rows)


@pytest.mark.parametrize("scaler", Scaler)
@pytest.mark.parametrize("missing", [Missing.error, Missing.interpolate, Missing.mask])
def test_nothing_from_the_future(tmp_path: Path, frame: pd.DataFrame, scaler: Scaler, missing: Missing) -> None:
    """Values after a split's end change none of its windows, and those after train no constant."""
    if missing is not Missing.error:
        frame.loc[[50, 51, 138, 139, 140, 158, 159, 160, 170], "a"] = np.nan
    data = dataset(tmp_path, frame, scaler=scaler, missing=missing, calendar=True)
    for ends, same in ((140, ["train"]), (160, ["train", "validation"])):
        changed = frame.copy()
        changed.loc[ends:, ["a", "b", "past", "known"]] *= -3.0
        other = dataset(tmp_path, changed, scaler=scaler, missing=missing, calendar=True)
        for name in ("centre", "scale", "mean"):
            np.testing.assert_array_equal(getattr(other.scaling, name), getattr(data.scaling, name))
        for split in SPLITS:
            assert equal(together(data.eval_batches(split)), together(other.eval_batches(split))) == (split in same)
        assert other.fingerprint != data.fingerprint


@pytest.mark.parametrize("interpolate", [True, False])
def test_gaps_are_filled_from_the_past_of_each_window(interpolate: bool) -> None:
    """Against each window alone, without any value after it."""
    random = np.random.default_rng(0)
    values = random.normal(size=(60, 2)).astype(np.float32)
    values[random.random((60, 2)) < 0.4] = np.nan
    values[30:36, 0] = values[:3, 1] = np.nan  # also from one series to the next, and at the beginning
    offsets, filler = np.array([0, 33, 60]), np.array([[7.0, 8.0], [9.0, 10.0]])
    filled = FilledRows.of(values, offsets, filler, interpolate)
    for number, (start, end) in enumerate([(0, 33), (33, 60)]):
        starts = np.arange(start, end - 5 + 1)
        windows = filled.cut(starts, 5)
        for window, first in zip(windows, starts, strict=True):
            for column in range(2):
                past = pd.Series(values[start : first + 5, column].astype(float))
                past = past.interpolate(limit_area="inside").ffill() if interpolate else past
                expected = past.fillna(filler[number, column]).to_numpy()[-5:]
                np.testing.assert_allclose(window[:, column], expected, atol=1e-5)


def test_missing_values(tmp_path: Path, frame: pd.DataFrame) -> None:
    frame.loc[[20, 21, 150], "a"] = np.nan
    mask, line = (dataset(tmp_path, frame, missing=how) for how in (Missing.mask, Missing.interpolate))
    mean, deviation = frame["a"][:140].mean(), frame["a"][:140].std(ddof=0)
    np.testing.assert_allclose([mask.scaling.centre[0, 0], mask.scaling.scale[0, 0]], [mean, deviation])
    masked, drawn = together(mask.eval_batches("train")), together(line.eval_batches("train"))
    np.testing.assert_array_equal(masked["observed"], drawn["observed"])
    rows = mask.source_rows("train")[:, None] + np.arange(3)
    np.testing.assert_array_equal(~masked["observed"][..., 0], (rows == 20) | (rows == 21))
    assert masked["observed"][..., 1:].all() and all(np.isfinite(part).all() for part in masked.values())

    low, high = (frame["a"][[19, 22]] - mean) / deviation
    for last, expected in ((20, [low]), (21, [low, low]), (22, [low * 2 / 3 + high / 3, low / 3 + high * 2 / 3])):
        window = last + 1 - 7  # whose lookback ends there
        gap = drawn["inputs"][window, 20 - window : 22 - window, 0]
        np.testing.assert_allclose(gap, expected, atol=1e-5)
        np.testing.assert_array_equal(masked["inputs"][window, 20 - window : 22 - window, 0], 0)
    assert any("3 of 800 values are missing: inputs take the line" in note for note in line.notes)
    assert any("inputs take the mean of train" in note for note in mask.notes)
    with pytest.raises(DataError, match=r"data\.missing=mask"):
        dataset(tmp_path, frame)


def test_known_targets_are_counted(tmp_path: Path, long: pd.DataFrame) -> None:
    """Of each step and variable, against counting them in the batches."""
    long.loc[np.random.default_rng(2).random(len(long)) < 0.3, "x"] = np.nan
    long.iloc[[60, 61, 200], 3] = np.nan
    for missing, frame in ((Missing.mask, long), (Missing.error, long.fillna(0.5))):
        data = dataset(tmp_path, frame, id_column="id", missing=missing)
        for split in SPLITS:
            found = together(data.eval_batches(split))
            known = found.get("observed", np.ones(found["targets"].shape, dtype=bool))
            np.testing.assert_array_equal(data.target_counts(split), known.sum(0))


def test_a_split_without_known_targets_is_refused(tmp_path: Path, frame: pd.DataFrame) -> None:
    changes: dict[str, Any] = {"targets": ["a", "b"], "missing": Missing.mask, "scaler": Scaler.none}
    dataset(tmp_path, frame, **changes).save(tmp_path)
    for rows, split, windows in ((slice(7, 139), "train", 131), (slice(140, 159), "validation", 18)):
        gap = frame.copy()
        gap.loc[rows, ["a", "b"]] = np.nan
        with pytest.raises(DataError, match=rf"t\.parquet: no target .* windows of {split} \({windows}\); fill"):
            dataset(tmp_path, gap, **changes)
        gap.loc[rows.start, "b"] = 1.0
        data = dataset(tmp_path, gap, **changes)
        with pytest.raises(DataError, match=rf"windows of {split} \(1\)"):
            data.check_known(split, np.array([5]))
    frame[["a", "b"]] = np.nan
    frame.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"windows of test \(191\)"):
        ForecastingData(options(tmp_path / "t.parquet", **changes), 0, tmp_path, single_split=True)


def test_missing_covariates_of_the_horizon(tmp_path: Path, frame: pd.DataFrame) -> None:
    """They are known for the horizon, so that it may be interpolated in, too."""
    frame.loc[[60], "known"] = np.nan
    data = dataset(tmp_path, frame, missing=Missing.interpolate, future_covariates=["known"], scaler=Scaler.none)
    found = together(data.eval_batches("train"))
    before, after = frame["known"][59], frame["known"][61]
    row = {first: window for window, first in enumerate(data.source_rows("train"))}
    np.testing.assert_allclose(found["future"][row[59], 1, 0], (before + after) / 2, rtol=1e-5)
    np.testing.assert_allclose(found["future"][row[58], 2, 0], before, rtol=1e-5)  # its horizon ends at 60
    assert "observed" not in found


@pytest.mark.parametrize("by", ScaleBy)
def test_series_of_unequal_lengths(tmp_path: Path, long: pd.DataFrame, by: ScaleBy) -> None:
    data = dataset(tmp_path, long.sample(frac=1, random_state=0), id_column="id", scale_by=by)
    assert data.table.ids == ["a", "b", "c", "d"]
    assert any("1 of 5 series are left out" in note for note in data.notes)
    assert any(note.startswith("validation: ") and "1 series have none" in note for note in data.notes)
    pooled = long[long["id"] != "e"].groupby("id").apply(lambda part: part[: int(len(part) * 0.7)])
    for split in SPLITS:
        found = together(data.eval_batches(split))
        window = 0
        for number, (name, part) in enumerate(long.groupby("id")):
            values = part[["x", "y"]].to_numpy()
            count = len(values)
            train, test = int(count * 0.7), int(count * 0.2)
            begin, end = {"train": (0, train), "validation": (train, count - test), "test": (count - test, count)}[
                split
            ]
            known = (
                (values[:train] if by is ScaleBy.series else pooled[["x", "y"]].to_numpy()) if name != "e" else values
            )
            scaled = ((values - known.mean(0)) / known.std(0)).astype(np.float32)
            for row in range(max(begin, 7), end - 3 + 1):
                np.testing.assert_allclose(found["inputs"][window], scaled[row - 7 : row], rtol=1e-5, atol=1e-6)
                np.testing.assert_allclose(found["targets"][window], scaled[row : row + 3], rtol=1e-5, atol=1e-6)
                assert found["series"][window] == number
                window += 1
        assert window == data.sizes[split] == len(data.source_rows(split))


@pytest.mark.parametrize("length", [10, 96, 1000, 7588, 17544, 26304, 52696])
def test_fractions_are_rounded_as_in_the_field(length: int) -> None:
    config = SeriesConfig(name="t")
    train, test = int(length * 0.7), int(length * 0.2)
    assert split_rows(np.array([length]), config, "t").tolist() == [[train, length - test, length]]
    config = SeriesConfig(name="t", test_size=0.2)
    assert split_rows(np.array([length]), config, "t").tolist() == [[train, length - test, length]]


def test_sizes_of_splits() -> None:
    def rows(
        train: float, validation: float, test: float | None, lengths: tuple[int, ...] = (1000,)
    ) -> list[list[int]]:
        config = SeriesConfig(name="t", train_size=train, validation_size=validation, test_size=test)
        return split_rows(np.array(lengths), config, "t.csv").tolist()

    assert rows(500, 200, 100) == [[500, 700, 800]] and rows(500, 200, None) == [[500, 700, 1000]]
    assert rows(0.5, 100, None) == [[500, 600, 1000]] and rows(0.6, 0.1, 0.1) == [[600, 700, 800]]
    assert rows(300, 0.1, 0.2) == [[300, 400, 600]] and rows(50, 20, 30, (100, 60)) == [[50, 70, 100], [50, 60, 60]]
    with pytest.raises(DataError, match=r"t\.csv: data\.train_size.* ask for 1,200 rows, and it has 1,000; lower them"):
        rows(1000, 100, 100)
    for sizes in ((0.9, 0.1, None), (0.8, 0.1, 0.2)):
        with pytest.raises(
            ConfigError, match=r"data\.train_size=0\.\d, validation_size=0\.1 and test_size=.*: must be"
        ):
            rows(*sizes)


def test_too_short(tmp_path: Path, frame: pd.DataFrame, long: pd.DataFrame) -> None:
    for changes, message in (
        ({"lookback": 140}, r"train has 140 rows; data\.lookback=140 \+ data\.horizon=3 need 143; lower one of them"),
        ({"horizon": 25}, r"validation has 20 rows, after 140 others; data\.horizon=25 must .*data\.validation_size"),
        ({"horizon": 20, "test_size": 15}, r"test has 15 rows, after 160 others; .*data\.test_size"),
    ):
        with pytest.raises(DataError, match=message):
            dataset(tmp_path, frame, **changes)
    with pytest.raises(DataError, match=r"train of the longest series has 84 rows"):
        dataset(tmp_path, long, id_column="id", lookback=90)
    config = options(tmp_path / "t.parquet", id_column="id", lookback=300)
    with pytest.raises(DataError, match=r"test of the longest series has 120 rows; .* need 303; lower one of them$"):
        ForecastingData(config, 0, single_split=True)


def test_a_run_keeps_its_scaling(tmp_path: Path, frame: pd.DataFrame) -> None:
    data = dataset(tmp_path, frame, past_covariates=["past"], targets=["b"])
    data.save(tmp_path)
    new = frame[:50].assign(other=1.0)  # constant, and no concern of the run
    new.to_csv(tmp_path / "new.csv", index=False)
    config = options(tmp_path / "new.csv", past_covariates=["past"])
    whole = ForecastingData(config, 0, tmp_path, single_split=True)
    assert whole.sizes == {"test": 50 - 10 + 1} and whole.table.names == ["b", "past"] and whole.season == 24
    own = together(data.eval_batches("train"))["inputs"][:41]
    np.testing.assert_array_equal(together(whole.eval_batches("test"))["inputs"], own)
    assert np.isnan(whole.naive_errors(24)[0]).all()
    again = ForecastingData(options(tmp_path / "t.parquet", past_covariates=["past"]), 0, tmp_path)
    assert again.fingerprint == data.fingerprint and again.sizes == data.sizes
    new.rename(columns={"b": "B"}).to_csv(tmp_path / "new.csv", index=False)
    with pytest.raises(DataError, match=r"no column 'b' \(data\.targets\)"):
        ForecastingData(config, 0, tmp_path, single_split=True)
    with pytest.raises(DataError, match=r"variables b are not those .* trained on: b, past"):
        ForecastingData(options(tmp_path / "t.parquet"), 0, tmp_path)
    with pytest.raises(DataError, match=r"the frequency is h \(of the run\), and .* 2h: give a file"):
        new.iloc[::2].to_csv(tmp_path / "new.csv", index=False)
        ForecastingData(config, 0, tmp_path, single_split=True)
    (tmp_path / "scaler.json").unlink()
    with pytest.raises(RunError, match=r"scaler\.json: cannot be read .*train again"):
        ForecastingData(config, 0, tmp_path)


def test_what_baselines_divide_by(tmp_path: Path, frame: pd.DataFrame, long: pd.DataFrame) -> None:
    data = dataset(tmp_path, frame)
    train = frame[["a", "b", "past", "known"]].to_numpy()[:140]
    mae, mse = data.naive_errors(24)
    np.testing.assert_allclose(mae, [np.abs(train[24:] - train[:-24]).mean(0)])
    np.testing.assert_allclose(mse, [((train[24:] - train[:-24]) ** 2).mean(0)])
    np.testing.assert_array_equal(data.history("train")[0], train)
    mae, _ = dataset(tmp_path, long, id_column="id").naive_errors(20)
    assert mae.shape == (4, 2) and np.isfinite(mae[:3]).all() and np.isnan(mae[3]).all()
    assert not any("mase" in note for note in data.notes)
    data = dataset(tmp_path, long, id_column="id", season=20)
    assert any("mase and rmsse leave out 2 of 8 variables" in note for note in data.notes)
    data.save(tmp_path)
    other = ForecastingData(options(tmp_path / "t.parquet", id_column="id", season=7), 0, tmp_path)
    assert other.fingerprint == data.fingerprint
    assert any(note.startswith("data.season=7: mase") and note.endswith("is 20") for note in other.notes)


def test_fingerprint_and_description(tmp_path: Path, frame: pd.DataFrame) -> None:
    data = dataset(tmp_path, frame)
    assert data.fingerprint == dataset(tmp_path, frame, lookback=20, batch_size=3).fingerprint
    frame.to_csv(tmp_path / "a.csv", index=False)
    assert ForecastingData(options(tmp_path / "a.csv"), 1).fingerprint == data.fingerprint
    shifted = frame.assign(date=frame["date"] + pd.Timedelta("1h"))
    changes: list[dict[str, Any]] = [
        {"horizon": 4},
        {"train_size": 0.6},
        {"targets": ["a"]},
        {"scaler": Scaler.none},
    ]
    others = [dataset(tmp_path, frame, **change) for change in changes] + [dataset(tmp_path, shifted)]
    assert data.fingerprint not in {other.fingerprint for other in others}
    assert data.notes[0] == "train: 140 rows, 2016-07-01 00:00 to 2016-07-06 19:00; 131 windows"
    described = data.describe()
    assert described["frequency"] == "h" and described["rows"] == {"train": 140, "validation": 20, "test": 40}
    batch, names = data.examples("test", 4)
    assert batch.rows.tolist() == [0, 12, 24, 37] and batch.inputs.shape == (4, 7, 4) and data.token_names() == []
    assert names[0][6:8] == ["2016-07-07 15:00", "2016-07-07 16:00"] and len(names[3]) == 7 + 3


def test_a_computed_series_is_foretold_by_its_equations() -> None:
    config = GeneratedSeriesConfig(name="sine", process=Process.sine, length=1000, lookback=168, horizon=24, season=24)
    found = together(ForecastingData(config, 0).eval_batches("test"))
    np.testing.assert_allclose(found["targets"], found["inputs"][:, :24], atol=1e-5)


def test_etth1_is_split_as_in_the_literature() -> None:
    if not (DATA / "ett" / "ETTh1.csv").is_file():
        pytest.skip("SEQTRAIN_DATA_DIR names no folder with ett/")
    config = PublicSeriesConfig(name="etth1", folder="ett", file="ETTh1.csv", path=str(DATA / "ett"))
    config.train_size, config.validation_size, config.test_size = 8640, 2880, 2880
    data = ForecastingData(config, 0)
    assert data.sizes == {"train": 8449, "validation": 2785, "test": 2785}
    assert data.spec.target_names == ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"] and data.season == 24
    values = pd.read_csv(DATA / "ett" / "ETTh1.csv").drop(columns="date").to_numpy()
    scaled = ((values - values[:8640].mean(0)) / values[:8640].std(0)).astype(np.float32)
    found = together(data.eval_batches("test"))
    np.testing.assert_allclose(found["inputs"][0], scaled[11520 - 96 : 11520], atol=1e-5)
    np.testing.assert_allclose(found["targets"][-1], scaled[14400 - 96 : 14400], atol=1e-5)
    assert "3,020 rows after test are not used" in data.notes
    config.lookback, config.horizon = 336, 720
    assert ForecastingData(config, 0).sizes == {"train": 8640 - 1055, "validation": 2161, "test": 2161}
