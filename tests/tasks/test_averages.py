"""Averages of outputs: of probabilities and their logarithms, and of distributions of forecasts."""

import numpy as np
import pytest

from seqtrain.config.task import ForecastingConfig, ForecastLoss
from seqtrain.tasks.averages import averaged, joined, log_mean_exp, mean
from seqtrain.tasks.forecasting.distribution import distribution_of


def test_averages_by_name() -> None:
    first = {"probabilities": np.array([[0.9, 0.1]], dtype=np.float32), "targets": np.array([0])}
    second = {"probabilities": np.array([[0.3, 0.7]], dtype=np.float32), "targets": np.array([0])}
    found = averaged([first, second], {"probabilities": mean, "absent": mean})
    np.testing.assert_allclose(found["probabilities"], [[0.6, 0.4]], rtol=1e-6)
    assert found.keys() == first.keys() and found["targets"] is first["targets"]
    np.testing.assert_allclose(log_mean_exp([np.log([0.2, 1e-30]), np.log([0.4, 3e-30])]), np.log([0.3, 2e-30]))
    assert log_mean_exp([np.array([-1e4]), np.array([-1e4])])[0] == pytest.approx(-1e4)  # no underflow
    assert joined([{"a": np.arange(2)}, {"a": np.arange(3)}])["a"].tolist() == [0, 1, 0, 1, 2]


def of(loss: str, *forecasts: list[float]) -> list[float]:
    """The average of forecasts of one value."""
    config = ForecastingConfig(loss=ForecastLoss(loss))
    parts = [np.array(each, dtype=np.float32)[None, None, None] for each in forecasts]
    average = distribution_of(config).average(parts)
    assert average.dtype == np.float32
    return [float(value) for value in average[0, 0, 0]]


def test_averages_of_forecasts() -> None:
    assert of("mse", [1.0], [4.0]) == pytest.approx([2.5])
    assert of("quantile", [1, 2, 3], [2, 4, 9]) == pytest.approx([1.5, 3, 6])
    # Mean 2, variance of the mixture: mean of the variances, (1 + 9) / 2, and variance of the means, 1.
    assert of("gaussian", [1, 1], [3, 3]) == pytest.approx([2, np.sqrt(6)])
    assert of("poisson", [1, 10], [3, 10]) == pytest.approx([2, 10])
    # Means 10 and 30 of counts, with variances mean + dispersion mean^2.
    centre, variance = 20, (10 + 0.5 * 100 + 30 + 0.1 * 900) / 2 + 100
    scaled, dispersion, scale = of("negative_binomial", [1, 0.5, 10], [3, 0.1, 10])
    assert (scaled * scale, scale) == pytest.approx((centre, 10))
    assert centre + dispersion * centre**2 == pytest.approx(variance)
