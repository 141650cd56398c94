"""Linear forecasters, a baseline that every network should beat.

Shapes: B batch, T lookback.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqtrain.config.linear import LinearConfig
from seqtrain.config.window import WindowConfig
from seqtrain.data.base import Batch
from seqtrain.data.spec import DataSpec
from seqtrain.errors import ConfigError


class LinearModel(nn.Module):
    """Passes on the window of one variable, or its moving average and the remainder; the head is the linear map.

    With ``decompose`` the head's one matrix over both parts is equivalent to DLinear's matrix for each part. With
    ``window.norm=subtract_last`` the model is NLinear. Covariates are not used.

    Args:
        window: how the forecasting head scales a window.
        lookback: T.
        decompose: split the window into moving average and remainder.
        kernel_size: steps of the moving average. At both ends the first and the last value are repeated.

    Source: Zeng et al. 2023, "Are transformers effective for time series forecasting?", section 4.
    """

    def __init__(self, window: WindowConfig, lookback: int, decompose: bool, kernel_size: int):
        super().__init__()
        self.window = window
        self.decompose, self.kernel_size = decompose, kernel_size
        self.output_size = 2 * lookback if decompose else lookback

    @classmethod
    def from_config(cls, config: LinearConfig, spec: DataSpec, *, causal: bool, pooled: bool) -> "LinearModel":
        """Build the model that a config describes.

        Raises:
            ConfigError: if the task is recursive.
        """
        assert spec.lookback is not None  # by ``config.targets``
        if causal:
            raise ConfigError(f"task.strategy=recursive: model={config.name} forecasts all steps at once; use direct")
        return cls(config.window, spec.lookback, config.decompose, config.kernel_size)

    def forward(self, batch: Batch, state: Any = None) -> tuple[Tensor, None]:
        """Features (B, T), or (B, 2 T) of both parts."""
        x = batch.inputs[:, :, 0]
        if not self.decompose:
            return x, None
        side = (self.kernel_size - 1) // 2
        padded = F.pad(x[:, None], (side, side), mode="replicate")
        average = F.avg_pool1d(padded, self.kernel_size, stride=1).squeeze(1)
        return torch.cat([average, x - average], dim=1), None
