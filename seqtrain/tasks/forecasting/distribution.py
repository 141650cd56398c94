"""The meaning of the parameters of a forecast: a point, quantiles, a normal distribution, or one of counts.

Shapes: B windows, S horizon, C variables, P parameters of a forecast.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from seqtrain.config.task import ForecastingConfig, ForecastLoss
from seqtrain.data.series.batch import ForecastBatch
from seqtrain.errors import DataError
from seqtrain.tasks import averages
from seqtrain.tasks.forecasting.conformal import Conformal, Interval
from seqtrain.tasks.forecasting.counts import count_losses, count_quantiles, crps_counts
from seqtrain.tasks.forecasting.metrics import Floats, crps_from_quantiles, crps_gaussian

NORMAL_90 = 1.6448536269514722  # 90 % of a normal distribution are within this many deviations of the mean
SMALLEST_MEAN = 1e-6  # of counts, scaled; the logarithm of 0 is infinite


class Distribution(ABC):
    """How forecasts (B, S, C, P) are interpreted and scored; all values are in scaled units.

    Args:
        config: the loss and its options.
    """

    monitor: str
    """Metric on validation that chooses the best checkpoint."""
    num_parameters: int = 1
    """Number P of parameters that the head puts out."""
    deviations_from: ClassVar[int | None] = None
    """Number of the first parameter that is a deviation; None if there is none."""
    dimensionless: ClassVar[bool] = False
    """Whether the deviations have no unit, so that the scale of a window does not change them."""
    own_level: float = 0.9
    """Share of values that ``own_interval`` should contain."""
    counts: ClassVar[bool] = False
    """Whether targets must be counts, and ends of ``own_interval`` are."""
    conformal: Conformal | None = None
    """Margins of conformal intervals, calibrated on validation after training."""

    def __init__(self, config: ForecastingConfig):
        self.config = config

    def forecasts(self, outputs: Tensor, batch: ForecastBatch) -> Tensor:
        """Forecasts from the outputs (B, S, C, P) of the head; the other methods take forecasts."""
        return outputs

    @abstractmethod
    def losses(self, forecasts: Tensor, targets: Tensor) -> Tensor:
        """Training loss of each value, (B, S, C)."""

    @abstractmethod
    def nonconformity(self, forecasts: Tensor, targets: Tensor) -> Tensor:
        """The margin that an interval needs to contain the targets, (B, S, C), float64 on the CPU.

        Source: Lei et al. 2018, algorithm 2 and section 5.2; Romano et al. 2019, algorithm 1.
        """

    @abstractmethod
    def widened(self, forecasts: Tensor, margins: Tensor) -> Interval:
        """The interval around forecasts with these margins, (S, C); all are float64 on the CPU."""

    def point(self, forecasts: Tensor) -> Tensor:
        """The point forecast: mean or median, (B, S, C)."""
        return forecasts[..., 0]

    def own_interval(self, forecasts: Tensor) -> Interval | None:
        """Ends of the interval that the parameters give, (B, S, C) each; None for a point."""
        return None

    def average(self, forecasts: Sequence[NDArray[np.floating]]) -> NDArray[np.floating]:
        """The forecasts of an ensemble, float32, from those of its members, (N, S, C, P) each: the mean of each."""
        return averages.mean(forecasts).astype(np.float32)

    def crps(self, forecasts: NDArray[np.floating], targets: NDArray[np.floating]) -> NDArray[np.floating] | None:
        """Continuous ranked probability score, (B, S, C); None for a point, whose score is the absolute error."""
        return None

    def parts(self, forecasts: Tensor) -> dict[str, Tensor]:
        """Parts of a forecast for tables, (B, S, C) each: ``forecast`` (the point), and other parts by name."""
        parts = {"forecast": self.point(forecasts)}
        if self.conformal is not None:
            parts["lower"], parts["upper"] = self.conformal_interval(forecasts)
        return parts

    def conformal_interval(self, forecasts: Tensor) -> Interval:
        """Ends of the conformal interval, (B, S, C) each; ``conformal`` must be set."""
        assert self.conformal is not None
        return self.widened(forecasts.cpu().double(), self.conformal.margins)

    @property
    def levels_of_coverage(self) -> dict[str, float]:
        """Share of values that each kind of interval should contain, by the name of its coverage among the scores."""
        conformal = {} if self.conformal is None else {"conformal_coverage": self.conformal.level}
        return {"coverage": self.own_level} | conformal

    def interval(self, forecasts: Tensor) -> Interval | None:
        """Ends of the conformal interval or, if there is none, of ``own_interval``."""
        return self.own_interval(forecasts) if self.conformal is None else self.conformal_interval(forecasts)


class Point(Distribution):
    """A single number for each step (P is 1), with the absolute error as nonconformity."""

    def __init__(self, config: ForecastingConfig):
        super().__init__(config)
        self.monitor = "mse" if config.loss is ForecastLoss.mse else "mae"

    def losses(self, forecasts: Tensor, targets: Tensor) -> Tensor:
        match self.config.loss:
            case ForecastLoss.mse:
                return (forecasts[..., 0] - targets).square()
            case ForecastLoss.mae:
                return (forecasts[..., 0] - targets).abs()
        return F.huber_loss(forecasts[..., 0], targets, reduction="none", delta=self.config.huber_delta)

    def nonconformity(self, forecasts: Tensor, targets: Tensor) -> Tensor:
        return (targets.cpu().double() - forecasts[..., 0].cpu().double()).abs()

    def widened(self, forecasts: Tensor, margins: Tensor) -> Interval:
        return around_middle(forecasts[..., 0] - margins, forecasts[..., 0] + margins)


class Quantiles(Distribution):
    """A quantile for each level (P is their number); its own interval is between the outermost two.

    The nonconformity is the distance outside this interval, negative inside.
    """

    monitor = "crps"

    def __init__(self, config: ForecastingConfig):
        super().__init__(config)
        self.levels = config.quantiles
        self.own_level = self.levels[-1] - self.levels[0]
        self.num_parameters = len(self.levels)

    def forecasts(self, outputs: Tensor, batch: ForecastBatch) -> Tensor:
        """Sorted quantiles, which do not cross (Chernozhukov et al. 2010)."""
        return outputs.sort(-1).values

    def losses(self, forecasts: Tensor, targets: Tensor) -> Tensor:
        levels = torch.tensor(self.levels, device=forecasts.device)
        error = targets[..., None] - forecasts
        return torch.maximum(levels * error, (levels - 1) * error).mean(-1)

    def point(self, forecasts: Tensor) -> Tensor:
        return forecasts.sort(-1).values[..., self.levels.index(0.5)]  # also of outputs that are fed back

    def own_interval(self, forecasts: Tensor) -> Interval:
        return forecasts[..., 0], forecasts[..., -1]

    def crps(self, forecasts: NDArray[np.floating], targets: NDArray[np.floating]) -> NDArray[np.floating]:
        return crps_from_quantiles(forecasts, np.array(self.levels), targets)

    def nonconformity(self, forecasts: Tensor, targets: Tensor) -> Tensor:
        forecasts, targets = forecasts.cpu().double(), targets.cpu().double()
        return torch.maximum(forecasts[..., 0] - targets, targets - forecasts[..., -1])

    def widened(self, forecasts: Tensor, margins: Tensor) -> Interval:
        return around_middle(forecasts[..., 0] - margins, forecasts[..., -1] + margins)

    def parts(self, forecasts: Tensor) -> dict[str, Tensor]:
        parts = super().parts(forecasts)
        quantiles = {f"q{level:g}": part for level, part in zip(self.levels, forecasts.unbind(-1), strict=True)}
        return {"forecast": parts.pop("forecast")} | quantiles | parts


class Gaussian(Distribution):
    """A normal distribution, by mean and standard deviation (P is 2); its own interval is the central 90 %.

    The nonconformity is the absolute error divided by the deviation.
    """

    monitor = "crps"
    num_parameters = 2
    deviations_from = 1

    def losses(self, forecasts: Tensor, targets: Tensor) -> Tensor:
        mean, deviation = forecasts.unbind(-1)
        return F.gaussian_nll_loss(mean, targets, deviation.square(), full=True, reduction="none")

    def average(self, forecasts: Sequence[NDArray[np.floating]]) -> NDArray[np.floating]:
        """The normal distribution with the mean and variance of the mixture of the members' distributions."""
        centre = averages.mean([each[..., 0] for each in forecasts])
        square = averages.mean([np.square(each, dtype=np.float64).sum(-1) for each in forecasts])
        deviation = np.sqrt(np.maximum(square - centre**2, 0))
        return np.stack([centre, deviation], axis=-1).astype(np.float32)

    def own_interval(self, forecasts: Tensor) -> Interval:
        mean, deviation = forecasts.cpu().double().unbind(-1)
        return mean - NORMAL_90 * deviation, mean + NORMAL_90 * deviation

    def crps(self, forecasts: NDArray[np.floating], targets: NDArray[np.floating]) -> NDArray[np.floating]:
        return crps_gaussian(forecasts[..., 0], forecasts[..., 1], targets)

    def nonconformity(self, forecasts: Tensor, targets: Tensor) -> Tensor:
        mean, deviation = forecasts.cpu().double().unbind(-1)
        return (targets.cpu().double() - mean).abs() / deviation

    def widened(self, forecasts: Tensor, margins: Tensor) -> Interval:
        mean, deviation = forecasts.unbind(-1)
        return mean - margins * deviation, mean + margins * deviation

    def parts(self, forecasts: Tensor) -> dict[str, Tensor]:
        parts = super().parts(forecasts)
        if self.conformal is None:
            parts["lower"], parts["upper"] = self.own_interval(forecasts)
        return parts


