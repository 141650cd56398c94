"""Scores are those of the file's float64 values, whatever float32 windows lose."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from seqtrain.config.series import Missing, ScaleBy, Scaler, SeriesFilesConfig
from seqtrain.config.task import ForecastingConfig, ForecastLoss
from seqtrain.data.series.batch import ForecastBatch
from seqtrain.data.series.dataset import ForecastingData
from seqtrain.tasks.base import Evaluation
from seqtrain.tasks.forecasting.comparison import score_baselines
from seqtrain.tasks.forecasting.conformal import Conformal
from seqtrain.tasks.forecasting.task import Forecasting

L, S, ROWS = 14, 7, 120


def dataset(folder: Path, series: dict[str, np.ndarray], **changes: Any) -> ForecastingData:
    parts = [
        pd.DataFrame({"date": pd.date_range("2021-01-01", periods=ROWS, freq="D"), "id": name, "y": values})
        for name, values in series.items()
    ]
    pd.concat(parts).to_parquet(folder / "t.parquet")
    options: dict[str, Any] = {"lookback": L, "horizon": S, "season": 7, "id_column": "id", "eval_batch_size": 5}
    return ForecastingData(SeriesFilesConfig(name="t", path=str(folder / "t.parquet"), **(options | changes)), 0)


def windows(series: dict[str, np.ndarray]) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Name, past and future of each window of test, in float64."""
    train, test = int(ROWS * 0.7), ROWS - int(ROWS * 0.2)
    assert train < test
    return [(name, y[t - L : t], y[t : t + S]) for name, y in series.items() for t in range(test, ROWS - S + 1)]


def expected(series: dict[str, np.ndarray], forecasts: list[np.ndarray]) -> dict[str, float]:
    """Scores of forecasts, each a row for each window, by their definitions."""
    smape, absolute = [], dict[str, list[float]]()
    for (name, _, y), f in zip(windows(series), forecasts, strict=True):
        smape += (200 * abs(y - f) / (abs(y) + abs(f))).tolist()
        absolute.setdefault(name, []).extend(abs(y - f).tolist())
    mase = []
    for name, errors in absolute.items():
        train = series[name][: int(ROWS * 0.7)]
        mase.append(np.mean(errors) / abs(train[7:] - train[:-7]).mean())
    mae = np.concatenate(list(absolute.values())).mean()
    return {"smape": float(np.mean(smape)), "mase": float(np.mean(mase)), "original_mae": float(mae)}


def magnitudes() -> dict[str, np.ndarray]:
    random, week = np.random.default_rng(0), np.sin(np.arange(ROWS) * 2 * np.pi / 7)
    return {"a": 1e8 * (1 + week / 5 + random.normal(size=ROWS) / 20), "b": 0.5 + 0.2 * week + random.random(ROWS) / 9}


CASES: dict[str, tuple[dict[str, np.ndarray], dict[str, Any]]] = {
    "a small series beside a large one": (magnitudes(), {"scale_by": ScaleBy.all}),
    "a large level": (
        {"a": 1e9 + np.random.default_rng(1).integers(-4, 5, ROWS)}, {"scaler": Scaler.none, "id_column": None},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_baselines(tmp_path: Path, case: str) -> None:
    series, changes = CASES[case]
    found = score_baselines(dataset(tmp_path, series, **changes, targets=["y"]), "mse")
    pasts = [past for _, past, _ in windows(series)]
    plain = {
        "last value": [np.repeat(past[-1], S) for past in pasts],
        "mean of the window": [np.repeat(past.mean(), S) for past in pasts],
        "seasonal naive (7 steps)": [past[-7:] for past in pasts],
    }
    for who, forecasts in plain.items():
        scores = found[who]["test"].metrics
        for metric, value in expected(series, forecasts).items():
            assert scores[metric] == pytest.approx(value, rel=1e-9), (who, metric)
    assert found["linear"]["test"].metrics["smape"] > 0


@pytest.mark.parametrize("case", CASES)
def test_a_model(tmp_path: Path, case: str) -> None:
    """That forecasts 0.25 at every step, in scaled units: a float32 number, so that nothing of it is rounded."""
    series, changes = CASES[case]
    data = dataset(tmp_path, series, **changes, targets=["y"])
    constants = data.constants
    levels = dict(zip(series, constants.centre[:, 0] + 0.25 * constants.scale[:, 0], strict=True))
    metrics = forecast(data, ForecastLoss.mse, [0.25]).metrics
    plain = expected(series, [np.repeat(levels[name], S) for name, _, _ in windows(series)])
    assert {name: metrics[name] for name in plain} == pytest.approx(plain, rel=1e-9)


def forecast(data: ForecastingData, loss: ForecastLoss, parameters: list[float], level: float = 0.0) -> Evaluation:
    """Evaluation on test of forecasts that are the same at every step, with conformal intervals if there is a level."""
    task = Forecasting(ForecastingConfig(loss=loss), data.spec)
    meter = task.meter(torch.nn.Identity())
    if level:
        margins = torch.full((S, 1), level, dtype=torch.float64)
        task.distribution.conformal = Conformal(0.5, margins, 9)
    meter.head = lambda features, batch: features  # type: ignore[attr-defined]
    for batch in data.eval_batches("test"):
        meter.update(batch, torch.tensor(parameters).expand(len(batch.rows), S, 1, len(parameters)))
    return meter.result()


def test_distributions_and_intervals(tmp_path: Path) -> None:
    """Targets less than a float32 step apart are inside and outside of intervals as in float64."""
    series, changes = CASES["a large level"]
    data = dataset(tmp_path, series, **changes)
    targets = np.stack([y for _, _, y in windows(series)])
    assert len(np.unique(targets.astype(np.float32))) == 1
    level = float(np.float32(1e9))
    metrics = forecast(data, ForecastLoss.gaussian, [level, 2.0], 0.75).metrics
    assert metrics["coverage"] == pytest.approx((abs(targets - level) <= 2 * 1.6448536).mean())
    assert metrics["conformal_coverage"] == pytest.approx((abs(targets - level) <= 1.5).mean())
    assert 0.1 < metrics["conformal_coverage"] < 0.5 and metrics["conformal_original_width"] == 3
    assert metrics["mae"] == pytest.approx(abs(targets - level).mean(), rel=1e-9)


@pytest.mark.parametrize("missing", [Missing.interpolate, Missing.mask])
def test_windows_with_gaps(tmp_path: Path, missing: Missing) -> None:
    """The baselines' windows are the model's inputs, in original units; gaps are filled alike."""
    series = {name: values / 1e4 for name, values in magnitudes().items()}
    for values in series.values():
        values[np.random.default_rng(2).random(ROWS) < 0.3] = np.nan
    data = dataset(tmp_path, series, missing=missing)
    for batch in data.eval_batches("test"):
        assert isinstance(batch, ForecastBatch) and batch.truth is not None and batch.observed is not None
        past = data.past("test", batch.rows)
        assert past.dtype == np.float64 and np.isfinite(past).all()
        np.testing.assert_allclose(past, batch.in_units(batch.inputs.numpy()), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(np.isnan(batch.truth), ~batch.observed.numpy())
        known = ~np.isnan(batch.truth)
        np.testing.assert_allclose(batch.scaled_truth()[known], batch.targets.numpy()[known], rtol=1e-4, atol=1e-6)
