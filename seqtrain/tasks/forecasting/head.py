"""The layers around the model of a forecaster: normalisation of a window, and the map from features to forecasts.

Shapes: B windows, L lookback, S horizon, C variables, D features of a step, F features known for the future,
P parameters of a forecast (1 for a point, 2 for a normal distribution, one for each quantile).
"""

from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from seqtrain.config.window import Channels, WindowConfig, WindowNorm
from seqtrain.data.base import Batch
from seqtrain.data.series.batch import ForecastBatch
from seqtrain.data.spec import DataSpec
from seqtrain.layers.products import Linear
from seqtrain.tasks.forecasting.cycle import build_cycle

EPSILON = 1e-5  # of a window's variance, as in RevIN


class ForecastHead(nn.Module):
    """Maps windows to inputs of the model, and features of the model to forecasts in the units of the batch.

    A linear map turns features (B, H) into all S steps, and features (B, K, H) into S / K steps each. Future covariates
    are added to each step by another linear map. A cycle is subtracted from normalised windows, and added to forecasts
    before they are converted back. The last value that ``subtract_last`` takes is one without the cycle.

    Args:
        input_size: size H of features.
        num_places: number K of features of a window; 1 for features of the window as a whole.
        window: normalisation, cycle, and whether variables are separate rows.
        spec: spec of the data, for C, D, F and S.
        num_parameters: number P of parameters; the first, or all (quantiles), are locations.
        deviations_from: number of the first parameter that is a deviation: positive, scaled back but not shifted.
        dimensionless: whether deviations are not scaled back either.

    Source: Kim et al. 2022, "Reversible instance normalization" (RevIN), section 3.1; for the cycle, see ``Cycle``.
    """

    def __init__(
        self,
        input_size: int,
        num_places: int,
        window: WindowConfig,
        spec: DataSpec,
        num_parameters: int = 1,
        deviations_from: int | None = None,
        dimensionless: bool = False,
    ):
        super().__init__()
        assert spec.horizon is not None and spec.num_targets is not None
        self.window, self.num_variables, self.horizon = window, spec.num_targets, spec.horizon
        self.num_parameters, self.deviations_from = num_parameters, deviations_from
        self.dimensionless = dimensionless
        self.independent = window.channels is Channels.independent
        self.outputs = (1 if self.independent else spec.num_targets) * num_parameters
        self.linear = Linear(input_size, spec.horizon // num_places * self.outputs)
        self.future = nn.Linear(spec.num_future, self.outputs, bias=False) if spec.num_future else None
        if window.norm is WindowNorm.revin:
            self.gain = nn.Parameter(torch.ones(spec.num_targets))
            self.shift = nn.Parameter(torch.zeros(spec.num_targets))
        self.cycle = build_cycle(window, spec)

    def statistics(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Centre and scale of each variable in each window, (B, 1, C)."""
        values = batch.inputs[:, :, : self.num_variables]
        if self.window.norm is WindowNorm.revin:
            variance, mean = torch.var_mean(values, dim=1, keepdim=True, unbiased=False)
            return mean, (variance + EPSILON).sqrt()
        last = values[:, -1:]
        if self.cycle is not None:
            last = last - self.cycle(cast(ForecastBatch, batch).first_step - 1, 1)
        centre = last if self.window.norm is WindowNorm.subtract_last else torch.zeros_like(last)
        return centre, torch.ones_like(centre)

    def normalised(self, values: Tensor, batch: Batch) -> Tensor:
        """Values (B, T, C) of the variables in T steps from the window's first one on, normalised for the model."""
        centre, scale = self.statistics(batch)
        values = (values - centre) / scale
        if self.window.norm is WindowNorm.revin:
            values = values * self.gain + self.shift
        if self.cycle is None:
            return values
        return values - self.cycle(cast(ForecastBatch, batch).first_step - batch.inputs.shape[1], values.shape[1])

    def encode(self, batch: Batch) -> Batch:
        """The batch that the model reads: normalised, with a row for each variable if variables are independent."""
        C = self.num_variables
        inputs = torch.cat([self.normalised(batch.inputs[:, :, :C], batch), batch.inputs[:, :, C:]], dim=-1)
        return self.rows(batch, inputs)

    def rows(self, batch: Batch, inputs: Tensor) -> Batch:
        """A batch of inputs (B, T, D), split into rows of one variable each if variables are independent."""
        C = self.num_variables
        lengths = torch.full_like(batch.lengths, inputs.shape[1])
        if self.independent:
            others = inputs[:, :, None, C:].expand(-1, -1, C, -1)
            inputs = torch.cat([inputs[:, :, :C, None], others], dim=-1).transpose(1, 2).flatten(0, 1)
            lengths = lengths.repeat_interleave(C)
        return replace(batch, inputs=inputs, lengths=lengths)

    def forward(self, features: Tensor, batch: Batch) -> Tensor:
        """Forecasts (B, S, C, P) in the units of the batch, from the features of the encoded batch."""
        return self.denormalised(self.normalised_forecasts(features, cast(ForecastBatch, batch).future), batch)

    def normalised_forecasts(self, features: Tensor, future: Tensor | None) -> Tensor:
        """Forecasts (B, s, C, P) in the units of normalised windows.

        Args:
            features: features of the encoded batch.
            future: future covariates of the s steps, (B, s, F).
        """
        outputs = self.linear(features).float()
        outputs = outputs.reshape(len(outputs), -1, self.outputs)
        if self.future is not None and future is not None:
            known = future.repeat_interleave(self.num_variables, dim=0) if self.independent else future
            outputs = outputs + self.future(known)
        if self.independent:
            forecasts = outputs.unflatten(0, (-1, self.num_variables)).transpose(1, 2)
        else:
            forecasts = outputs.unflatten(-1, (self.num_variables, self.num_parameters))
        if self.deviations_from is None:
            return forecasts
        n = self.deviations_from
        return torch.cat([forecasts[..., :n], nn.functional.softplus(forecasts[..., n:]) + EPSILON], dim=-1)

    def denormalised(self, forecasts: Tensor, batch: Batch) -> Tensor:
        """Forecasts (B, S, C, P) of normalised windows, converted to the units of the batch."""
        centre, scale = (statistic[..., None] for statistic in self.statistics(batch))
        if self.window.norm is WindowNorm.revin:
            centre = centre - self.shift[:, None] / self.gain[:, None] * scale
            scale = scale / self.gain[:, None]
        split = self.num_parameters if self.deviations_from is None else self.deviations_from
        located, deviations = forecasts[..., :split], forecasts[..., split:]
        if self.cycle is not None:
            located = located + self.cycle(cast(ForecastBatch, batch).first_step, self.horizon)[..., None]
        located = located * scale + centre
        return torch.cat([located, deviations if self.dimensionless else deviations * scale.abs()], dim=-1)