class Counts(Distribution):
    """A Poisson or a negative binomial distribution of counts; its own interval is the central 90 %.

    The outputs o of the head become the mean softplus(o1) and, for negative binomial distributions, the dispersion
    softplus(o2) / sqrt(scale), where the variance is mean + dispersion mean^2. Forecasts (B, S, C, P + 1) hold the
    scaled mean, the dispersion and the scale of the series, which must have the centre 0. The point is the mean. The
    nonconformity is the absolute error divided by the standard deviation.

    Source: Salinas et al. 2020, "DeepAR", eq. 3 and section 3.3.
    """

    monitor = "crps"
    dimensionless = True
    counts = True

    def forecasts(self, outputs: Tensor, batch: ForecastBatch) -> Tensor:
        scale = torch.as_tensor(batch.scale, dtype=outputs.dtype, device=outputs.device)
        scale = scale[:, None, :, None].expand(*outputs.shape[:-1], 1)
        mean = F.softplus(outputs[..., :1]) + SMALLEST_MEAN
        return torch.cat([mean, outputs[..., 1:] / scale.sqrt(), scale], dim=-1)

    def losses(self, forecasts: Tensor, targets: Tensor) -> Tensor:
        scale = forecasts[..., -1]
        dispersion = forecasts[..., 1] if self.num_parameters == 2 else None
        return count_losses(forecasts[..., 0] * scale, dispersion, (targets * scale).round().clamp(min=0))

    def original(self, forecasts: NDArray[np.floating]) -> tuple[Floats, Floats, Floats]:
        """Mean and dispersion in original units, and scale, (B, S, C) each."""
        values = forecasts.astype(np.float64)
        dispersion = values[..., 1] if self.num_parameters == 2 else np.zeros(values.shape[:-1])
        return values[..., 0] * values[..., -1], dispersion, values[..., -1]

    def own_interval(self, forecasts: Tensor) -> Interval:
        mean, dispersion, scale = self.original(forecasts.cpu().numpy())
        lower, upper = (torch.from_numpy(end / scale) for end in count_quantiles(mean, dispersion, (0.05, 0.95)))
        return lower, upper

    def crps(self, forecasts: NDArray[np.floating], targets: NDArray[np.floating]) -> NDArray[np.floating]:
        mean, dispersion, scale = self.original(forecasts)
        counts = targets * scale
        if (np.abs(counts - counts.round()) > 1e-6 * counts.clip(min=1)).any() or (counts < 0).any():
            raise DataError(f"task.loss={self.config.loss.value}: the targets hold values that are no counts")
        return crps_counts(mean, dispersion, counts.round()) / scale

    def deviation(self, forecasts: Tensor) -> Tensor:
        """Scaled standard deviation, (B, S, C), float64 on the CPU."""
        mean, dispersion, scale = self.original(forecasts.cpu().numpy())
        return torch.from_numpy(np.sqrt(mean * (1 + dispersion * mean)) / scale)

    def nonconformity(self, forecasts: Tensor, targets: Tensor) -> Tensor:
        return (targets.cpu().double() - forecasts[..., 0].cpu().double()).abs() / self.deviation(forecasts)

    def widened(self, forecasts: Tensor, margins: Tensor) -> Interval:
        mean, reach = forecasts[..., 0], margins * self.deviation(forecasts)
        return (mean - reach).clamp(min=0), mean + reach

    def parts(self, forecasts: Tensor) -> dict[str, Tensor]:
        parts = super().parts(forecasts)
        if self.conformal is None:
            parts["lower"], parts["upper"] = self.own_interval(forecasts)
        return parts


