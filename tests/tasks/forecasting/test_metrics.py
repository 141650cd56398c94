from collections import defaultdict

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from seqtrain.errors import DataError
from seqtrain.tasks.forecasting import metrics as forecast_metrics
from seqtrain.tasks.forecasting.metrics import (
    ForecastSums,
    crps_from_quantiles,
    crps_gaussian,
    pinball,
)

N, S, C, K = 40, 5, 3, 4
NAMES = ["mse", "mae", "rmse", "original_mse", "original_mae", "original_rmse", "smape", "mase", "rmsse"]


def windows(seed: int = 0, dtype: type = np.float64) -> dict[str, np.ndarray]:
    """Random windows in original units; a fifth of the targets are unobserved and NaN."""
    rng = np.random.default_rng(seed)
    forecast, target = rng.normal(size=(2, N, S, C)).astype(dtype)
    observed = rng.random((N, S, C)) < 0.8
    return {
        "forecast": forecast,
        "target": np.where(observed, target, np.nan).astype(dtype),
        "observed": observed,
        "scale": rng.uniform(0.1, 20, (N, C)),
        "series": rng.integers(0, K, N),
    }


def naive() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(9)
    return rng.uniform(1, 5, (K, C)), rng.uniform(1, 50, (K, C))


def summed(data: dict[str, np.ndarray], order: np.ndarray | None = None, batch: int = N) -> ForecastSums:
    sums = ForecastSums(S, *naive())
    order = np.arange(N) if order is None else order
    for start in range(0, N, batch):
        part = order[start : start + batch]
        sums.update(**{name: array[part] for name, array in data.items()})
    return sums


def plain_metrics(data: dict[str, np.ndarray], variables: list[int]) -> dict[str, float]:
    """Every metric straight from its definition, value by value."""
    errors, originals, smapes = [], [], []
    by_series = defaultdict(list)
    for n, s, c in np.argwhere(data["observed"]):
        if c not in variables:
            continue
        y, f = (data[name][n, s, c] for name in ("target", "forecast"))
        errors.append((y - f) / data["scale"][n, c])
        originals.append(y - f)
        smapes.append(200 * abs(y - f) / (abs(y) + abs(f)))
        by_series[data["series"][n], c].append(y - f)
    mae, mse = naive()
    mases = [(len(e), np.mean(np.abs(e)) / mae[pair]) for pair, e in by_series.items()]
    rmsses = [(len(e), np.sqrt(np.mean(np.square(e)) / mse[pair])) for pair, e in by_series.items()]
    result = {"mse": np.mean(np.square(errors)), "mae": np.mean(np.abs(errors))}
    result |= {"original_mse": np.mean(np.square(originals)), "original_mae": np.mean(np.abs(originals))}
    result |= {"rmse": np.sqrt(result["mse"]), "original_rmse": np.sqrt(result["original_mse"])}
    result |= {"smape": np.mean(smapes), "mase": sum(n * x for n, x in mases) / sum(n for n, _ in mases)}
    return result | {"rmsse": sum(n * x for n, x in rmsses) / sum(n for n, _ in rmsses)}


def test_metrics_equal_plain_ones() -> None:
    data = windows()
    sums = summed(data)
    metrics = sums.metrics()
    assert list(metrics) == NAMES
    assert all(type(value) is float for value in metrics.values())
    assert metrics == pytest.approx(plain_metrics(data, [0, 1, 2]), rel=1e-12)
    by_variable = sums.by_variable()
    assert list(by_variable) == NAMES
    for c in range(C):
        assert {name: by_variable[name][c] for name in NAMES} == pytest.approx(plain_metrics(data, [c]), rel=1e-12)
    error = (data["forecast"] - data["target"]) / data["scale"][:, None]
    mse, mae = sums.by_step()
    assert mse == pytest.approx(np.nanmean(error**2, axis=(0, 2)), rel=1e-12)
    assert mae == pytest.approx(np.nanmean(np.abs(error), axis=(0, 2)), rel=1e-12)


