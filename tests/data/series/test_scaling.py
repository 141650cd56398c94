from pathlib import Path

import numpy as np
import pytest

from seqtrain.config.series import ScaleBy, Scaler
from seqtrain.data.series.saved import SavedSeries
from seqtrain.data.series.scaling import Scaling
from seqtrain.errors import DataError

OFFSETS = np.array([0, 60, 100])
TRAIN = np.array([40, 85])
NAMES, IDS = ["a", "b"], ["one", "two"]


@pytest.fixture
def values() -> np.ndarray:
    values = np.random.default_rng(0).gamma(2.0, 3.0, (100, 2)) + [0, 1e6]
    values[5, 0] = values[62, 1] = np.nan
    return values


def fit(
    values: np.ndarray, scaler: Scaler = Scaler.standard, by: ScaleBy = ScaleBy.series, notes: list[str] | None = None
) -> Scaling:
    return Scaling.fit(values, OFFSETS, TRAIN, scaler, by, NAMES, IDS, [] if notes is None else notes)


def test_standard_is_scikit_learns(values: np.ndarray) -> None:
    from sklearn.preprocessing import StandardScaler

    scaling = fit(values)
    for number, (start, end) in enumerate([(0, 40), (60, 85)]):
        reference = StandardScaler().fit(values[start:end])
        np.testing.assert_allclose(scaling.centre[number], reference.mean_, rtol=1e-12)
        np.testing.assert_allclose(scaling.scale[number], reference.scale_, rtol=1e-9)
    shared = fit(values, by=ScaleBy.all)
    reference = StandardScaler().fit(np.concatenate([values[:40], values[60:85]]))
    np.testing.assert_allclose(shared.select(IDS).scale, [reference.scale_] * 2, rtol=1e-9)
    assert shared.ids is None and shared.centre.shape == (1, 2)


def test_robust_and_minmax(values: np.ndarray) -> None:
    train = values[60:85]
    robust, minmax = fit(values, Scaler.robust), fit(values, Scaler.minmax)
    low, middle, high = np.nanpercentile(train, [25, 50, 75], axis=0)
    np.testing.assert_allclose([robust.centre[1], robust.scale[1]], [middle, high - low])
    scaled = minmax.apply(values, OFFSETS)[60:85]
    np.testing.assert_allclose([np.nanmin(scaled, 0), np.nanmax(scaled, 0)], [[0, 0], [1, 1]], atol=1e-6)
    none = fit(values, Scaler.none)
    np.testing.assert_array_equal(none.apply(values, OFFSETS), values.astype(np.float32))


@pytest.mark.parametrize("scaler", Scaler)
@pytest.mark.parametrize("by", ScaleBy)
def test_only_train_counts(values: np.ndarray, scaler: Scaler, by: ScaleBy) -> None:
    changed = values.copy()
    changed[40:60], changed[85:] = 1e9, np.nan
    before, after = fit(values, scaler, by), fit(changed, scaler, by)
    for name in ("centre", "scale", "mean"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))


def test_there_and_back(values: np.ndarray, tmp_path: Path) -> None:
    scaling = fit(values)
    scaled = scaling.apply(values, OFFSETS)
    assert scaled.dtype == np.float32
    series = np.array([0] * 60 + [1] * 40)
    np.testing.assert_allclose(scaling.undo(scaled, series), values, rtol=1e-6)
    windows = np.stack([scaled[:10, :1], scaled[60:70, :1]])  # the first variable of two windows
    np.testing.assert_allclose(
        scaling.undo(windows, np.array([0, 1]))[..., 0], [values[:10, 0], values[60:70, 0]], rtol=1e-6
    )
    saved = SavedSeries(1, "h", NAMES, IDS, *(each.tolist() for each in (scaling.centre, scaling.scale, scaling.mean)))
    saved.write(tmp_path / "scaler.json")
    loaded = SavedSeries.read(tmp_path / "scaler.json").scaling
    for name in ("centre", "scale", "mean"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(scaling, name))
    assert (loaded.names, loaded.ids) == (NAMES, IDS)


