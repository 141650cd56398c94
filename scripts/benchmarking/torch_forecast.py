"""A forecaster in plain PyTorch: windows one by one from a Dataset, a GRU, and a linear map of its last state."""

import math
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from benchmarking.tool import composed
from benchmarking.turns import Turn, Work
from seqtrain.commands.build import build_data

SIZE, DROPOUT, RATE, CLIP = 128, 0.1, 0.001, 1.0


class Windows(Dataset[tuple[Tensor, Tensor]]):
    """All windows of a series of shape (N, C)."""

    def __init__(self, values: np.ndarray, lookback: int, horizon: int):
        self.values, self.lookback, self.horizon = torch.from_numpy(values), lookback, horizon

    def __len__(self) -> int:
        return len(self.values) - self.lookback - self.horizon + 1

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        border = index + self.lookback
        return self.values[index:border], self.values[border : border + self.horizon]


class Forecaster(nn.Module):
    """A GRU forecaster: windows (B, L, C) to forecasts (B, S, C)."""

    def __init__(self, num_variables: int, horizon: int):
        super().__init__()
        self.shape = (horizon, num_variables)
        self.input = nn.Linear(num_variables, SIZE)
        self.layer = nn.GRU(SIZE, SIZE, batch_first=True)
        self.drop = nn.Dropout(DROPOUT)
        self.output = nn.Linear(SIZE, horizon * num_variables)

    def forward(self, windows: Tensor) -> Tensor:
        _, state = self.layer(self.input(windows))
        return self.output(self.drop(state[-1])).unflatten(-1, self.shape)


def loop(overrides: list[str], device: str = "cpu") -> tuple[Turn, int]:
    """A turn of a training loop over a shuffling DataLoader; the overrides are those of the tool."""
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    config = composed(overrides)
    batches = build_data(config)
    spec, first = batches.spec, next(batches.train_batches(0))
    lookback, horizon = cast(int, spec.lookback), cast(int, spec.horizon)
    num_windows = batches.sizes["train"]
    # The same number of windows and variables, but of noise: the values do not matter for the time.
    shape = num_windows + lookback + horizon - 1, first.inputs.shape[-1]
    windows = Windows(np.random.default_rng(0).standard_normal(shape).astype(np.float32), lookback, horizon)
    loader = DataLoader(windows, batch_size=len(first.rows), shuffle=True)
    model = Forecaster(shape[1], horizon).to(device)
    criterion, optimizer = nn.MSELoss(), torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)
    model.train()

    def turn(steps: int | None) -> Work:
        work, total = Work(), 0.0
        for inputs, targets in loader:
            optimizer.zero_grad()
            loss = criterion(model(inputs.to(device)), targets.to(device))
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            total += loss.item()
            work.add(inputs.shape[0] * lookback, inputs.shape[0] * lookback)
            if work.steps == steps:
                break
        assert math.isfinite(total)
        return work

    return turn, sum(p.numel() for p in model.parameters())
