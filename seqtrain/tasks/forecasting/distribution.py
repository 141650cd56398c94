"""What the parameters of a forecast mean: a point, quantiles, or a normal distribution.

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

NORMAL_90 = 1.6448536269514722  # deviations on either side that hold 90 % of a normal distribution


class Distribution(ABC):
    """How forecasts (B, S, C, P) are read and scored; all values are scaled.

    Args:
        config: the loss and its options.
    """

    monitor: str
    """Metric on validation that chooses the best checkpoint."""
    num_parameters: int = 1
    """P."""
    deviations_from: ClassVar[int | None] = None
    """Parameters from this one on are deviations; None if none is."""
    conformal: Conformal | None = None
    """Margins around the forecasts, calibrated on validation once the model is trained."""

    def __init__(self, config: ForecastingConfig):
        self.config = config

    @abstractmethod
    def losses(self, forecasts: Tensor, targets: Tensor) -> Tensor:
        """Training loss of each value, (B, S, C)."""

    @abstractmethod
    def nonconformity(self, forecasts: Tensor, targets: Tensor) -> Tensor:
        """The margin that an interval needs to hold the targets, (B, S, C), of float64 on the CPU.

        Source: Lei et al. 2018, algorithm 2 and section 5.2; Romano et al. 2019, algorithm 1.
        """

    @abstractmethod
    def widened(self, forecasts: Tensor, margins: Tensor) -> Interval:
        """The interval with these margins, (S, C), around forecasts, of float64 on the CPU."""

    def ordered(self, forecasts: Tensor) -> Tensor:
        """Forecasts with their parameters in order."""
        return forecasts

    def point(self, forecasts: Tensor) -> Tensor:
        """Mean or median, (B, S, C)."""
        return forecasts[..., 0]

    def own_interval(self, forecasts: Tensor) -> Interval | None:
        """Ends of the interval that a forecast has of itself, (B, S, C) each; None for a point."""
        return None

    def crps(self, forecasts: NDArray[np.floating], targets: NDArray[np.floating]) -> NDArray[np.floating] | None:
        """Continuous ranked probability score, (B, S, C); None for a point, of which it is the absolute error."""
        return None

    def parts(self, forecasts: Tensor) -> dict[str, Tensor]:
        """What a table shows of a forecast, (B, S, C) each: ``forecast`` (the point), and more by its name."""
        parts = {"forecast": self.point(forecasts)}
        if self.conformal is not None:
            parts["lower"], parts["upper"] = self.conformal_interval(forecasts)
        return parts

    def conformal_interval(self, forecasts: Tensor) -> Interval:
        """Ends of the conformal interval, (B, S, C) each; only once ``conformal`` is set."""
        assert self.conformal is not None
        return self.widened(forecasts.cpu().double(), self.conformal.margins)

    def interval(self, forecasts: Tensor) -> Interval | None:
        """Ends of the conformal interval where there is one, else of the forecast's own."""
        return self.own_interval(forecasts) if self.conformal is None else self.conformal_interval(forecasts)


class Point(Distribution):
    """One number a step: P is 1. Its nonconformity is the absolute error."""

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
    """A value for each level: P is their number. Its own interval lies between the outermost two.

    The nonconformity is the distance outside that interval, negative inside.
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
        """Forecasts whose quantiles do not cross (Chernozhukov et al. 2010)."""
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
    """A mean and a standard deviation: P is 2. Its own interval holds the central 90 %.

    The nonconformity is the absolute error in deviations.
    """

    monitor = "crps"
    num_parameters = 2
    deviations_from = 1

    def losses(self, forecasts: Tensor, targets: Tensor) -> Tensor:
        mean, deviation = forecasts.unbind(-1)
        return F.gaussian_nll_loss(mean, targets, deviation.square(), full=True, reduction="none")

    def own_interval(self, forecasts: Tensor) -> Interval:
        mean, deviation = forecasts.unbind(-1)
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
    """The ends; the middle twice where a negative margin makes them cross."""
    middle = (lower + upper) / 2
    return torch.minimum(lower, middle), torch.maximum(upper, middle)


def distribution_of(config: ForecastingConfig) -> Distribution:
    """What forecasts mean under ``task.loss``."""
    kinds: dict[ForecastLoss, type[Distribution]] = {
        ForecastLoss.quantile: Quantiles,
        ForecastLoss.gaussian: Gaussian,
    }
    return kinds.get(config.loss, Point)(config)
