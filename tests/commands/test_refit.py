"""Backtests with refitting: what each model is trained on, and scores in the units of the run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from seqtrain.commands import refit
from seqtrain.commands.backtest import backtest
from seqtrain.commands.build import build_data
from seqtrain.commands.train import train
from seqtrain.config.root import Config
from seqtrain.data.series.dataset import ForecastingData
from seqtrain.errors import ConfigError, DataError
from seqtrain.runs.directory import RunDirectory

Compose = Callable[..., Config]
Backtest = Callable[..., dict[str, Any]]

L, S = 12, 4


@pytest.fixture(scope="module")
def trained(composed: Compose, tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, RunDirectory]:
    """A linear map of three series, of which ``c`` has a single origin in test."""
    folder, random = tmp_path_factory.mktemp("refit"), np.random.default_rng(0)
    parts = [
        pd.DataFrame(
            {"id": name, "date": pd.date_range("2020-01-01", periods=n, freq="D"), "y": random.normal(5, 2, n)}
        )
        for name, n in (("a", 200), ("b", 150), ("c", 23))
    ]
    pd.concat(parts).to_csv(folder / "t.csv", index=False)
    config = composed(
        "model=nlinear", "data=series_files", f"data.path={folder / 't.csv'}", f"data.lookback={L}",
        f"data.horizon={S}",
        "data.id_column=id", "data.targets=[y]", "device=cpu", "trainer.max_steps=8", "trainer.lr=0.01",
        "trainer.figures=false", "trainer.baselines=false", "task.conformal=0.5",
    )  # fmt: skip
    run = RunDirectory.claim(folder / "run", exact=True)
    train(config, run)
    return config, run


@pytest.fixture
def scores(trained: tuple[Config, RunDirectory], capsys: pytest.CaptureFixture[str]) -> Backtest:
    def run(**options: Any) -> dict[str, Any]:
        capsys.readouterr()
        backtest(trained[0], trained[0], trained[1], **options)
        summary: dict[str, Any] = json.loads(capsys.readouterr().out)
        return summary

    return run


METRICS = ("mse", "mae", "original_mae", "smape", "mase", "rmsse", "conformal_coverage", "conformal_width")


def test_the_first_model_is_the_runs_own(scores: Backtest) -> None:
    own, again = scores(stride=5), scores(stride=5, refit=999)
    assert again["fits"][0].pop("step") == own["step"] and len(again["fits"]) == 1
    for name in METRICS:
        assert again[name] == pytest.approx(own[name], rel=1e-12) == again["fits"][0][name]
    assert (again["origins"], again["refit"], again["split"]) == (own["origins"], 999, "test")


def test_each_model_is_trained_on_all_rows_before_its_origins(
    trained: tuple[Config, RunDirectory], scores: Backtest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    parts: list[ForecastingData] = []
    fitted = refit.fitted

    def recorded(config: Config, data: ForecastingData, *others: Any) -> Any:
        parts.append(data)
        return fitted(config, data, *others)

    monkeypatch.setattr(refit, "fitted", recorded)
    summary = scores(stride=3, refit=4, output=str(tmp_path / "rows.parquet"))
    whole = build_data(trained[0])
    assert isinstance(whole, ForecastingData)
    begins, ends = (part - whole.table.offsets[:-1] for part in whole.ranges["test"])
    counts = [len(range(int(begin), int(end) - S + 1)) for begin, end in zip(begins, ends, strict=True)]
    assert counts == [37, 27, 1] and begins.tolist() == [160, 120, 19] and len(parts) == 4
    sizes = (whole.ranges["validation"][1] - whole.ranges["validation"][0]).tolist()
    for number, part in enumerate(parts):
        first = [begin + min(12 * number, count) for begin, count in zip(begins, counts, strict=True)]
        for split, size in (("train", None), ("validation", sizes), ("test", None)):
            got = [each - whole.table.offsets[:-1] for each in part.ranges[split]]
            if split == "test":
                assert got[0].tolist() == first
            elif size is None:
                assert got[0].tolist() == [0, 0, 0]
                assert got[1].tolist() == [end - size for end, size in zip(first, sizes, strict=True)]
            else:
                assert got[1].tolist() == first
        np.testing.assert_array_equal(part.constants.scale, whole.constants.scale)
    assert [fit["origins"] for fit in summary["fits"]] == [4 + 4 + 1, 4 + 4, 4 + 1, 1] and summary["origins"] == 23
    assert [fit["train"] for fit in summary["fits"]] == [part.sizes["train"] for part in parts]
    assert summary["fits"][1]["first"] == "2020-05-12 00:00"  # 120 + 12 days, of b

    rows = pd.read_parquet(tmp_path / "rows.parquet")
    assert len(rows) == 23 * S and not rows.duplicated(["id", "origin", "step"]).any()
    same = scores(stride=3, output=str(tmp_path / "same.parquet"))
    other = pd.read_parquet(tmp_path / "same.parquet")
    keys = ["id", "origin", "step"]
    both = rows.merge(other, on=keys, suffixes=("", "_once"))
    assert len(both) == len(rows) and (both["truth"] == both["truth_once"]).all()
    assert (both["forecast"] != both["forecast_once"]).any() and same["mse"] != summary["mse"]
    error = (rows["forecast"] - rows["truth"]).abs()
    assert summary["original_mae"] == pytest.approx(error.mean(), rel=1e-9)
    weighted = sum(fit["mse"] * fit["origins"] for fit in summary["fits"]) / 23
    assert summary["mse"] == pytest.approx(weighted, rel=1e-9)
    naive = np.array(whole.spec.naive_errors)[0, :, 0]
    of_series = [
        (error[rows["id"] == name].mean() / naive[k], (rows["id"] == name).sum()) for k, name in enumerate("abc")
    ]
    mase = sum(value * count for value, count in of_series if np.isfinite(value)) / sum(
        count for value, count in of_series if np.isfinite(value)
    )
    assert summary["mase"] == pytest.approx(mase, rel=1e-9)


def test_what_cannot_be(trained: tuple[Config, RunDirectory], scores: Backtest) -> None:
    config, run = trained
    with pytest.raises(ConfigError, match="refit=0: must be at least 1"):
        scores(refit=0)
    with pytest.raises(ConfigError, match="checkpoint='last': must be best with refit"):
        scores(refit=3, checkpoint="last")
    with pytest.raises(ConfigError, match=r"refit=3: must be absent with data\.path"):
        backtest(config, config, run, refit=3, other_data=True)


def test_validation_can_be_forecast_too(scores: Backtest) -> None:
    """From the rows before it, the last of which are then validation."""
    summary = scores(split="validation", refit=99)
    assert summary["split"] == "validation" and summary["fits"][0]["first"] == "2020-04-15 00:00"


def test_too_few_rows(composed: Compose, tmp_path: Path) -> None:
    days = pd.date_range("2020-01-01", periods=60, freq="D")
    pd.DataFrame({"date": days, "y": np.arange(60) % 7}).to_csv(tmp_path / "t.csv", index=False)
    config = composed(
        "model=nlinear", "data=series_files", f"data.path={tmp_path / 't.csv'}", f"data.lookback={L}",
        f"data.horizon={S}",
        "data.train_size=18", "data.validation_size=12", "device=cpu", "trainer.max_steps=2", "trainer.figures=false",
        "trainer.baselines=false",
    )  # fmt: skip
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    train(config, run)
    with pytest.raises(DataError, match=r"train has 6 rows; data\.lookback=12 \+ data\.horizon=4 need 16"):
        backtest(config, config, run, split="validation", refit=2)
