"""Poisson and negative binomial distributions of counts: likelihood, score and quantiles.

A distribution is given by its mean m > 0 and its dispersion a >= 0: the variance is m + a m^2. With a = 0 it is a
Poisson distribution, else a negative binomial one of 1 / a failures. An array of dispersions holds either only zeros or
none. "..." is any shape.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqtrain.config.task import ForecastLoss
from seqtrain.data.series.dataset import ForecastingData
from seqtrain.data.series.table import called
from seqtrain.data.series.times import time_text
from seqtrain.errors import ConfigError, DataError

Floats = NDArray[np.float64]

FEW = 50
"""Largest number of failures for which the expected difference of two draws is a hypergeometric function."""
SUMMED = 500
"""Counts below which quantiles are found by adding up probabilities."""


def check_counts(loss: ForecastLoss, data: ForecastingData) -> None:
    """Check that known targets are counts, and that their scaling keeps 0 at 0.

    Raises:
        ConfigError: if a centre is not 0.
        DataError: for the first target that is no count.
    """
    table, C = data.table, data.table.num_targets
    if data.constants.centre[:, :C].any():
        raise ConfigError(
            f"data.scaler={data.config.scaler.value}: must be mean or none with task.loss={loss.value}, so that a "
            "count of 0 stays 0"
        )
    values = table.values[:, :C]
    bad = ~np.isnan(values) & ((values < 0) | (values != np.round(values)))
    if bad.any():
        row, variable = np.argwhere(bad)[0]
        series = int(np.searchsorted(table.offsets, row, side="right")) - 1
        raise DataError(
            f"{table.origin}: {called(table, series, variable)} is {values[row, variable]:g} at "
            f"{time_text(table.times[row])}, and task.loss={loss.value} needs whole numbers of at least 0 "
            f"({bad.sum():,} values are not); correct the file, or use task.loss=gaussian"
        )


def count_losses(mean: Tensor, dispersion: Tensor | None, counts: Tensor) -> Tensor:
    """Negative log-likelihood of counts, (...), in nats.

    It is computed in float64, where the device has it: logarithms of the gamma function are large and nearly cancel.

    Args:
        mean: means, (...).
        dispersion: dispersions above 0, (...); None for Poisson distributions.
        counts: whole numbers of at least 0, (...).
    """
    kind = mean.dtype
    if mean.device.type != "mps":
        mean, counts = mean.double(), counts.double()
        dispersion = None if dispersion is None else dispersion.double()
    if dispersion is None:
        losses = mean - torch.xlogy(counts, mean) + torch.lgamma(counts + 1)
    else:
        failures = 1 / dispersion
        losses = torch.lgamma(counts + 1) + torch.lgamma(failures) - torch.lgamma(failures + counts)
        losses = losses + (failures + counts) * torch.log1p(dispersion * mean) - torch.xlogy(counts, dispersion * mean)
    return losses.to(kind)


def cumulative(counts: Floats, mean: Floats, dispersion: Floats, more: int = 0) -> Floats:
    """Probability of at most so many, (...), 0 for counts below 0; ``more`` is added to the number of failures."""
    from scipy.special import betainc, gammaincc

    known = counts.clip(min=0)
    if not dispersion.any():
        found = gammaincc(known + 1, mean)
    else:
        failures = 1 / dispersion
        found = betainc(failures + more, known + 1, failures / (failures + mean))
    return np.where(counts < 0, 0, found)


def crps_counts(mean: Floats, dispersion: Floats, counts: Floats) -> Floats:
    """Continuous ranked probability score, (...): E|X - y| - E|X - X'| / 2 of draws X, X' and a count y.

    Args:
        mean: means, (...).
        dispersion: dispersions, (...).
        counts: true counts, (...); NaN gives NaN.

    Source: Wei and Held 2014, "Calibration tests for count data", section 2.2; the first term by the identity
    x p(x; k) = m p(x - 1; k + 1) of the probabilities p.
    """
    error = counts * (2 * cumulative(counts, mean, dispersion) - 1)
    error -= mean * (2 * cumulative(counts - 1, mean, dispersion, more=1) - 1)
    return error - half_difference(mean, dispersion)


def half_difference(mean: Floats, dispersion: Floats) -> Floats:
    """Half of the expected absolute difference of two draws, (...), with a relative error below 1e-5.

    - At most 50 failures and a mean below 1e4: a hypergeometric function (Wei and Held 2014).
    - More failures and a variance v below 1e8: that of Poisson distributions of mean v, by Bessel functions, with a
      correction of the first order in a: the characteristic function of X - X' is (1 + 2 (v a)(1 - cos t))^(-1 / a),
      or exp(-2 v (1 - cos t)) (1 + 2 a v^2 (1 - cos t)^2) up to terms in a^2.
    - Else: that of gamma distributions of the same mean and variance, which are no longer distinct from it.
    """
    from scipy.special import hyp2f1, ive, poch

    mean, dispersion = np.broadcast_arrays(mean, dispersion)
    variance = mean * (1 + dispersion * mean)
    few = dispersion * FEW >= 1
    exact, near = few & (mean < 1e4), ~few & (variance < 1e8)
    half = np.empty(mean.shape)
    m, a = mean[exact], dispersion[exact]
    half[exact] = m * (1 + a * m) * hyp2f1(1 / a + 1, 0.5, 2, -4 * a * m * (1 + a * m))
    v, a = variance[near], dispersion[near]
    zeroth, first = ive(0, 2 * v), ive(1, 2 * v)
    half[near] = v * (zeroth + first) - a * v**2 * (zeroth - first)
    rest = ~(exact | near)
    shape = mean[rest] ** 2 / variance[rest]
    half[rest] = variance[rest] / mean[rest] * poch(shape, 0.5) / np.sqrt(np.pi)
    return half


def count_quantiles(mean: Floats, dispersion: Floats, levels: tuple[float, ...]) -> list[Floats]:
    """The smallest counts whose cumulative probability is at least each level, (...) each.

    Small ones are found by adding up probabilities from 0 on, for all distributions at once; scipy searches the others
    one by one.
    """
    from scipy.stats import nbinom, poisson

    mean, dispersion = np.broadcast_arrays(mean, dispersion)
    shape, mean, dispersion = mean.shape, mean.ravel(), dispersion.ravel()
    binomial = bool(dispersion.any())
    log_zero = -np.log1p(dispersion * mean) / dispersion if binomial else -mean
    top = max(levels)  # Cantelli's inequality bounds its quantile
    small = mean + np.sqrt(mean * (1 + dispersion * mean) * top / (1 - top)) < SUMMED
    found = [np.zeros(mean.shape) for _ in levels]
    active = np.flatnonzero(small)
    m, a, probability = mean[active], dispersion[active], np.exp(log_zero[active])
    total, count = probability, 0
    while active.size:
        for level, quantile in zip(levels, found, strict=True):
            quantile[active] += total < level
        going = total < top
        active, m, a, probability, total = active[going], m[going], a[going], probability[going], total[going]
        probability = probability * (1 + count * a) * m / ((count + 1) * (1 + a * m))
        total, count = total + probability, count + 1
    m, failures = mean[~small], 1 / dispersion[~small] if binomial else None
    for level, quantile in zip(levels, found, strict=True):
        large = poisson.ppf(level, m) if failures is None else nbinom.ppf(level, failures, failures / (failures + m))
        quantile[~small] = large
    return [quantile.reshape(shape) for quantile in found]
