"""The learnable cycle of a forecaster: one season of each variable, taken out before the model and put back after it.

Shapes: B windows, T steps, W steps of a cycle, C variables.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqtrain.config.window import WindowConfig
from seqtrain.data.spec import DataSpec
from seqtrain.errors import ConfigError


class Cycle(nn.Module):
    """Learned values of the W steps of a cycle, which start at zero.

    Args:
        length: number W of steps.
        num_variables: number C of variables.

    Source: Lin et al. 2024, "CycleNet: enhancing time series forecasting through modeling periodic patterns", section
    3.2.
    """

    def __init__(self, length: int, num_variables: int):
        super().__init__()
        self.length, self.num_variables = length, num_variables
        # Flat, like a bias: the optimizer decays matrices only.
        self.values = nn.Parameter(torch.zeros(length * num_variables))

    def forward(self, first: Tensor, count: int) -> Tensor:
        """The cycle at ``count`` = T steps from those numbered ``first`` (B,) on, (B, T, C)."""
        steps = first[:, None] + torch.arange(count, device=first.device)
        return F.embedding(steps % self.length, self.values.view(self.length, self.num_variables))


def build_cycle(window: WindowConfig, spec: DataSpec) -> Cycle | None:
    """The cycle that the options of a window describe; None without one.

    Raises:
        ConfigError: if it is ``auto`` and the data has no season.
    """
    if window.cycle is None:
        return None
    length = spec.season if window.cycle == "auto" else int(window.cycle)
    if length < 2:
        raise ConfigError(
            "model.window.cycle=auto: must be a number of steps or null, since the frequency of the data has no usual "
            "season; or set data.season"
        )
    assert spec.num_targets is not None
    return Cycle(length, spec.num_targets)