def test_constants_of_chosen_series(values: np.ndarray) -> None:
    scaling = fit(values)
    np.testing.assert_array_equal(scaling.select(["two"]).centre, scaling.centre[1:])
    with pytest.raises(DataError, match=r"series 'three' \(1 in all\).*data\.scale_by=all"):
        scaling.select(["one", "three"])
    assert fit(values, by=ScaleBy.all).select(["three"]).scale.shape == (1, 2)


CONSTANT = "1 of 4 variables of all series are constant or unknown in train, and are scaled by 1: 'b' of series 'two'"


@pytest.mark.parametrize("scaler", [Scaler.standard, Scaler.robust, Scaler.minmax])
def test_a_constant_is_scaled_by_1_around_its_value(values: np.ndarray, scaler: Scaler) -> None:
    """And what is unknown around 0; the other variables keep their constants."""
    usual, notes = fit(values, scaler), list[str]()
    values[60:85, 1] = 0.1  # whose deviation is not exactly 0
    for value, centre in ((0.1, 0.1), (np.nan, 0)):
        values[60:85, 1] = value
        scaling = fit(values, scaler, notes=notes)
        assert (scaling.centre[1, 1], scaling.scale[1, 1], scaling.mean[1, 1]) == pytest.approx((centre, 1, centre))
        assert scaling.apply(values, OFFSETS)[60, 1] == 0 or np.isnan(value)
        for name in ("centre", "scale", "mean"):
            kept = [getattr(each, name).ravel()[:3] for each in (scaling, usual)]
            np.testing.assert_array_equal(*kept)
    assert notes == [CONSTANT] * 2
    assert fit(values, scaler, ScaleBy.all, notes).scale.min() > 0 and len(notes) == 2
    values[:40, 1] = np.nan
    for by in ScaleBy:
        with pytest.raises(DataError, match="variable 'b': has no known value in any row of train"):
            fit(values, scaler, by)
    np.testing.assert_array_equal(fit(values, Scaler.none).mean[1, 1], 0)


def test_an_interquartile_range_of_0_is_replaced(values: np.ndarray) -> None:
    values[60:85, 1], notes = [0] * 24 + [1], list[str]()
    scaling = fit(values, Scaler.robust, notes=notes)
    assert scaling.centre[1, 1] == 0 and scaling.scale[1, 1] == pytest.approx(np.std([0] * 24 + [1]))
    what = "have an interquartile range of 0 in train, and are scaled by their standard deviation"
    assert notes == [f"1 of 4 variables of all series {what}: 'b' of series 'two'"]


def test_the_mean_of_absolute_values(values: np.ndarray) -> None:
    values[:, 0] -= 5
    values[60:85, 1], notes = 0, list[str]()
    scaling = fit(values, Scaler.mean, notes=notes)
    np.testing.assert_array_equal(scaling.centre, 0)
    np.testing.assert_array_equal(scaling.scale[0], np.nanmean(np.abs(values[:40]), axis=0).astype(np.float32))
    assert scaling.scale[1, 1] == 1 and notes == [CONSTANT]


def test_constants_of_different_kinds_stand_beside_each_other(values: np.ndarray) -> None:
    own, shared = fit(values), fit(values, Scaler.minmax, ScaleBy.all)
    for joined, order in ((own.beside(shared), (own, shared)), (shared.beside(own), (shared, own))):
        assert joined.names == NAMES * 2 and joined.ids == IDS
        for name in ("centre", "scale", "mean"):
            rows = [np.concatenate([getattr(each.select(IDS), name)[k] for each in order]) for k in range(2)]
            np.testing.assert_array_equal(getattr(joined, name), rows)
    assert shared.beside(shared).ids is None and shared.beside(shared).scale.shape == (1, 4)