@pytest.mark.parametrize("batch", [1, 7, N])
@pytest.mark.parametrize("chunk", [1, 2 * S * C, 1 << 20])
def test_batches_and_their_order_change_nothing(batch: int, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = windows(dtype=np.float32)
    expected = summed(data)
    monkeypatch.setattr(forecast_metrics, "CHUNK", chunk)
    sums = summed(data, np.random.default_rng(1).permutation(N), batch)
    assert sums.metrics() == pytest.approx(expected.metrics(), rel=1e-12)
    for mine, other in zip(sums.by_step(), expected.by_step(), strict=True):
        assert mine == pytest.approx(other, rel=1e-12)


def test_sums_of_two_parts_add_up() -> None:
    data = windows()
    whole, sums = summed(data), summed(data, np.arange(13)) + summed(data, np.arange(13, N))
    assert sums.metrics() == pytest.approx(whole.metrics(), rel=1e-12)
    assert sums.by_step()[0] == pytest.approx(whole.by_step()[0], rel=1e-12)
    assert sums.counts.sum() == whole.counts.sum()


def test_float32_is_summed_in_float64() -> None:
    data = windows(dtype=np.float32)
    wide = {name: array.astype(np.float64) if array.dtype == np.float32 else array for name, array in data.items()}
    assert summed(data).metrics() == summed(wide).metrics()


def test_without_a_mask_everything_counts() -> None:
    data = windows()
    data["target"] = np.nan_to_num(data["target"])
    everything = summed(data | {"observed": np.ones((N, S, C), bool)})
    sums = ForecastSums(S, *naive())
    sums.update(data["forecast"], data["target"], None, data["scale"], data["series"])
    assert sums.metrics() == everything.metrics()
    assert sums.counts.sum() == N * S * C


def test_a_worked_example() -> None:
    # One step of two series. Original values 12 against 10, and 6 against 7.
    sums = ForecastSums(1, naive_mae=np.array([[4.0], [2.0]]), naive_mse=np.array([[16.0], [1.0]]))
    forecast, target = np.array([12.0, 6.0]).reshape(2, 1, 1), np.array([10.0, 7.0]).reshape(2, 1, 1)
    errors = sums.update(forecast, target, None, np.array([[2.0], [0.5]]), np.array([0, 1]))
    assert errors.tolist() == [[1, 4], [1, 2], [1, 1]]  # squared and absolute, scaled, and their number
    metrics = sums.metrics()
    assert (metrics["mse"], metrics["mae"], metrics["original_mse"], metrics["original_mae"]) == (2.5, 1.5, 2.5, 1.5)
    assert metrics["smape"] == pytest.approx((200 * 2 / 22 + 200 * 1 / 13) / 2)
    assert metrics["mase"] == (2 / 4 + 1 / 2) / 2
    assert metrics["rmsse"] == (np.sqrt(4 / 16) + np.sqrt(1 / 1)) / 2


def test_smape_of_zeros_is_zero_and_of_opposite_signs_200() -> None:
    forecast, target = np.array([0.0, 0.0, 3.0, -1.0]), np.array([0.0, 2.0, 0.0, 5.0])
    sums = ForecastSums(4, np.ones((1, 1)), np.ones((1, 1)))
    sums.update(forecast.reshape(1, 4, 1), target.reshape(1, 4, 1), None, np.ones((1, 1)), np.zeros(1, int))
    assert sums.metrics()["smape"] == pytest.approx((0 + 200 + 200 + 200) / 4)


def test_series_without_naive_error_are_left_out() -> None:
    data = windows()
    mae, mse = naive()
    mae[1], mse[1] = 0, 0
    mae[2, 0], mse[2, 0] = np.nan, np.nan
    sums = ForecastSums(S, mae, mse)
    sums.update(**data)
    kept = data["observed"] & (data["series"] != 1)[:, None, None]
    kept[data["series"] == 2, :, 0] = False
    expected = summed(data | {"observed": kept}).metrics()
    metrics = sums.metrics()
    assert (metrics["mase"], metrics["rmsse"]) == pytest.approx((expected["mase"], expected["rmsse"]), rel=1e-12)
    assert metrics["mse"] == summed(data).metrics()["mse"]

    sums = ForecastSums(S, np.zeros((K, C)), np.zeros((K, C)))
    sums.update(**data)
    assert list(sums.metrics()) == NAMES[:-2]
    assert np.isnan(sums.by_variable()["mase"]).all()


def test_what_is_unobserved_is_not_a_number() -> None:
    data = windows()
    data["observed"][:, 1] = False
    data["observed"][:, :, 2] = False
    sums = summed(data)
    assert np.isnan(sums.by_step()[0]).tolist() == [False, True, False, False, False]
    assert np.isnan(sums.by_variable()["mase"]).tolist() == [False, False, True]
    assert np.isfinite(list(sums.metrics().values())).all()
    with pytest.raises(DataError, match="observed"):
        ForecastSums(S, *naive()).metrics()


def test_a_forecast_that_is_not_a_number_shows_in_every_metric() -> None:
    data = windows()
    data["forecast"][np.argwhere(data["observed"])[0][0]] = np.nan
    assert np.isnan(list(summed(data).metrics().values())).all()


def test_shapes_are_checked() -> None:
    data = windows()
    with pytest.raises(ValueError, match=r"\(40, 5, 1\)"):
        summed(data | {"target": data["target"][:, :, :1]})


def test_pinball_of_a_worked_example() -> None:
    levels = np.array([0.1, 0.5, 0.9])
    losses = pinball(np.array([[1.0, 2.0, 3.0], [4.0, 6.0, 8.0]]), levels, np.array([2.5, 4.0]))
    assert losses == pytest.approx(np.array([[0.15, 0.25, 0.05], [0, 1, 0.4]]))


@pytest.mark.parametrize("level", [0.05, 0.5, 0.8])
def test_the_quantile_has_the_least_pinball_loss(level: float) -> None:
    sample = np.random.default_rng(0).gamma(2, size=2001)
    candidates = np.sort(sample)
    losses = pinball(candidates[:, None], np.array([level]), sample[:, None]).mean(axis=(0, 2))
    assert candidates[losses.argmin()] == pytest.approx(np.quantile(sample, level), abs=1e-9)


@pytest.mark.parametrize("mean, deviation, target", [(0, 1, 0), (2, 0.5, 3), (-1, 3, 8), (0, 1, -40)])
def test_crps_gaussian_equals_the_integral(mean: float, deviation: float, target: float) -> None:
    below, _ = quad(lambda x: norm.cdf(x, mean, deviation) ** 2, mean - 9 * deviation, target, limit=200)
    above, _ = quad(lambda x: norm.sf(x, mean, deviation) ** 2, target, mean + 9 * deviation, limit=200)
    score = crps_gaussian(np.array(mean), np.array(deviation), np.array(target))
    assert score == pytest.approx(below + above, rel=1e-6)


def test_crps_gaussian_equals_that_of_a_sample() -> None:
    rng = np.random.default_rng(0)
    draws, others = rng.normal(1, 2, (2, 200_000))
    expected = np.abs(draws - 0.3).mean() - np.abs(draws - others).mean() / 2
    assert crps_gaussian(np.array([1.0]), np.array([2.0]), np.array([0.3])) == pytest.approx(expected, abs=0.01)


def test_crps_from_many_quantiles_equals_the_closed_form() -> None:
    levels = (np.arange(4000) + 0.5) / 4000
    mean, deviation, target = (
        np.array([[0.0, 1], [2, 5]]),
        np.array([[1.0, 2], [0.1, 4]]),
        np.array([[0.5, 1], [3, -9]]),
    )
    quantiles = mean[..., None] + deviation[..., None] * norm.ppf(levels)
    score = crps_from_quantiles(quantiles, levels, target)
    assert score == pytest.approx(crps_gaussian(mean, deviation, target), rel=1e-3)


@pytest.mark.parametrize("count, excess", [(9, 1.09), (99, 1.01)])
def test_crps_from_few_quantiles_is_too_much_by_what_is_said(count: int, excess: float) -> None:
    levels = np.arange(1, count + 1) / (count + 1)
    targets = norm.ppf((np.arange(10_000) + 0.5) / 10_000)
    score = crps_from_quantiles(norm.ppf(levels), levels, targets).mean()
    assert score * np.sqrt(np.pi) == pytest.approx(excess, abs=0.005)  # the score of a right one is 1 / sqrt(pi)
