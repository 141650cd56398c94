"""SegRNN: a GRU that reads segments of the window instead of steps, and decodes all segments of the horizon at once.

Shapes: B batch (one variable of a window per row), T lookback, S horizon, w steps of a segment, H hidden, C variables.
"""

from typing import Any

import torch
from torch import Tensor, nn

from seqtrain.config.segment import SegmentConfig
from seqtrain.config.window import WindowConfig
from seqtrain.data.base import Batch
from seqtrain.data.spec import DataSpec
from seqtrain.errors import ConfigError
from seqtrain.layers.dropout import Dropout
from seqtrain.layers.fused import Fusible, can_fuse, cell_kernels, run_fused
from seqtrain.layers.products import Linear


class SegmentModel(Fusible):
    """Segments -> linear, ReLU -> GRU -> one GRU step for each segment of the horizon.

    The input of a decoding step is a learned position embedding of the segment, concatenated with a learned embedding
    of the variable. Rows are ordered variable by variable within each window, as the forecasting head orders them.
    Covariates are not used.

    Args:
        window: how the forecasting head scales a window.
        lookback: T.
        horizon: S.
        num_variables: C.
        segment_length: w.
        hidden_size: H.
        dropout: on the features.
        kernel: implementation of the GRU: ``torch``, ``auto`` or ``fused``, see seqtrain.layers.fused.

    Source: Lin et al. 2023, "SegRNN: segment recurrent neural network for long-term time series forecasting", sections
    4.2 (segments) and 4.3 (parallel decoding, PMF).
    """

    def __init__(
        self,
        window: WindowConfig,
        lookback: int,
        horizon: int,
        num_variables: int,
        segment_length: int,
        hidden_size: int,
        dropout: float,
        kernel: str = "torch",
    ):
        super().__init__()
        self.window, self.kernel = window, kernel
        self.segment_length, self.num_variables = segment_length, num_variables
        self.num_segments = horizon // segment_length
        self.output_size = hidden_size
        self.embedding = nn.Sequential(Linear(segment_length, hidden_size), nn.ReLU())
        self.encoder = nn.GRU(hidden_size, hidden_size, batch_first=True)
        self.position_embedding = nn.Parameter(torch.randn(self.num_segments, hidden_size // 2))
        self.variable_embedding = nn.Parameter(torch.randn(num_variables, hidden_size // 2))
        self.dropout = Dropout(dropout)

    @classmethod
    def from_config(cls, config: SegmentConfig, spec: DataSpec, *, causal: bool, pooled: bool) -> "SegmentModel":
        """Build the model that a config describes.

        Raises:
            ConfigError: if the task is recursive, or segments do not divide lookback and
                horizon.
        """
        assert spec.lookback is not None and spec.horizon is not None and spec.num_targets is not None  # by ``targets``
        if causal:
            raise ConfigError(f"task.strategy=recursive: model={config.name} forecasts all steps at once; use direct")
        for name, steps in (("lookback", spec.lookback), ("horizon", spec.horizon)):
            if steps % config.segment_length:
                raise ConfigError(
                    f"model.segment_length={config.segment_length}: must divide data.{name}={steps}; change one of them"
                )
        sizes = spec.lookback, spec.horizon, spec.num_targets, config.segment_length, config.hidden_size
        return cls(config.window, *sizes, config.dropout, config.kernel.value)

    def forward(self, batch: Batch, state: Any = None) -> tuple[Tensor, None]:
        """Features of each segment of the horizon, (B, S / w, H)."""
        segments = batch.inputs[:, :, 0].unflatten(1, (-1, self.segment_length))
        last = self.final_state(self.embedding(segments))
        # The GRU makes one step for each row and segment of the horizon, from the row's last state, all in one batch.
        B = segments.shape[0]
        position = self.position_embedding.expand(B, -1, -1)
        variable = self.variable_embedding.repeat(B // self.num_variables, 1)[:, None].expand_as(position)
        inputs = torch.cat([position, variable], dim=-1).flatten(0, 1)[:, None]
        decoded = self.final_state(inputs, last.repeat_interleave(self.num_segments, dim=1))
        return self.dropout(decoded.view(B, self.num_segments, -1)), None

    def kernels(self) -> list[str]:
        return cell_kernels(self.encoder, self.kernel)

    def final_state(self, x: Tensor, state: Tensor | None = None) -> Tensor:
        """State of the GRU (1, B, H) after steps x (B, time, H)."""
        if can_fuse(self.encoder, x, self.kernel):
            return run_fused([self.encoder], [dict(self.encoder.named_parameters())], x, None, state)[1]
        last: Tensor = self.encoder(x, state)[1]
        return last
