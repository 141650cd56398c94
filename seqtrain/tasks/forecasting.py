"""Forecasting: the steps that follow a window of a series.

Shapes: B windows, L lookback, S horizon, C variables, P parameters of a forecast.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqtrain.config.model import WindowConfig
from seqtrain.config.task import ForecastingConfig, ForecastLoss, Strategy
from seqtrain.data.base import Batch, Dataset, DataSpec
from seqtrain.data.forecasting import ForecastBatch, ForecastingData
from seqtrain.errors import ConfigError
from seqtrain.layers.attention import recorded_weights
from seqtrain.tasks.base import Evaluation, Meter, Table, Task
from seqtrain.tasks.forecast_baselines import RidgeWindows, last_value, seasonal_naive, window_mean
from seqtrain.tasks.forecast_head import ForecastHead
from seqtrain.tasks.forecast_metrics import ForecastSums, crps_from_quantiles, crps_gaussian

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUM_EXAMPLES = 4  # windows that are drawn
NORMAL_90 = 1.6448536269514722  # deviations on either side that hold 90 % of a normal distribution


class ForecastMeter(Meter):
    """Sums of errors over all windows, scaled and in original units, and of the scores of distributions.

    Args:
        head: from features to forecasts.
        task: what forecasts mean.
        sums: empty.
    """

    def __init__(self, head: ForecastHead, task: "Forecasting", sums: ForecastSums):
        self.head, self.task, self.sums = head, task, sums
        self.outputs: list[np.ndarray] = []
        self.rows: list[np.ndarray] = []
        self.crps = self.covered = 0.0
        self.count = 0

    def update(self, features: Tensor, batch: Batch) -> None:
        forecasts = self.task.forecasts(self.head, features, batch)
        self.add(forecasts, batch)
        self.outputs.append(forecasts.cpu().numpy())
        self.rows.append(batch.rows)

    def add(self, forecasts: Tensor, batch: Batch) -> None:
        """Take in the scores of forecasts (B, S, C, P) alone."""
        add_errors(self.sums, self.task.point(forecasts).cpu().numpy(), batch)
        if self.task.distribution:
            self.add_distribution(forecasts, cast(ForecastBatch, batch))

    def add_distribution(self, forecasts: Tensor, batch: ForecastBatch) -> None:
        """Take in the scores of quantiles or normal distributions, (B, S, C, P)."""
        targets = batch.targets.double().cpu().numpy()
        lower, upper = (cast(Tensor, end).double().cpu().numpy() for end in self.task.interval(forecasts))
        values = forecasts.double().cpu().numpy()
        observed = np.ones(targets.shape, dtype=bool) if batch.observed is None else batch.observed.cpu().numpy()
        if self.task.config.loss is ForecastLoss.gaussian:
            scores = crps_gaussian(values[..., 0], values[..., 1], targets)
        else:
            scores = crps_from_quantiles(values, np.array(self.task.config.quantiles), targets)
        self.crps += float(scores[observed].sum())
        self.covered += float(((lower <= targets) & (targets <= upper))[observed].sum())
        self.count += int(observed.sum())

    def result(self) -> Evaluation:
        order = np.argsort(np.concatenate(self.rows))
        outputs = {"forecasts": np.concatenate(self.outputs)[order]}
        return Evaluation(self.metrics(), outputs, {"mse_by_step": self.sums.by_step()[0]})

    def metrics(self) -> dict[str, float]:
        """Scores of all that was taken in."""
        metrics = self.sums.metrics()
        if self.task.distribution:
            metrics |= {"crps": self.crps / self.count, "coverage": self.covered / self.count}
        return metrics


def add_errors(sums: ForecastSums, point: np.ndarray, batch: Batch) -> None:
    """Take in forecasts (B, S, C) of a batch, scaled."""
    batch = cast(ForecastBatch, batch)
    observed = None if batch.observed is None else batch.observed.cpu().numpy()
    targets, centre, scale, series = (
        tensor.cpu().numpy() for tensor in (batch.targets, batch.centre, batch.scale, batch.series)
    )
    sums.update(point, targets, observed, centre, scale, series)


class Forecasting(Task):
    """The S steps that follow a window, as points, quantiles or normal distributions.

    Scores of the point (the mean, or the median): ``mse``, ``mae``, ``rmse`` in scaled units; ``original_mse``,
    ``original_mae``, ``original_rmse`` in those of the file; ``smape``, ``mase``, ``rmsse`` (see ``ForecastSums``). Of
    distributions also ``crps``, scaled, and ``coverage`` of the interval between the outermost quantiles, or of the
    central 90 % of normal distributions.

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
    shown = ("mse", "mae", "original_mse", "original_mae", "smape", "mase", "rmsse", "crps", "coverage")

    def __init__(self, config: ForecastingConfig, spec: DataSpec):
        self.config, self.spec = config, spec
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
        return (self.taught(model, head, batch) if model.training else self.fed_back(model, head, batch)), None

    def taught(self, model: nn.Module, head: ForecastHead, batch: ForecastBatch) -> Tensor:
        """Features of the horizon's steps, each seeing the true values before it (teacher forcing)."""
        C = head.num_variables
        values = torch.cat([batch.inputs[:, :, :C], batch.targets[:, :-1]], dim=1)
        others = batch.inputs[:, :, C:]
        if batch.future is not None:
            others = torch.cat([others, batch.future[:, :-1]], dim=1)
        inputs = torch.cat([head.normalised(values, batch), others], dim=-1)
        return model(head.rows(batch, inputs), None)[0][:, -head.horizon :]

    def fed_back(self, model: nn.Module, head: ForecastHead, batch: ForecastBatch) -> Tensor:
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
        from seqtrain.tasks.forecast_figures import error_by_step_figure

        return {"error_by_step": error_by_step_figure(evaluation.sums["mse_by_step"], {})}

    def illustrate(
        self, model: nn.Module, head: nn.Module, data: Dataset, device: torch.device
    ) -> tuple[dict[str, "Figure"], dict[str, str]]:
        """Forecasts of a few windows against what came, in original units, another variable in each.

        Of a direct forecaster that attends also what it looks at in the first of them.
        """
        from seqtrain.tasks.forecast_figures import attention_map_figure, forecast_figure

        batch = cast(ForecastBatch, data.examples("validation", NUM_EXAMPLES)[0]).to(device)
        with torch.no_grad(), recorded_weights(model) as weights:
            forecasts = self.ordered(head(self.features(model, head, batch, None)[0], batch))
        lower, upper = self.interval(forecasts)
        drawn = {}
        for i in range(len(batch.rows)):
            v = i * self.spec.num_targets // NUM_EXAMPLES if self.spec.num_targets else 0
            centre, scale = batch.centre[i, v], batch.scale[i, v]
            curves = [batch.inputs[i, :, v], batch.targets[i, :, v], self.point(forecasts)[i, :, v]]
            curves += [end[i, :, v] for end in (lower, upper) if end is not None]
            history, truth, point, *ends = ((curve * scale + centre).cpu().numpy() for curve in curves)
            if batch.observed is not None:
                truth = np.where(batch.observed[i, :, v].cpu().numpy(), truth, np.nan)
            name = self.spec.target_names[v]
            title = f"{name}, window {batch.rows[i]} of validation"
            low, high = ends if ends else (None, None)
            drawn[f"forecast/{i}"] = forecast_figure(history, truth, point, low, high, None, title, name)
        for name, calls in {} if self.recursive else weights.items():
            # Row 0 is of the window of forecast/0 and, where variables have rows of their own, of its variable.
            rows = np.atleast_2d(calls[0][0].float().cpu().numpy())
            if not hasattr(model, "num_segments"):  # then the queries are no steps of the horizon
                rows = rows.mean(0, keepdims=True)
            of = f"{self.spec.target_names[0]}, " if cast(ForecastHead, head).independent else ""
            title = f"{of}window {batch.rows[0]} of validation"
            drawn[f"attention/{name.removesuffix('.attention')}"] = attention_map_figure(rows, title)
        return drawn, {}

    def interval(self, forecasts: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Ends of the interval of a distribution, (B, S, C): the outermost quantiles, or the central 90 %."""
        if self.config.loss is ForecastLoss.gaussian:
            mean, deviation = forecasts.unbind(-1)
            return mean - NORMAL_90 * deviation, mean + NORMAL_90 * deviation
        if self.config.loss is ForecastLoss.quantile:
            return forecasts[..., 0], forecasts[..., -1]
        return None, None

    def baselines(self, data: Dataset) -> Table:
        """Scores of the last value, the seasonal naive forecast, the mean of the window and a linear map."""
        if not isinstance(data, ForecastingData):
            return {}
        spec, season = self.spec, self.spec.season
        assert spec.lookback is not None and spec.horizon is not None and spec.num_targets is not None
        horizon, C = spec.horizon, spec.num_targets
        methods: dict[str, Callable[[np.ndarray], np.ndarray]] = {
            "last value": lambda x: last_value(x, horizon),
            "mean of the window": lambda x: window_mean(x, horizon),
        }
        if season <= spec.lookback:
            methods[f"seasonal naive ({season} steps)"] = lambda x: seasonal_naive(x, horizon, season)
        if "train" in data.sizes:
            methods["linear"] = fitted_linear(data, spec.lookback, horizon, C).forecast
        table: Table = {who: {} for who in methods}
        for split in data.sizes:
            if split != "train":
                sums = {who: self.sums() for who in methods}
                for batch in data.eval_batches(split):
                    window = batch.inputs[:, :, :C].numpy()
                    for who, forecast in methods.items():
                        add_errors(sums[who], forecast(window), batch)
                for who in methods:
                    scores = table[who][split] = sums[who].metrics()
                    if self.distribution:
                        scores["crps"] = scores["mae"]  # of a point, the two are one
        return table


def fitted_linear(data: ForecastingData, lookback: int, horizon: int, num_variables: int) -> RidgeWindows:
    """The linear baseline, fitted on all windows of train; those with a missing target are left out."""
    linear = RidgeWindows(lookback, horizon)
    for batch in data.eval_batches("train"):
        window, targets = batch.inputs[:, :, :num_variables].numpy(), batch.targets.numpy()
        observed = cast(ForecastBatch, batch).observed
        if observed is not None:
            # Each variable stands alone, so windows of one variable can be left out.
            whole = observed.numpy().all(1)
            window, targets = (np.moveaxis(part, 1, 2)[whole][:, :, None] for part in (window, targets))
        linear.update(window, targets)
    linear.solve()
    return linear
