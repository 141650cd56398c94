"""The meaning of the parameters of a forecast: a point, quantiles, or a normal distribution.

Shapes: B windows, S horizon, C variables, P parameters of a forecast.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from seqtrain.config.task import ForecastingConfig, ForecastLoss
from seqtrain.tasks.forecasting.conformal import Conformal, Interval
from seqtrain.tasks.forecasting.metrics import crps_from_quantiles, crps_gaussian

NORMAL_90 = 1.6448536269514722  # 90 % of a normal distribution are within this many deviations of the mean


class Distribution(ABC):
    """How forecasts (B, S, C, P) are interpreted and scored; all values are in scaled units.

    Args:
        config: the loss and its options.
    """

    monitor: str
    """Metric on validation that chooses the best checkpoint."""
    num_parameters: int = 1
    """Number P of parameters of a forecast."""
    deviations_from: ClassVar[int | None] = None
    """Number of the first parameter that is a deviation; None if there is none."""
    conformal: Conformal | None = None
    """Margins of conformal intervals, calibrated on validation after training."""

    def __init__(self, config: ForecastingConfig):
        self.config = config

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

    def ordered(self, forecasts: Tensor) -> Tensor:
        """Forecasts with parameters in ascending order, where they must be (quantiles)."""
        return forecasts

    def point(self, forecasts: Tensor) -> Tensor:
        """The point forecast: mean or median, (B, S, C)."""
        return forecasts[..., 0]

    def own_interval(self, forecasts: Tensor) -> Interval | None:
        """Ends of the interval that the parameters give, (B, S, C) each; None for a point."""
        return None

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
        self.num_parameters = len(self.levels)

    def losses(self, forecasts: Tensor, targets: Tensor) -> Tensor:
        levels = torch.tensor(self.levels, device=forecasts.device)
        error = targets[..., None] - self.ordered(forecasts)
        return torch.maximum(levels * error, (levels - 1) * error).mean(-1)

    def ordered(self, forecasts: Tensor) -> Tensor:
        """Forecasts with sorted quantiles, which do not cross (Chernozhukov et al. 2010)."""
        return forecasts.sort(-1).values

    def point(self, forecasts: Tensor) -> Tensor:
        return self.ordered(forecasts)[..., self.levels.index(0.5)]

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


def around_middle(lower: Tensor, upper: Tensor) -> Interval:
    """The ends of an interval; twice the middle if they cross, because of a negative margin."""
    middle = (lower + upper) / 2
    return torch.minimum(lower, middle), torch.maximum(upper, middle)


def distribution_of(config: ForecastingConfig) -> Distribution:
    """The distribution of forecasts that ``task.loss`` implies."""
    kinds: dict[ForecastLoss, type[Distribution]] = {
        ForecastLoss.quantile: Quantiles,
        ForecastLoss.gaussian: Gaussian,
    }
    return kinds.get(config.loss, Point)(config)
