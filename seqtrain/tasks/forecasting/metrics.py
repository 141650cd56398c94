"""Metrics of forecasts: sums of errors over windows, and scores of quantiles and normal distributions.

Shapes: B windows of a batch, S horizon steps, C variables, K series, Q quantiles; "..." any shape.
"""

import math

import numpy as np
from numpy.typing import NDArray

from seqtrain.errors import DataError

Floats = NDArray[np.float64]

CHUNK = 1 << 20
"""Number of values whose errors are computed at once, to bound memory."""


class ForecastSums:
    """Errors of point forecasts, as sums and counts in float64: batches and their order affect only the rounding.

    Every mean is over the observed values. Scaled values are (original values - centre) / scale.

    - ``mse``, ``mae``, ``rmse``: of scaled values; rmse is the square root of mse.
    - ``original_mse``, ``original_mae``, ``original_rmse``: in original units, even if variables differ in unit.
    - ``smape``: 200 |y - f| / (|y| + |f|) in per cent, of original values; 0 where both are 0.
    - ``mase``, ``rmsse``: for each series and variable, the mean absolute error divided by ``naive_mae``, and the root
      of the mean squared error divided by ``naive_mse``; then the mean over series and variables, weighted by numbers
      of observed values. Those whose naive error is 0 or NaN are left out.

    Args:
        horizon: number S of steps.
        naive_mae: mean absolute error, in original units, of the seasonal naive forecast on the train rows, (K, C).
        naive_mse: mean squared error, in original units, of the same forecast, (K, C).

    Source: Hyndman and Koehler 2006 (MASE); Makridakis et al. 2022, "M5 accuracy competition" (RMSSE; they weigh series
    by sales instead). Both score one window a series; here all windows of a series are pooled.
    """

    def __init__(self, horizon: int, naive_mae: NDArray[np.floating], naive_mse: NDArray[np.floating]):
        self.naive_mae, self.naive_mse = naive_mae.astype(np.float64), naive_mse.astype(np.float64)
        self.has_naive = (self.naive_mae > 0) & (self.naive_mse > 0)
        num_series, num_variables = naive_mae.shape
        names = ("mse", "mae", "original_mse", "original_mae", "smape")
        self.sums = {name: np.zeros((horizon, num_variables)) for name in names}
        self.counts = np.zeros((horizon, num_variables), dtype=np.int64)
        self.series_absolute, self.series_squared = np.zeros((2, num_series, num_variables))
        self.series_counts = np.zeros((num_series, num_variables), dtype=np.int64)

    def update(
        self,
        forecast: NDArray[np.floating],
        target: NDArray[np.floating],
        observed: NDArray[np.bool_] | None,
        scale: NDArray[np.floating],
        series: NDArray[np.integer],
    ) -> Floats:
        """Add the windows of a batch.

        Args:
            forecast: forecasts in original units, (B, S, C).
            target: true values in original units, (B, S, C); any value, also NaN, where not observed.
            observed: which targets were observed, (B, S, C); None if all.
            scale: scale of each variable, (B, C), above 0.
            series: number of the series of each window, (B,), in [0, K).

        Returns:
            Sums over steps and variables of squared and of absolute scaled errors, and number of observed values, of
            each window, (3, B).

        Raises:
            ValueError: if the shape of forecast or target is not (B, S, C).
        """
        shape = (len(series), *self.counts.shape)
        if forecast.shape != shape or target.shape != shape:
            raise ValueError(f"forecast {forecast.shape} and target {target.shape} must be {shape} both")
        windows = max(CHUNK // self.counts.size, 1)
        parts = []
        for start in range(0, len(series), windows):
            part = slice(start, start + windows)
            mask = np.True_ if observed is None else observed[part]
            parts.append(
                self._add(
                    np.where(mask, forecast[part], 0).astype(np.float64),
                    np.where(mask, target[part], 0).astype(np.float64),
                    np.broadcast_to(mask, forecast[part].shape),
                    scale[part].astype(np.float64),
                    series[part],
                )
            )
        return np.concatenate(parts, axis=1)

    def _add(
        self,
        forecast: Floats,
        target: Floats,
        observed: NDArray[np.bool_],
        scale: Floats,
        series: NDArray[np.integer],
    ) -> Floats:
        """Add windows whose forecasts and targets, and thus errors, are 0 where not observed; see ``update``."""
        absolute = np.abs(forecast - target)
        squared = absolute**2
        size = np.abs(forecast) + np.abs(target)
        terms = np.divide(200 * absolute, size, out=np.zeros_like(size), where=size != 0)  # NaN stays NaN
        for name, values in (("original_mse", squared), ("original_mae", absolute), ("smape", terms)):
            self.sums[name] += values.sum(axis=0)
        window_counts = observed.sum(axis=1)
        self.counts += observed.sum(axis=0)
        np.add.at(self.series_squared, series, squared.sum(axis=1))
        np.add.at(self.series_absolute, series, absolute.sum(axis=1))
        np.add.at(self.series_counts, series, window_counts)

        absolute /= scale[:, None]
        squared = np.square(absolute, out=squared)
        self.sums["mse"] += squared.sum(axis=0)
        self.sums["mae"] += absolute.sum(axis=0)
        return np.stack([squared.sum(axis=(1, 2)), absolute.sum(axis=(1, 2)), window_counts.sum(axis=1)])

    def metrics(self) -> dict[str, float]:
        """All metrics of the class over all steps and variables; mase and rmsse only if a series is not left out.

        Raises:
            DataError: if no value was observed.
        """
        if not self.counts.any():
            raise DataError("there are no forecasts of observed values to score: all targets are missing")
        metrics = {name: float(value) for name, value in self._scores(axis=None).items()}
        if not self.series_counts[self.has_naive].any():
            del metrics["mase"], metrics["rmsse"]
        return metrics

    def by_step(self) -> tuple[Floats, Floats]:
        """``mse`` and ``mae`` of each step, (S,) each; NaN where nothing was observed."""
        counts = self.counts.sum(axis=1)
        return mean(self.sums["mse"].sum(axis=1), counts), mean(self.sums["mae"].sum(axis=1), counts)

    def by_variable(self) -> dict[str, Floats]:
        """All metrics of the class for each variable, (C,) each; NaN if nothing was observed or all is left out."""
        return self._scores(axis=0)

    def __add__(self, other: "ForecastSums") -> "ForecastSums":
        """The sums over the windows of both objects, which must have the same series."""
        total = ForecastSums(len(self.counts), self.naive_mae, self.naive_mse)
        total.sums = {name: sums + other.sums[name] for name, sums in self.sums.items()}
        for name in ("counts", "series_absolute", "series_squared", "series_counts"):
            setattr(total, name, getattr(self, name) + getattr(other, name))
        return total

    def _scores(self, axis: int | None) -> dict[str, Floats]:
        """All metrics, as means over the first axis of the sums (steps or series), or over all axes (None)."""
        counts = self.counts.sum(axis=axis)
        means = {name: mean(sums.sum(axis=axis), counts) for name, sums in self.sums.items()}

        weights = np.where(self.has_naive, self.series_counts, 0)
        absolute, squared = (mean(sums, weights) for sums in (self.series_absolute, self.series_squared))
        scored = weights > 0
        mase, rmsse = np.zeros((2, *weights.shape))
        np.divide(absolute, self.naive_mae, out=mase, where=scored)
        np.sqrt(np.divide(squared, self.naive_mse, out=rmsse, where=scored), out=rmsse)
        total = weights.sum(axis=axis)
        return {
            "mse": means["mse"],
            "mae": means["mae"],
            "rmse": np.sqrt(means["mse"]),
            "original_mse": means["original_mse"],
            "original_mae": means["original_mae"],
            "original_rmse": np.sqrt(means["original_mse"]),
            "smape": means["smape"],
            "mase": mean((weights * mase).sum(axis=axis), total),
            "rmsse": mean((weights * rmsse).sum(axis=axis), total),
        }


def mean(sums: Floats, counts: NDArray[np.int64]) -> Floats:
    """Sums over counts, NaN where the count is 0, (...)."""
    return np.divide(sums, counts, out=np.full(np.shape(sums), np.nan), where=counts > 0)


def pinball(
    quantiles: NDArray[np.floating], levels: NDArray[np.floating], target: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Pinball loss of each quantile: level * (y - q) if the target y is above q, else (1 - level) * (q - y).

    Args:
        quantiles: q, (..., Q).
        levels: their levels, (Q,), in (0, 1).
        target: y, (...).

    Returns:
        The losses, (..., Q), in the units of the target; at level 0.5, half the absolute error.

    Source: Koenker and Bassett 1978.
    """
    error = target[..., None] - quantiles
    return np.maximum(levels * error, (levels - 1) * error)


def crps_from_quantiles(
    quantiles: NDArray[np.floating], levels: NDArray[np.floating], target: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Continuous ranked probability score (CRPS), approximated by twice the mean of the pinball losses.

    The score is twice the integral of the loss over all levels from 0 to 1. The mean over Q levels is the midpoint rule
    if levels are (q - 1/2) / Q. For other levels, papers still report the mean as CRPS, but it is another quantity: for
    correct normal distributions, levels 0.1, 0.2 ... 0.9 give 9 % too much, and 0.01 ... 0.99 give 1 % too much.
    Compare only scores of the same levels.

    Args:
        quantiles: predicted quantiles, (..., Q).
        levels: their levels, (Q,), in (0, 1).
        target: true values, (...).

    Returns:
        The score, (...), in the units of the target.

    Source: Gneiting and Raftery 2007, section 4.2, for the score; Laio and Tamea 2007 for the integral. GluonTS's mean
    weighted quantile loss is the sum of this over all targets, divided by the sum of their absolute values.
    """
    return 2 * pinball(quantiles, levels, target).mean(axis=-1)


def crps_gaussian(
    mean: NDArray[np.floating], deviation: NDArray[np.floating], target: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Continuous ranked probability score of normal distributions, in closed form.

    Args:
        mean: means of the distributions, (...).
        deviation: standard deviations, (...), above 0.
        target: true values, (...).

    Returns:
        The score, (...), in the units of the target.

    Source: Gneiting et al. 2005, eq. 5.
    """
    from scipy.special import ndtr

    error = target - mean
    z = error / deviation
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return error * (2 * ndtr(z) - 1) + deviation * (2 * density - 1 / math.sqrt(math.pi))