class NegativeBinomial(Counts):
    """A negative binomial distribution, by mean and dispersion."""

    num_parameters = 2
    deviations_from = 1

    def average(self, forecasts: Sequence[NDArray[np.floating]]) -> NDArray[np.floating]:
        """The negative binomial distribution with the mean and variance of the mixture of the members'."""
        parts = [self.original(each) for each in forecasts]
        centre = averages.mean([of_mean for of_mean, _, _ in parts])
        factorial = averages.mean([of_mean**2 * (1 + dispersion) for of_mean, dispersion, _ in parts])  # E[X (X - 1)]
        dispersion = np.maximum(factorial / centre**2 - 1, 0)
        scale = parts[0][2]
        return np.stack([centre / scale, dispersion, scale], axis=-1).astype(np.float32)


def around_middle(lower: Tensor, upper: Tensor) -> Interval:
    """The ends of an interval; twice the middle if they cross, because of a negative margin."""
    middle = (lower + upper) / 2
    return torch.minimum(lower, middle), torch.maximum(upper, middle)


def distribution_of(config: ForecastingConfig) -> Distribution:
    """The distribution of forecasts that ``task.loss`` implies."""
    kinds: dict[ForecastLoss, type[Distribution]] = {
        ForecastLoss.quantile: Quantiles,
        ForecastLoss.gaussian: Gaussian,
        ForecastLoss.poisson: Counts,
        ForecastLoss.negative_binomial: NegativeBinomial,
    }
    return kinds.get(config.loss, Point)(config)
