"""Conformal intervals of a run: calibrated on validation, kept with it, and given by every command that forecasts."""

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from seqtrain.commands.backtest import backtest
from seqtrain.commands.build import build_data, load_trained
from seqtrain.commands.evaluate import evaluate
from seqtrain.commands.predict import trained
from seqtrain.commands.train import resume, train
from seqtrain.config.root import Config
from seqtrain.config.task import ForecastingConfig
from seqtrain.config.trainer import Precision
from seqtrain.data.series.dataset import ForecastingData
from seqtrain.errors import ConfigError, DataError, RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import read_json
from seqtrain.tasks.forecasting.predict import ForecastPredictor
from seqtrain.training.evaluation import evaluate as evaluate_model

Compose = Callable[..., Config]
Finished = tuple[Config, RunDirectory]
Runs = Callable[[str], Finished]

L, S, LEVEL = 12, 4, 0.8
OPTIONS = [
    "data=series_files", f"data.lookback={L}", f"data.horizon={S}", "data.id_column=shop", "data.missing=mask",
    "model=nlinear", "device=cpu", "trainer.lr=0.01", "trainer.epochs=2", f"task.conformal={LEVEL}",
]  # fmt: skip


def shops() -> pd.DataFrame:
    """Days of two shops of unequal lengths and two noisy variables, a few of whose values are missing."""
    random, parts = np.random.default_rng(0), []
    for name, size in (("a", 300), ("b", 200)):
        values = 50 + 10 * np.sin(2 * np.pi / 7 * np.arange(size))[:, None] + random.normal(0, [3, 1], (size, 2))
        values[random.random((size, 2)) < 0.05] = np.nan
        date = pd.date_range("2020-01-01", periods=size, freq="D")
        parts.append(pd.DataFrame({"shop": name, "date": date, "sold": values[:, 0], "paid": values[:, 1]}))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shops") / "shops.parquet"
    shops().to_parquet(path)
    return path


LOSSES = pytest.mark.parametrize("loss", ["mse", "quantile", "gaussian"])


