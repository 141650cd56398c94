"""Forecasting: predict the steps that follow a window of a series.

Shapes: B windows, L lookback, S horizon, C variables, P parameters of a forecast.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from seqtrain.config.base import DataConfig, ModelConfig, Targets, TaskConfig, require
from seqtrain.config.task import COUNT_LOSSES, ForecastingConfig, ForecastLoss, Strategy
from seqtrain.config.window import WindowConfig
from seqtrain.data.base import Batch, Dataset
from seqtrain.data.series.batch import ForecastBatch
from seqtrain.data.series.dataset import ForecastingData
from seqtrain.data.series.saved import SavedSeries
from seqtrain.data.series.steps import numbers_of_times
from seqtrain.data.spec import DataSpec
from seqtrain.errors import ConfigError
from seqtrain.layers.attention import recorded_weights
from seqtrain.runs.directory import RunDirectory
from seqtrain.tasks.averages import averaged, mean
from seqtrain.tasks.base import FINAL_GROUPS, Evaluation, Meter, Task
from seqtrain.tasks.forecasting.calibration import calibrate, check_windows, load, save, with_intervals
from seqtrain.tasks.forecasting.comparison import error_figures, score_baselines
from seqtrain.tasks.forecasting.conformal import Conformal
from seqtrain.tasks.forecasting.counts import check_counts
from seqtrain.tasks.forecasting.distribution import distribution_of
from seqtrain.tasks.forecasting.head import ForecastHead
from seqtrain.tasks.forecasting.meter import ForecastMeter, empty_sums
from seqtrain.tasks.statistics import Outputs

if TYPE_CHECKING:
    from matplotlib.figure import Figure


log = logging.getLogger(__name__)

POINT_LOSSES = (ForecastLoss.mse, ForecastLoss.mae, ForecastLoss.huber)


class Forecasting(Task):
    """Forecasts of the S steps after a window, as points, quantiles, normal distributions or distributions of counts.

    Scores of the point (mean or median): ``mse``, ``mae``, ``rmse`` in scaled units; ``original_mse``,
    ``original_mae``, ``original_rmse`` in original units; ``smape``, ``mase``, ``rmsse`` (see ``ForecastSums``).

    Scores of distributions: ``crps``, scaled, and ``coverage`` of the interval between the outermost quantiles, or of
    the central 90 % of other distributions.

    Scores of conformal intervals, if ``conformal`` is set: ``conformal_coverage``, and the mean width,
    ``conformal_width`` (scaled) and ``conformal_original_width``.

    Args:
        config: strategy and loss.
        spec: spec of the series.

    Raises:
        ConfigError: if the data has past covariates and the strategy is recursive.
    """

    targets = Targets.future
    causal = False
    pooled = True
    monitor = "mse"
    maximize = False
    averages = {"forecasts": mean}
    scores_need_data = True
    shown = (
        *("mse", "mae", "original_mse", "original_mae", "smape", "mase", "rmsse", "crps", "coverage"),
        *("conformal_coverage", "conformal_width"),
    )
    separate_in_head = ("gain", "shift", "cycle")
    predictor = "seqtrain.tasks.forecasting.predict:ForecastPredictor"
    inspector = "seqtrain.tasks.forecasting.inspect:inspect"
    subject = "seqtrain.tasks.forecasting.explain:ForecastSubject"

    def __init__(self, config: ForecastingConfig, spec: DataSpec):
        self.config, self.spec = config, spec
        self.recursive = config.strategy is Strategy.recursive
        self.causal, self.pooled = self.recursive, not self.recursive
        self.distribution = distribution_of(config)
        self.monitor = self.distribution.monitor
        assert spec.num_features is not None and spec.num_targets is not None
        if self.recursive and spec.num_features > spec.num_targets + spec.num_future:
            raise ConfigError(
                "task.strategy=recursive: past covariates are not known for the steps fed back; use direct, or leave "
                "data.past_covariates empty"
            )

    @classmethod
    def check_model(cls, config: TaskConfig, model: ModelConfig) -> None:
        """Check that counts have no cycle.

        Raises:
            ConfigError: if they have one, since a sum with it may be negative.
        """
        cycle = getattr(model, "window", WindowConfig()).cycle
        loss = cast(ForecastingConfig, config).loss
        require(cycle is None or loss not in COUNT_LOSSES, "model.window.cycle", cycle,
                f"null with task.loss={loss.value}: the mean of counts cannot be shifted")  # fmt: skip

    def build_head(self, model: nn.Module) -> nn.Module:
        places = self.spec.horizon if self.recursive else getattr(model, "num_segments", 1)
        return ForecastHead(
            cast(int, model.output_size),
            cast(int, places),
            cast(WindowConfig, model.window),
            self.spec,
            self.distribution.num_parameters,
            self.distribution.deviations_from,
            self.distribution.dimensionless,
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
            inputs = self.distribution.point(head.normalised_forecasts(steps[-1], future))
            if future is not None:
                inputs = torch.cat([inputs, future], dim=-1)
            features, state = model(head.rows(batch, inputs), state)
            steps.append(features)
        return torch.cat(steps, dim=1)

    def forecasts(self, head: nn.Module, features: Tensor, batch: Batch) -> Tensor:
        """Scaled forecasts (B, S, C, P) from features."""
        return self.distribution.forecasts(head(features, batch).float(), cast(ForecastBatch, batch))

    def loss(self, head: nn.Module, features: Tensor, batch: Batch) -> Tensor:
        batch = cast(ForecastBatch, batch)
        losses = self.distribution.losses(self.forecasts(head, features, batch), batch.targets)
        return losses.sum() if batch.observed is None else losses[batch.observed].sum()

    def count(self, batch: Batch) -> Tensor:
        observed = cast(ForecastBatch, batch).observed
        number = batch.targets.numel() if observed is None else observed.sum()
        return torch.as_tensor(number, dtype=torch.float, device=batch.targets.device)

    def meter(self, head: nn.Module) -> Meter:
        return ForecastMeter(cast(ForecastHead, head), self.distribution, empty_sums(self.spec), self.spec.target_names)

    def unlike_in_head(self, config: TaskConfig, spec: DataSpec, run: Path, data: Dataset) -> Collection[str] | None:
        """The maps, of another kind of forecast; what belongs to variables of other names, or to another cycle."""
        assert isinstance(config, ForecastingConfig) and isinstance(data, ForecastingData)
        unlike: set[str] = set()
        points = config.loss in POINT_LOSSES and self.config.loss in POINT_LOSSES
        ours, theirs = ((each.loss, each.quantiles) for each in (self.config, config))
        if config.strategy is not self.config.strategy or not (points or ours == theirs):
            unlike |= {"linear", "future"}
        if spec.target_names != data.spec.target_names:
            unlike |= set(self.separate_in_head)
        saved, table = SavedSeries.read(run / "scaler.json"), data.table
        same_steps = (saved.frequency, saved.distance) == (table.frequency, table.distance)
        if not same_steps or numbers_of_times(table) is None:  # else the same time is at the same place of the cycle
            unlike.add("cycle")
        return unlike

    def figures(self, evaluation: Evaluation) -> dict[str, "Figure"]:
        return error_figures(evaluation, {}, self.spec.target_names, self.distribution.levels_of_coverage)

    def illustrate(
        self, model: nn.Module, head: nn.Module, data: Dataset, device: torch.device
    ) -> tuple[dict[str, "Figure"], dict[str, str]]:
        """Forecasts and true values of a few windows, in original units, each of a different variable.

        For a direct forecaster with attention, also the attention weights in the first window.
        """
        from seqtrain.tasks.forecasting.examples import NUM_EXAMPLES, draw_attention, draw_forecasts

        examples, times = data.examples("validation", NUM_EXAMPLES)
        batch = cast(ForecastBatch, examples).to(device)
        with torch.no_grad(), recorded_weights(model) as weights:
            forecasts = self.forecasts(head, self.features(model, head, batch, None)[0], batch)
        names = self.spec.target_names
        drawn = {}
        if isinstance(data, ForecastingData):
            drawn = draw_forecasts(self.distribution, forecasts, batch, times, data, "validation")
        if not self.recursive:
            drawn |= draw_attention(names, model, cast(ForecastHead, head), weights, batch)
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
        """Errors of the model and the baselines on validation and test, and forecasts of a few windows of test."""
        from seqtrain.tasks.forecasting.examples import NUM_EXAMPLES, draw_forecasts

        figures: dict[str, Figure] = {}
        for split, evaluation in evaluations.items():
            others = {who: scored[split] for who, scored in baselines.items()}
            drawn = error_figures(evaluation, others, self.spec.target_names, self.distribution.levels_of_coverage)
            if split == "test" and isinstance(data, ForecastingData):
                examples, times = data.examples("test", NUM_EXAMPLES)
                batch = cast(ForecastBatch, examples).to(device)
                with torch.no_grad():
                    forecasts = self.forecasts(head, self.features(model, head, batch, None)[0], batch)
                drawn |= draw_forecasts(self.distribution, forecasts, batch, times, data, "test")
            figures |= {f"{FINAL_GROUPS[split]}/{tag}": figure for tag, figure in drawn.items()}
        return figures

    def scored_baselines(self, data: Dataset) -> dict[str, dict[str, Evaluation]]:
        return score_baselines(data, self.monitor) if isinstance(data, ForecastingData) else {}

    def averaged(self, outputs: Sequence[Outputs]) -> dict[str, np.ndarray]:
        """The outputs of an ensemble: the mean of points and quantiles, or a distribution with a mixture's moments."""
        return averaged(outputs, {"forecasts": self.distribution.average})

    def scored(self, parts: Sequence[tuple[Outputs, Dataset | None]], split: str) -> Evaluation:
        meter, before = cast(ForecastMeter, self.meter(nn.Identity())), 0
        for outputs, data in parts:
            forecasts = torch.from_numpy(outputs["forecasts"])
            for batch in cast(ForecastingData, data).eval_batches(split):
                meter.take(forecasts[batch.rows], cast(ForecastBatch, batch), batch.rows + before)
            before += len(forecasts)
        return meter.result()

    def check_data(self, data: Dataset) -> None:
        """Check that targets are counts, if the loss needs such, and that ``task.conformal`` has enough windows.

        Raises:
            ConfigError: if scaling would shift counts.
            DataError: for a target that is no count, or too few windows of validation.
        """
        if self.distribution.counts:
            check_counts(self.config.loss, cast(ForecastingData, data))
        if self.config.conformal is not None:
            check_windows(self.config.conformal, cast(ForecastingData, data))

    def calibrate(self, evaluation: Evaluation, data: Dataset) -> Conformal | None:
        """Margins of conformal intervals of level ``task.conformal``; None if it is null."""
        level = self.config.conformal
        return None if level is None else calibrate(level, self.distribution, evaluation, cast(ForecastingData, data))

    def set_calibration(self, found: Conformal) -> None:
        self.distribution.conformal = found

    def rescored(self, head: nn.Module, evaluation: Evaluation, data: Dataset) -> Evaluation:
        return with_intervals(cast(ForecastMeter, self.meter(head)), cast(ForecastingData, data), evaluation)

    def save_artifacts(self, run: RunDirectory, step: int) -> None:
        if self.distribution.conformal is not None:
            save(self.distribution.conformal, self.config.loss, run, step)

    def load_artifacts(self, run: RunDirectory, checkpoint: str, step: int) -> None:
        """Read the margins of the conformal intervals, which only the ``best`` checkpoint has."""
        if self.config.conformal is None:
            return
        if checkpoint != "best":
            log.info("checkpoint=%s: has no conformal intervals, which were calibrated for the best one", checkpoint)
            return
        self.distribution.conformal = load(self.config.conformal, self.config.loss, self.spec, run, step)

    def remarks(self) -> dict[str, str]:
        conformal = self.distribution.conformal
        if conformal is None:
            return {}
        return {
            "conformal": f"intervals of level {conformal.level:g}, from {conformal.windows:,} windows of validation"
        }

    @classmethod
    def stub_spec(cls, data: DataConfig) -> DataSpec:
        """A spec of one variable, with the lookback and horizon of the data's options, or of one step each."""
        lookback, horizon = (cast(int, getattr(data, name, 1)) for name in ("lookback", "horizon"))
        return DataSpec(num_features=1, num_targets=1, lookback=lookback, horizon=horizon)
