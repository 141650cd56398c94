"""Forecasting: the steps that follow a window of a series.

Shapes: B windows, L lookback, S horizon, C variables, P parameters of a forecast.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqtrain.config.model import WindowConfig
from seqtrain.config.task import ForecastingConfig, ForecastLoss, Strategy
from seqtrain.data.base import Batch, Dataset, DataSpec
from seqtrain.data.series.dataset import ForecastBatch, ForecastingData
from seqtrain.errors import ConfigError
from seqtrain.layers.attention import recorded_weights
from seqtrain.tasks.base import Evaluation, Meter, Task
from seqtrain.tasks.forecasting.comparison import error_figures, score_baselines
from seqtrain.tasks.forecasting.conformal import Conformal, Interval, central_interval
from seqtrain.tasks.forecasting.head import ForecastHead
from seqtrain.tasks.forecasting.meter import ForecastMeter
from seqtrain.tasks.forecasting.metrics import ForecastSums

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Forecasting(Task):
    """The S steps that follow a window, as points, quantiles or normal distributions.

    Scores of the point (the mean, or the median): ``mse``, ``mae``, ``rmse`` in scaled units; ``original_mse``,
    ``original_mae``, ``original_rmse`` in those of the file; ``smape``, ``mase``, ``rmsse`` (see ``ForecastSums``). Of
    distributions also ``crps``, scaled, and ``coverage`` of the interval between the outermost quantiles, or of the
    central 90 % of normal distributions. Once ``conformal`` is set also ``conformal_coverage`` of its intervals and
    their mean width, ``conformal_width`` (scaled) and ``conformal_original_width``.

    Args:
        config: strategy and loss.
        spec: of the series.

    Raises:
        ConfigError: if past covariates meet the recursive strategy.
    """

    targets = "future"
    causal = False
    pooled = True
    monitor = "mse"
    maximize = False
    shown = (
        *("mse", "mae", "original_mse", "original_mae", "smape", "mase", "rmsse", "crps", "coverage"),
        *("conformal_coverage", "conformal_width"),
    )

    def __init__(self, config: ForecastingConfig, spec: DataSpec):
        self.config, self.spec = config, spec
        self.conformal: Conformal | None = None  # calibrated on validation, once the model is trained
        self.recursive = config.strategy is Strategy.recursive
        self.causal, self.pooled = self.recursive, not self.recursive
        self.distribution = config.loss in (ForecastLoss.quantile, ForecastLoss.gaussian)
        if self.distribution:
            self.monitor = "crps"
        elif config.loss is not ForecastLoss.mse:
            self.monitor = "mae"
        assert spec.num_features is not None and spec.num_targets is not None
        if self.recursive and spec.num_features > spec.num_targets + spec.num_future:
            raise ConfigError(
                "task.strategy=recursive: past covariates are not known for the steps fed back; use direct, or leave "
                "data.past_covariates empty"
            )

    def build_head(self, model: nn.Module) -> nn.Module:
        places = self.spec.horizon if self.recursive else getattr(model, "num_segments", 1)
        gaussian = self.config.loss is ForecastLoss.gaussian
        parameters = {ForecastLoss.gaussian: 2, ForecastLoss.quantile: len(self.config.quantiles)}
        return ForecastHead(
            cast(int, model.output_size),
            cast(int, places),
            cast(WindowConfig, model.window),
            self.spec,
            parameters.get(self.config.loss, 1),
            deviations_from=1 if gaussian else None,
        )

    def features(self, model: nn.Module, head: nn.Module, batch: Batch, state: Any) -> tuple[Tensor, Any]:
        head, batch = cast(ForecastHead, head), cast(ForecastBatch, batch)
        if not self.recursive:
            return model(head.encode(batch), None)
        forecast = self.teacher_forced if model.training else self.autoregressive
        return forecast(model, head, batch), None

    def teacher_forced(self, model: nn.Module, head: ForecastHead, batch: ForecastBatch) -> Tensor:
        """Features of the horizon's steps, each seeing the true values before it (teacher forcing)."""
        C = head.num_variables
        values = torch.cat([batch.inputs[:, :, :C], batch.targets[:, :-1]], dim=1)
        others = batch.inputs[:, :, C:]
        if batch.future is not None:
            others = torch.cat([others, batch.future[:, :-1]], dim=1)
        inputs = torch.cat([head.normalised(values, batch), others], dim=-1)
        return model(head.rows(batch, inputs), None)[0][:, -head.horizon :]

    def autoregressive(self, model: nn.Module, head: ForecastHead, batch: ForecastBatch) -> Tensor:
        """Features of the horizon's steps, each seeing the forecasts before it; the state is carried."""
        features, state = model(head.encode(batch), None)
        steps = [features[:, -1:]]
        for step in range(head.horizon - 1):
            future = None if batch.future is None else batch.future[:, step : step + 1]
            inputs = self.point(head.normal(steps[-1], future))
            if future is not None:
                inputs = torch.cat([inputs, future], dim=-1)
            features, state = model(head.rows(batch, inputs), state)
            steps.append(features)
        return torch.cat(steps, dim=1)

    def forecasts(self, head: nn.Module, features: Tensor, batch: Batch) -> Tensor:
        """What features become, (B, S, C, P), scaled; quantiles in order."""
        return self.ordered(head(features, batch).float())

    def point(self, forecasts: Tensor) -> Tensor:
        """Mean or median, (B, S, C), of forecasts (B, S, C, P)."""
        if self.config.loss is ForecastLoss.quantile:
            return self.ordered(forecasts)[..., self.config.quantiles.index(0.5)]
        return forecasts[..., 0]

    def ordered(self, forecasts: Tensor) -> Tensor:
        """Forecasts whose quantiles do not cross (Chernozhukov et al. 2010)."""
        return forecasts.sort(-1).values if self.config.loss is ForecastLoss.quantile else forecasts

    def loss(self, head: nn.Module, features: Tensor, batch: Batch) -> Tensor:
        batch = cast(ForecastBatch, batch)
        forecasts = head(features, batch)
        losses = self.losses(forecasts, batch.targets)
        return losses.sum() if batch.observed is None else losses[batch.observed].sum()

    def losses(self, forecasts: Tensor, targets: Tensor) -> Tensor:
        """Loss of each value, (B, S, C)."""
        match self.config.loss:
            case ForecastLoss.mse:
                return (forecasts[..., 0] - targets).square()
            case ForecastLoss.mae:
                return (forecasts[..., 0] - targets).abs()
            case ForecastLoss.huber:
                return F.huber_loss(forecasts[..., 0], targets, reduction="none", delta=self.config.huber_delta)
            case ForecastLoss.gaussian:
                mean, deviation = forecasts.unbind(-1)
                return F.gaussian_nll_loss(mean, targets, deviation.square(), full=True, reduction="none")
            case ForecastLoss.quantile:
                levels = torch.tensor(self.config.quantiles, device=forecasts.device)
                error = targets[..., None] - self.ordered(forecasts)
                return torch.maximum(levels * error, (levels - 1) * error).mean(-1)

    def count(self, batch: Batch) -> Tensor:
        observed = cast(ForecastBatch, batch).observed
        number = batch.targets.numel() if observed is None else observed.sum()
        return torch.as_tensor(number, dtype=torch.float, device=batch.targets.device)

    def meter(self, head: nn.Module) -> Meter:
        return ForecastMeter(cast(ForecastHead, head), self, self.sums())

    def sums(self) -> ForecastSums:
        """Empty sums for the series of the data."""
        assert self.spec.horizon is not None
        return ForecastSums(self.spec.horizon, *np.array(self.spec.naive_errors))

    def figures(self, evaluation: Evaluation) -> dict[str, "Figure"]:
        return error_figures(evaluation, {}, self.spec.target_names)

    def illustrate(
        self, model: nn.Module, head: nn.Module, data: Dataset, device: torch.device
    ) -> tuple[dict[str, "Figure"], dict[str, str]]:
        """Forecasts of a few windows against what came, in original units, another variable in each.

        Of a direct forecaster that attends also what it looks at in the first of them.
        """
        from seqtrain.tasks.forecasting.examples import NUM_EXAMPLES, draw_attention, draw_forecasts

        examples, times = data.examples("validation", NUM_EXAMPLES)
        batch = cast(ForecastBatch, examples).to(device)
        with torch.no_grad(), recorded_weights(model) as weights:
            forecasts = self.forecasts(head, self.features(model, head, batch, None)[0], batch)
        drawn = draw_forecasts(self, forecasts, batch, times, "validation")
        if not self.recursive:
            drawn |= draw_attention(self, model, cast(ForecastHead, head), weights, batch)
        return drawn, {}

    def final_figures(
        self,
        model: nn.Module,
        head: nn.Module,
        data: Dataset,
        device: torch.device,
        evaluations: Mapping[str, Evaluation],
        baselines: Mapping[str, Mapping[str, Evaluation]],
    ) -> dict[str, "Figure"]:
        """Errors of the model beside those of the baselines, and forecasts of a few windows, on test."""
        from seqtrain.tasks.forecasting.examples import NUM_EXAMPLES, draw_forecasts

        others = {who: scored["test"] for who, scored in baselines.items()}
        figures = error_figures(evaluations["test"], others, self.spec.target_names)
        examples, times = data.examples("test", NUM_EXAMPLES)
        batch = cast(ForecastBatch, examples).to(device)
        with torch.no_grad():
            forecasts = self.forecasts(head, self.features(model, head, batch, None)[0], batch)
        figures |= draw_forecasts(self, forecasts, batch, times, "test")
        return {f"test/{tag}": figure for tag, figure in figures.items()}

    def interval(self, forecasts: Tensor) -> Interval | None:
        """Ends of the conformal interval, else of the one that a distribution has, (B, S, C) each; of points, None."""
        if self.conformal is not None:
            return self.conformal.interval(forecasts)
        return central_interval(self.config.loss, forecasts)

    def scored_baselines(self, data: Dataset) -> dict[str, dict[str, Evaluation]]:
        return score_baselines(self, data) if isinstance(data, ForecastingData) else {}
