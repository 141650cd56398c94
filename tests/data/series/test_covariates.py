"""Static and categorical covariates, and a scaler of their own for covariates."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from seqtrain.config.series import Missing, Scaler, SeriesFilesConfig
from seqtrain.data.series import covariates
from seqtrain.data.series.batch import ForecastBatch
from seqtrain.data.series.covariates import category_codes
from seqtrain.data.series.dataset import ForecastingData
from seqtrain.data.series.horizon import history_data
from seqtrain.errors import DataError

L, S, ROWS = 7, 3, 60
DAYS = ["Fri", "Mon", "Sat", "Sun", "Thu", "Tue", "Wed"]
CHOICE: dict[str, Any] = {
    "targets": ["y"], "future_covariates": ["promo"], "static_covariates": ["size"],
    "categorical_covariates": ["weekday", "store"],
}  # fmt: skip


def panel(rows: int = ROWS) -> pd.DataFrame:
    """Days of three shops: of two sizes, in two stores, whose names are numbers."""
    random, parts = np.random.default_rng(0), []
    for name, size, store in (("a", 10.0, "007"), ("b", 30.0, "7"), ("c", 80.0, "007")):
        days = pd.date_range("2020-01-01", periods=rows, freq="D")
        y, promo = random.normal(100, 10, rows), random.integers(0, 2, rows).astype(float)
        part = {"id": name, "date": days, "y": y, "promo": promo, "size": size, "store": store}
        parts.append(pd.DataFrame(part | {"weekday": days.strftime("%a")}))
    return pd.concat(parts, ignore_index=True)


def config(path: Path, **changes: Any) -> SeriesFilesConfig:
    options: dict[str, Any] = {"lookback": L, "horizon": S, "id_column": "id"}
    return SeriesFilesConfig(name="t", path=str(path), **(options | changes))


def dataset(folder: Path, frame: pd.DataFrame, **changes: Any) -> ForecastingData:
    frame.to_csv(folder / "t.csv", index=False)
    return ForecastingData(config(folder / "t.csv", **(CHOICE | changes)), 0)


def test_they_are_known_for_lookback_and_horizon(tmp_path: Path) -> None:
    """Size, scaled over the three shops; a 1 for the day of the week and for the store, as it is written."""
    frame = panel()
    data = dataset(tmp_path, frame)
    assert data.spec.num_features == 1 + 2 + 7 + 2 and data.spec.num_future == 2 + 7 + 2
    assert data.categories == {"weekday": DAYS, "store": ["007", "7"]} and data.static == ["size", "store"]
    sizes = np.array([10.0, 30, 80])
    for batch in data.eval_batches("test"):
        assert isinstance(batch, ForecastBatch)
        for window, series in enumerate(batch.series.tolist()):
            first = data.windows["test"].locate(batch.rows[[window]])[1][0]
            for values, start in ((batch.inputs[window, :, 2:], first - L), (batch.future[window, :, 1:], first)):
                part = frame.iloc[start : start + len(values)]
                np.testing.assert_allclose(values[:, 0], (sizes[series] - sizes.mean()) / sizes.std(), rtol=1e-6)
                expected = part["weekday"].to_numpy()[:, None] == np.array(DAYS)
                np.testing.assert_array_equal(values[:, 1:8], expected)
                np.testing.assert_array_equal(
                    values[:, 8:], part["store"].to_numpy()[:, None] == np.array(["007", "7"])
                )
    assert data.fingerprint != dataset(tmp_path, frame.replace("7", "8")).fingerprint


def test_a_forecast_continues_what_is_static(tmp_path: Path) -> None:
    """Without rows after the last known one; a day of the week must be given for the horizon."""
    static: dict[str, Any] = {"future_covariates": [], "categorical_covariates": ["store"]}
    dataset(tmp_path, panel(), **static).save(tmp_path)
    panel(9).to_csv(tmp_path / "new.csv", index=False)
    data = history_data(config(tmp_path / "new.csv", **(CHOICE | static)), tmp_path)
    batch = data.batch("test", data.windows["test"].ends - 1)
    assert batch.future.shape == (3, S, 3) and data.table.times[-1] == np.datetime64("2020-01-12")
    np.testing.assert_array_equal(batch.future[:, :, 1:], np.repeat([[[1, 0]], [[0, 1]], [[1, 0]]], S, 1))
    np.testing.assert_array_equal(batch.future[:, 0], batch.inputs[:, 0, 1:])

    dataset(tmp_path, panel()).save(tmp_path)
    with pytest.raises(DataError, match=r"future covariates \(promo, weekday\) are missing: 0 rows follow"):
        history_data(config(tmp_path / "new.csv", **CHOICE), tmp_path)
    longer = panel(9 + S)
    longer.loc[longer["date"] > "2020-01-09", ["y", "size", "store"]] = None
    longer.to_csv(tmp_path / "new.csv", index=False)
    data = history_data(config(tmp_path / "new.csv", **CHOICE), tmp_path)
    batch = data.batch("test", data.windows["test"].ends - 1)
    np.testing.assert_array_equal(np.array(DAYS)[batch.future[0, :, 2:9].argmax(-1)], ["Fri", "Sat", "Sun"])
    np.testing.assert_array_equal(batch.future[:, :, 9:], np.repeat([[[1, 0]], [[0, 1]], [[1, 0]]], S, 1))


def test_categories_that_train_lacks(tmp_path: Path) -> None:
    """Those of later rows, and of other files, are 0 everywhere, and counted."""
    frame = panel()
    frame.loc[frame["date"] >= "2020-02-25", "weekday"] = "holiday"  # in test
    data = dataset(tmp_path, frame)
    assert data.categories["weekday"] == DAYS
    note = "15 rows have a category of 'weekday' that train does not have, and are 0 in all others: 'holiday'"
    assert data.notes.count(note) == 1
    last = data.batch("test", data.windows["test"].ends - 1)
    assert not last.future[:, :, 2:9].any()
    data.save(tmp_path)
    new = panel(9 + S).assign(store="9")
    new.loc[new["date"] > "2020-01-09", "y"] = None
    new.to_csv(tmp_path / "new.csv", index=False)
    data = history_data(config(tmp_path / "new.csv", **CHOICE), tmp_path)
    assert data.categories == {"weekday": DAYS, "store": ["007", "7"]}
    assert any(note.startswith("36 rows have a category of 'store'") and "'9'" in note for note in data.table.notes)


def test_empty_categories(tmp_path: Path) -> None:
    frame = panel()
    frame.loc[3, "weekday"] = None
    with pytest.raises(DataError, match=r"series 'a': 1 values are missing, the first one of 'weekday' at 2020-01-04"):
        dataset(tmp_path, frame)
    data = dataset(tmp_path, frame, missing=Missing.mask)
    row = data.rows.values[3]
    assert not row[3:10].any() and row[10:].tolist() == [1, 0]
    assert any(note.startswith("1 of 900 values are missing") for note in data.notes)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["b", " a", "", None, "a"], ["a", "b"]),
        ([2, 10, 2], ["10", "2"]),
        ([2.0, None, 10.0], ["10", "2"]),
        ([2.5, 1.0], ["1.0", "2.5"]),
        ([True, False], ["false", "true"]),
    ],
)
def test_categories_are_texts(values: list[Any], names: list[str]) -> None:
    codes, found = category_codes(pd.Series(values, index=range(5, 5 + len(values))))
    assert found == names
    for value, code in zip(values, codes, strict=True):
        if value in ("", None) or value != value:
            assert np.isnan(code)
        else:
            assert names[int(code)].removesuffix(".0") == str(value).strip().lower().removesuffix(".0")


def test_static_covariates_that_change(tmp_path: Path) -> None:
    frame = panel()
    frame.loc[frame["id"] > "a", "size"] += np.arange(2 * ROWS) % 2
    with pytest.raises(
        DataError,
        match=r"t\.csv: line 63, series 'b': column 'size' \(data\.static_covariates\) has more than one value in this "
        r"series, 31 and 30; correct",
    ):
        dataset(tmp_path, frame)
    frame = panel()
    frame.loc[[0, 5, 9, 70], "size"] = None  # known from other rows of the series
    data = dataset(tmp_path, frame)
    np.testing.assert_array_equal(data.table.values[:, 2], panel()["size"])
    assert "4 empty values of 'size' take the value that their series has in other rows" in data.notes
    with pytest.raises(DataError, match=r"has no column 'sise' \(data\.static_covariates\); did you mean size\?"):
        dataset(tmp_path, panel(), static_covariates=["sise"])
    with pytest.raises(DataError, match=r"has no column 'shop' \(data\.categorical_covariates\)"):
        dataset(tmp_path, panel(), categorical_covariates=["shop"])


def test_too_many_categories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(covariates, "MOST_CATEGORIES", 6)
    with pytest.raises(DataError, match=r"column 'weekday' .* has 7 categories in train, and may have 6"):
        dataset(tmp_path, panel())


def test_a_scaler_for_covariates(tmp_path: Path) -> None:
    frame = panel()
    data = dataset(tmp_path, frame.assign(z=frame["y"] * 2), covariate_scaler=Scaler.none, past_covariates=["z"])
    train = frame["y"][:42]
    np.testing.assert_allclose(data.constants.centre[0], [train.mean(), 0, 0, 0])
    np.testing.assert_allclose(data.constants.scale[0], [train.std(ddof=0), 1, 1, 1])
    np.testing.assert_array_equal(data.rows.values[:, 3], frame["size"])
    data = dataset(tmp_path, frame, covariate_scaler=Scaler.minmax, scaler=Scaler.none)
    np.testing.assert_allclose(data.rows.values[[0, 60, 120], 2], [0, 2 / 7, 1], rtol=1e-6)
    np.testing.assert_array_equal(data.rows.values[:, 0], frame["y"].astype(np.float32))


def test_a_promotion_that_a_series_never_had(tmp_path: Path) -> None:
    """And a product that never sold: both are scaled by 1, and every series stays."""
    frame = panel()
    frame.loc[frame["id"] == "b", ["y", "promo"]] = [0.0, 1.0]
    data = dataset(tmp_path, frame)
    note = "are constant or unknown in train, and are scaled by 1: "
    found = [each.partition(note) for each in data.notes if note in each]
    count = "1 of 3 variables of all series "
    assert found == [(count, note, "'y' of series 'b'"), (count, note, "'promo' of series 'b'")]
    assert (data.rows.values[60:120, :2] == 0).all() and data.table.ids == ["a", "b", "c"]