@pytest.fixture(scope="module")
def finished(composed: Compose, file: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """The run with a loss, trained when it is first asked for; that of quantiles draws figures."""

    @cache
    def run(loss: str) -> Finished:
        figures = f"trainer.figures={str(loss == 'quantile').lower()}"
        config = composed(*OPTIONS, f"data.path={file}", f"task.loss={loss}", figures)
        directory = RunDirectory.claim(tmp_path_factory.mktemp("runs") / "run", exact=True)
        train(config, directory)
        return config, directory

    return run


def outputs(config: Config, directory: RunDirectory, split: str) -> dict[str, np.ndarray]:
    """Forecasts of the best checkpoint and what came, scaled, NaN where missing, and how to go back to units."""
    data = build_data(config, trained=directory.path)
    assert isinstance(data, ForecastingData)
    built, _ = load_trained(config, directory, "best", data.spec)
    result = evaluate_model(built.model, built.head, built.task, data.eval_batches(split), built.device, Precision.fp32)
    batches = list(data.batches(split, np.arange(data.sizes[split])))
    targets = [np.where(part.observed, part.targets, np.nan) for part in batches if part.observed is not None]
    assert len(targets) == len(batches)
    return {
        "forecasts": result.outputs["forecasts"].astype(np.float64),
        "targets": np.concatenate(targets).astype(np.float64),
        "scale": np.concatenate([part.scale for part in batches])[:, None].astype(np.float64),
    }


def plain_interval(
    loss: str, calibration: dict[str, np.ndarray], forecasts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Split conformal intervals written down value by value."""
    f, y = calibration["forecasts"], calibration["targets"]
    match loss:
        case "mse":
            scores = np.abs(y - f[..., 0])
        case "gaussian":
            scores = np.abs(y - f[..., 0]) / f[..., 1]
        case _:
            scores = np.maximum(f[..., 0] - y, y - f[..., -1])
    margins = np.zeros(scores.shape[1:])
    for step, variable in np.ndindex(margins.shape):
        known = np.sort(scores[:, step, variable][~np.isnan(scores[:, step, variable])])
        margins[step, variable] = known[math.ceil((len(known) + 1) * LEVEL - 1e-9) - 1]
    if loss == "gaussian":
        return forecasts[..., 0] - margins * forecasts[..., 1], forecasts[..., 0] + margins * forecasts[..., 1]
    return forecasts[..., 0] - margins, forecasts[..., -1] + margins


@LOSSES
def test_intervals_and_their_scores(finished: Runs, loss: str) -> None:
    """On test against plain ones from validation; on validation, as many inside as the rank says."""
    config, directory = finished(loss)
    calibration = outputs(config, directory, "validation")
    scores = read_json(directory.results_path)["scores"]["nlinear"]
    for split in ("validation", "test"):
        found = outputs(config, directory, split)
        lower, upper = plain_interval(loss, calibration, found["forecasts"])
        known, targets = ~np.isnan(found["targets"]), found["targets"]
        inside = (lower - 1e-6 <= targets) & (targets <= upper + 1e-6)
        assert scores[split]["conformal_coverage"] == pytest.approx(inside[known].mean(), abs=1e-9)
        assert scores[split]["conformal_width"] == pytest.approx((upper - lower)[known].mean(), rel=1e-5)
        original = ((upper - lower) * found["scale"])[known].mean()
        assert scores[split]["conformal_original_width"] == pytest.approx(original, rel=1e-5)
        if split == "validation":
            counts = known.sum(0)
            assert (inside.sum(0) == np.ceil((counts + 1) * LEVEL - 1e-9)).all()
            assert read_json(directory.conformal_path)["windows"] == counts.min()
    assert 0.6 < scores["test"]["conformal_coverage"] < 0.95
    assert ("coverage" in scores["test"]) == (loss != "mse")


@LOSSES
def test_eval_and_backtest_give_the_scores_of_training(
    finished: Runs, capsys: pytest.CaptureFixture[str], loss: str
) -> None:
    config, directory = finished(loss)
    results = read_json(directory.results_path)
    label = results["conformal"]
    assert label.startswith("intervals of level 0.8, from ") and label.endswith(" windows of validation")
    for split in ("validation", "test"):
        expected = results["scores"]["nlinear"][split]
        for command in (evaluate, backtest):
            assert command(config, config, directory, split=split) == expected
            printed = json.loads(capsys.readouterr().out)
            assert printed["conformal"] == label and printed["conformal_coverage"] == expected["conformal_coverage"]
    without = evaluate(config, config, directory, checkpoint="last")
    assert "conformal_coverage" not in without and "conformal" not in json.loads(capsys.readouterr().out)


@LOSSES
def test_predict_and_backtest_write_the_ends(finished: Runs, tmp_path: Path, loss: str) -> None:
    """In the units of the file: with each series' own scale, around the forecast or the quantiles."""
    config, directory = finished(loss)
    backtest(config, config, directory, split="test", output=str(tmp_path / "b.parquet"))
    rows = pd.read_parquet(tmp_path / "b.parquet")
    found = outputs(config, directory, "test")
    lower, upper = plain_interval(loss, outputs(config, directory, "validation"), found["forecasts"])
    widths = ((upper - lower) * found["scale"]).ravel()
    np.testing.assert_allclose(rows["upper"] - rows["lower"], widths, rtol=1e-5)
    known = rows["truth"].notna()
    inside = (rows["lower"] <= rows["truth"]) & (rows["truth"] <= rows["upper"])
    coverage = read_json(directory.results_path)["scores"]["nlinear"]["test"]["conformal_coverage"]
    assert inside[known].mean() == pytest.approx(coverage, abs=0.003)
    assert ("q0.1" in rows) == (loss == "quantile")
    shops().fillna({"sold": 50.0, "paid": 50.0}).groupby("shop").head(190).to_csv(tmp_path / "history.csv", index=False)
    table = ForecastPredictor(trained(config, directory, "best")[0]).table(str(tmp_path / "history.csv")).to_pandas()
    assert {"sold_lower", "sold_upper", "paid_lower", "paid_upper"} <= set(table) and len(table) == 2 * S
    for name in ("sold", "paid"):
        assert (table[f"{name}_lower"] < table[name]).all() and (table[name] < table[f"{name}_upper"]).all()
    if loss == "mse":
        middle = (table["sold_lower"] + table["sold_upper"]) / 2
        np.testing.assert_allclose(middle, table["sold"], rtol=1e-6)
    plain = ForecastPredictor(trained(config, directory, "last")[0]).table(str(tmp_path / "history.csv")).to_pandas()
    assert ("sold_lower" in plain) == (loss == "gaussian")


def test_figures_are_drawn_at_the_end(finished: Runs) -> None:
    _, directory = finished("quantile")
    events = EventAccumulator(str(directory.path), size_guidance={"images": 0}).Reload()
    tags = set(events.Tags()["images"])
    assert {f"forecast/{i}" for i in range(4)} <= tags and {f"5_test/forecast/{i}" for i in range(4)} <= tags
    for split in ("1_val", "5_test"):
        assert {f"{split}/error_by_step", f"{split}/error_by_variable"} <= tags


@LOSSES
def test_finer_scores_are_in_the_results(finished: Runs, loss: str) -> None:
    """Of each variable and each step; their weighted means are the scores."""
    config, directory = finished(loss)
    results = read_json(directory.results_path)
    targets = outputs(config, directory, "test")["targets"]
    counts = (~np.isnan(targets)).sum(0)
    assert list(results["details"]) == list(results["scores"])
    for who, splits in results["details"].items():
        scores, details = results["scores"][who]["test"], splits["test"]
        assert list(details["by_variable"]) == ["sold", "paid"] and set(splits) == {"validation", "test"}
        for metric in ("mse", "mae", "conformal_coverage", "conformal_width"):
            if metric in scores:
                by_variable = [part[metric] for part in details["by_variable"].values()]
                assert np.average(by_variable, weights=counts.sum(0)) == pytest.approx(scores[metric], rel=1e-9)
                by_step = details["by_step"][metric]
                assert np.average(by_step, weights=counts.sum(1)) == pytest.approx(scores[metric], rel=1e-9)
        assert {"original_mae", "smape", "mase"} <= set(details["by_variable"]["paid"])


@pytest.fixture
def copied(finished: Runs, tmp_path: Path) -> Finished:
    """A run to be spoiled."""
    config, directory = finished("mse")
    shutil.copytree(directory.path, tmp_path / "copy")
    return replace(config, trainer=replace(config.trainer, baselines=False)), RunDirectory(tmp_path / "copy")


def spoil(directory: RunDirectory, **changes: Any) -> None:
    path = directory.conformal_path
    path.write_text(json.dumps(read_json(path) | changes))


def test_a_file_that_is_not_there_or_wrong_names_the_remedy(copied: Finished) -> None:
    config, directory = copied
    before = directory.conformal_path.read_text()
    for change, message in (
        (
            {"step": 1},
            r"conformal\.json: does not belong to checkpoints/best\.pt, of step \d+; calibrate .* again by .*resume=",
        ),
        ({"level": 0.5}, r"does not belong to checkpoints/best\.pt"),
        ({"margins": [[0.1]]}, r"does not belong to checkpoints/best\.pt"),
        ({"margins": "none"}, r"conformal\.json: margins: expected a list, is 'none'; calibrate"),
        ({"margins": [[0.1], []]}, r"conformal\.json: margins: .*; calibrate"),
        ({"loss": "other"}, r"does not belong to checkpoints/best\.pt"),
    ):
        spoil(directory, **change)
        with pytest.raises(RunError, match=message):
            evaluate(config, config, directory)
        directory.conformal_path.write_text(before)
    directory.conformal_path.write_text(before[:50])
    with pytest.raises(RunError, match=r"conformal\.json: is not valid JSON .*; calibrate"):
        backtest(config, config, directory)
    directory.conformal_path.unlink()
    remedy = rf"conformal\.json: is missing, and task\.conformal=0\.8 needs it; .* seqtrain resume={directory.path}$"
    with pytest.raises(RunError, match=remedy):
        evaluate(config, config, directory)
    resume(config, config, directory)
    assert directory.conformal_path.read_text() == before


def test_a_finished_run_takes_another_level(copied: Finished) -> None:
    """Without another step of training; null takes the intervals away."""
    config, directory = copied
    steps = read_json(directory.status_path)["best"]["step"]
    widths = []
    for level in (0.5, 0.95):
        changed = replace(config, task=replace(cast(ForecastingConfig, config.task), conformal=level))
        resume(config, changed, directory)
        widths.append(evaluate(changed, changed, directory)["conformal_width"])
        config = changed
    assert widths[0] < widths[1] and read_json(directory.status_path)["best"]["step"] == steps
    changed = replace(config, task=replace(cast(ForecastingConfig, config.task), conformal=None))
    resume(config, changed, directory)
    assert "conformal_width" not in evaluate(changed, changed, directory)
    assert "conformal" not in read_json(directory.results_path)
    with pytest.raises(ConfigError, match=r"task\.conformal: is fixed by the trained run"):
        evaluate(changed, config, directory)


def test_too_few_windows(composed: Compose, file: Path, tmp_path: Path) -> None:
    """Known from the data, before a step is made: of all windows, or of those that know a step of a variable."""
    config = composed(*OPTIONS, f"data.path={file}", "task.conformal=0.99")
    directory = RunDirectory.claim(tmp_path / "run", exact=True)
    message = (
        r"task\.conformal=0\.99: needs 99 windows of validation, which has 44, of which \d+ know step \d of "
        r"'(sold|paid)'; lower it to at most 0\.97\d*, or raise data\.validation_size"
    )
    with pytest.raises(DataError, match=message):
        train(config, directory)
    assert not directory.metrics_path.exists()
    frame = shops()
    frame.loc[frame["shop"].eq("a") & frame.index.isin(range(210, 240)), "paid"] = np.nan
    frame.loc[frame["shop"].eq("b") & frame.index.isin(range(440, 460)), "paid"] = np.nan
    frame.to_parquet(tmp_path / "gap.parquet")
    config = composed(*OPTIONS, f"data.path={tmp_path / 'gap.parquet'}")
    with pytest.raises(DataError, match=r"has 44, of which 0 know step 1 of 'paid'; raise data\.validation_size"):
        train(config, RunDirectory.claim(tmp_path / "gap", exact=True))
    with pytest.raises(ConfigError, match=r"task\.conformal=1\.0: must be above 0 and below 1, or null"):
        composed(*OPTIONS, "task.conformal=1.0")
