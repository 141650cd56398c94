"""Distributions of counts: likelihood, score and quantiles against scipy, and what a forecast of counts is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import nbinom, poisson
from torch.nn import functional as F

from seqtrain.commands.build import build_data
from seqtrain.commands.predict import predict
from seqtrain.commands.train import train
from seqtrain.config.root import Config
from seqtrain.config.task import ForecastingConfig, ForecastLoss, Strategy
from seqtrain.data.series.batch import ForecastBatch
from seqtrain.data.series.dataset import ForecastingData
from seqtrain.errors import ConfigError, DataError
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import read_json
from seqtrain.tasks.forecasting.conformal import Conformal
from seqtrain.tasks.forecasting.counts import (
    check_counts,
    count_losses,
    count_quantiles,
    crps_counts,
    cumulative,
    half_difference,
)
from seqtrain.tasks.forecasting.distribution import distribution_of

Compose = Callable[..., Config]

MEANS = np.array([1e-3, 0.2, 1, 7.5, 60, 900, 2e4])
DISPERSIONS = np.array([0, 1e-6, 1e-3, 0.05, 0.7, 8])


def reference(dispersion: float, mean: float) -> Any:
    """The distribution of scipy."""
    if dispersion == 0:
        return poisson(mean)
    return nbinom(1 / dispersion, 1 / (1 + dispersion * mean))


@pytest.mark.parametrize("dispersion", DISPERSIONS)
@pytest.mark.parametrize("mean", MEANS)
def test_likelihood_and_quantiles(dispersion: float, mean: float) -> None:
    """Of counts within six deviations, from float32 parameters."""
    mean, dispersion = float(np.float32(mean)), float(np.float32(dispersion))
    known, deviation = reference(dispersion, mean), np.sqrt(mean * (1 + dispersion * mean))
    counts = np.unique(np.linspace(max(0, mean - 6 * deviation), mean + 6 * deviation + 3, 50).round())
    parameters = [torch.full((len(counts),), each) for each in (mean, dispersion)]
    losses = count_losses(parameters[0], parameters[1] if dispersion else None, torch.from_numpy(counts).float())
    assert losses.dtype == torch.float32
    # scipy itself loses digits for more than 1e5 failures; the likelihood is then that of a Poisson distribution.
    near = poisson(mean) if 0 < dispersion < 1e-5 and mean < 100 else known
    np.testing.assert_allclose(losses, -near.logpmf(counts), rtol=3e-4 if near is not known else 2e-5, atol=1e-5)
    levels = (0.05, 0.5, 0.95)
    found = count_quantiles(np.array([mean] * 2), np.array(dispersion), levels)
    for level, quantile in zip(levels, found, strict=True):
        assert quantile.tolist() == [known.ppf(level)] * 2
    np.testing.assert_allclose(
        cumulative(counts, np.array(mean), np.array(dispersion)), known.cdf(counts), rtol=1e-6, atol=1e-12
    )  # fmt: skip


def test_likelihood_is_torchs_and_has_gradients() -> None:
    g = torch.Generator().manual_seed(0)
    mean, dispersion = torch.rand(200, generator=g) * 30 + 0.1, torch.rand(200, generator=g) + 0.01
    counts = torch.poisson(mean, generator=g)
    mean.requires_grad_(), dispersion.requires_grad_()
    total, other = [
        torch.distributions.NegativeBinomial(1 / each[1], logits=torch.log(each[0] * each[1])).log_prob(counts)
        for each in ((mean, dispersion), (mean.double(), dispersion.double()))
    ]
    losses = count_losses(mean, dispersion, counts)
    torch.testing.assert_close(losses, -other.float())
    own, theirs = (torch.autograd.grad(each.sum(), (mean, dispersion)) for each in (losses, -total))
    torch.testing.assert_close(own, theirs, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(count_losses(mean, None, counts), -torch.distributions.Poisson(mean).log_prob(counts))


@pytest.mark.parametrize("dispersion", DISPERSIONS)
@pytest.mark.parametrize("mean", MEANS[:-1])
def test_score_is_its_definition(dispersion: float, mean: float) -> None:
    """The sum of squares of the distance from the step of the true count, over all counts."""
    top = 6 * mean + 80 * np.sqrt(mean * (1 + dispersion * mean)) + 20
    axis = np.arange(min(top, 3e5))
    distribution = cumulative(axis, np.array(mean), np.array(dispersion))
    counts = np.array([0, 1, np.floor(mean), np.ceil(2 * mean), np.floor(5 * mean) + 2])
    expected = [np.square(distribution - (axis >= count)).sum() for count in counts]
    np.testing.assert_allclose(
        crps_counts(np.array(mean), np.array(dispersion), counts), expected, rtol=1e-4, atol=1e-9
    )
    assert np.isnan(crps_counts(np.array(mean), np.array(dispersion), np.array([np.nan])))


def test_the_difference_of_two_draws() -> None:
    """Against the integral of the characteristic function, on a fine grid, wherever one way of it ends."""
    grid = np.exp(np.arange(-60, 60, 0.05))
    for failures in (0.02, 1, 40, 60, 1e3, 1e6):
        for mean in (1e-3, 1, 3e3, 9e3, 2e4, 1e7):
            spread = 4 * mean * (failures + mean) / failures**2
            inner = -np.expm1(-failures * np.log1p(spread * grid**2 / (1 + grid**2))) / grid
            expected = inner.sum() * 0.05 / np.pi / 2
            found = half_difference(np.array([mean]), np.array([1 / failures]))
            assert found == pytest.approx(expected, rel=2e-5), (failures, mean)


def batch(scale: np.ndarray, targets: np.ndarray) -> ForecastBatch:
    B, S, C = targets.shape
    return ForecastBatch(
        inputs=torch.zeros(B, 1, C), targets=torch.from_numpy(targets / scale[:, None]).float(),
        truth=targets, lengths=torch.ones(B, dtype=torch.long), rows=np.arange(B), num_tokens=B,
        future=torch.zeros(B, S, 0), observed=None, series=torch.zeros(B, dtype=torch.long),
        first_step=torch.zeros(B, dtype=torch.long),
        centre=np.zeros((B, C)), scale=scale,
    )  # fmt: skip


@pytest.mark.parametrize("loss", [ForecastLoss.poisson, ForecastLoss.negative_binomial])
def test_forecasts_are_as_in_deepar(loss: ForecastLoss) -> None:
    """Every part of a forecast from the outputs of the head, value by value."""
    random, g = np.random.default_rng(0), torch.Generator().manual_seed(0)
    distribution = distribution_of(ForecastingConfig(loss=loss))
    B, S, C, P = 30, 4, 2, distribution.num_parameters
    scale = random.uniform(0.5, 40, (B, C)).astype(np.float32).astype(np.float64)
    windows = batch(scale, random.poisson(20, (B, S, C)).astype(float))
    outputs = torch.randn(B, S, C, P, generator=g) * 2
    if P == 2:
        outputs[..., 1] = F.softplus(outputs[..., 1]) + 1e-5  # by the head
    forecasts = distribution.forecasts(outputs, windows)
    losses = distribution.losses(forecasts, windows.targets)
    lower, upper = distribution.own_interval(forecasts) or (None, None)
    assert lower is not None and upper is not None and windows.truth is not None
    crps = distribution.crps(forecasts.double().numpy(), windows.scaled_truth())
    assert crps is not None
    for b, s, c in np.ndindex(B, S, C):
        mean = float(scale[b, c]) * (float(F.softplus(outputs[b, s, c, 0].double())) + 1e-6)
        dispersion = float(outputs[b, s, c, 1]) / float(scale[b, c]) ** 0.5 if P == 2 else 0.0
        known, count = reference(dispersion, mean), windows.truth[b, s, c]
        assert distribution.point(forecasts)[b, s, c] * scale[b, c] == pytest.approx(mean, rel=1e-6)
        assert losses[b, s, c] == pytest.approx(-known.logpmf(count), rel=1e-3, abs=1e-3)
        for end, level in ((lower, 0.05), (upper, 0.95)):
            quantile = float(end[b, s, c] * scale[b, c])
            near = [known.ppf(level + tiny) for tiny in (-1e-4, 1e-4)]
            assert near[0] <= round(quantile, 9) <= near[1]
            # A target at an end is inside: both are divided by the same scale.
            assert round(quantile, 9) / scale[b, c] == end[b, s, c]
        expected = crps_counts(np.array(mean), np.array(dispersion), np.array(count)) / scale[b, c]
        assert crps[b, s, c] == pytest.approx(expected, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("loss", [ForecastLoss.poisson, ForecastLoss.negative_binomial])
def test_conformal_intervals(loss: ForecastLoss) -> None:
    """Of widths in deviations of the distribution, and never below 0."""
    random = np.random.default_rng(0)
    distribution = distribution_of(ForecastingConfig(loss=loss))
    windows = batch(np.full((40, 1), 4.0), random.poisson(3, (40, 2, 1)).astype(float))
    outputs = torch.rand(40, 2, 1, distribution.num_parameters, generator=torch.Generator().manual_seed(0)) + 0.1
    forecasts = distribution.forecasts(outputs, windows)
    scores = distribution.nonconformity(forecasts, torch.from_numpy(windows.scaled_truth()))
    mean = forecasts[..., 0].double() * 4
    variance = mean + (mean**2 * forecasts[..., 1] if len(forecasts[0, 0, 0]) == 3 else 0)
    torch.testing.assert_close(scores, (torch.from_numpy(windows.scaled_truth()) * 4 - mean).abs() / variance.sqrt())
    distribution.conformal = Conformal.of_scores(0.8, scores.numpy())
    lower, upper = distribution.conformal_interval(forecasts)
    targets = torch.from_numpy(windows.scaled_truth())
    inside = (lower - 1e-12 <= targets) & (targets <= upper + 1e-12)
    assert torch.equal(inside, scores <= distribution.conformal.margins) and (lower >= 0).all()


@pytest.fixture
def sales(composed: Compose, tmp_path: Path) -> Callable[..., Config]:
    """Sales of two products, one of which is rare; each value can be replaced."""

    def config(*overrides: str, **values: float) -> Config:
        random = np.random.default_rng(0)
        days = pd.date_range("2021-01-01", periods=90, freq="D")
        parts = [pd.DataFrame({"id": k, "date": days, "y": random.poisson(m, 90)}) for k, m in (("a", 30), ("b", 0.4))]
        frame = pd.concat(parts, ignore_index=True).astype({"y": float})
        for row, value in values.items():
            frame.loc[int(row.removeprefix("row")), "y"] = value
        frame.to_csv(tmp_path / "t.csv", index=False)
        return composed(
            "model=nlinear", "data=series_files", f"data.path={tmp_path / 't.csv'}", "data.lookback=14", "device=cpu",
            "data.horizon=7", "data.id_column=id", "data.scaler=mean", "trainer.max_steps=6", "trainer.lr=0.01",
            "trainer.figures=false", *overrides,
        )  # fmt: skip

    return config


def test_a_run_from_counts_to_counts(sales: Callable[..., Config], tmp_path: Path) -> None:
    config = sales("task.loss=negative_binomial")
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    train(config, run)
    results = read_json(run.results_path)
    scores = results["scores"]["nlinear"]["test"]
    assert results["monitor"] == "crps" and 0 < scores["crps"] < 2 and 0.5 < scores["coverage"] <= 1
    assert "crps" in results["scores"]["last value"]["test"]
    predict(config, config, run, str(tmp_path / "t.csv"), str(tmp_path / "p.parquet"))
    rows = pd.read_parquet(tmp_path / "p.parquet")
    assert list(rows) == ["id", "date", "y", "y_lower", "y_upper"] and len(rows) == 14 and (rows["y"] > 0).all()
    for name in ("y_lower", "y_upper"):
        assert (rows[name] == rows[name].round()).all()
    assert (rows["y_lower"] <= rows["y_upper"]).all() and (rows["y"][7:] < 3).all()


def data_of(config: Config) -> ForecastingData:
    data = build_data(config)
    assert isinstance(data, ForecastingData)
    return data


def test_what_is_no_count_is_refused(sales: Callable[..., Config]) -> None:
    check_counts(ForecastLoss.poisson, data_of(sales()))
    for value, shown in ((-1, "-1"), (2.5, r"2\.5")):
        data = data_of(sales(row130=value, row131=value))
        with pytest.raises(
            DataError,
            match=rf"t\.csv: 'y' of series 'b' is {shown} at 2021-02-10 00:00, and task\.loss=poisson needs whole "
            r"numbers of at least 0 \(2 values are not\); correct",
        ):
            check_counts(ForecastLoss.poisson, data)
    for scaler in ("standard", "robust", "minmax"):
        with pytest.raises(ConfigError, match=rf"data\.scaler={scaler}: must be mean or none with task\.loss=poisson"):
            check_counts(ForecastLoss.poisson, data_of(sales(f"data.scaler={scaler}")))
    check_counts(ForecastLoss.poisson, data_of(sales("data.scaler=none")))
    with pytest.raises(ConfigError, match=r"task\.strategy='recursive': must be direct with task\.loss=poisson"):
        ForecastingConfig(loss=ForecastLoss.poisson, strategy=Strategy.recursive).check("task")
    distribution = distribution_of(ForecastingConfig(loss=ForecastLoss.poisson))
    for value in (-1.0, 0.5):
        windows = batch(np.ones((1, 1)), np.full((1, 1, 1), value))
        with pytest.raises(DataError, match=r"task\.loss=poisson: the targets hold values that are no counts"):
            forecasts = distribution.forecasts(torch.ones(1, 1, 1, 1), windows)
            distribution.crps(forecasts.numpy(), windows.scaled_truth())
