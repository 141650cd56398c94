"""Ordinal regression: an ordered class of each sequence.

Shapes: B batch, H features, N rows of a split, K classes.
"""

import math
from dataclasses import asdict
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from own_task.config import StarsConfig
from own_task.statistics import scores
from seqtrain.config.base import Targets
from seqtrain.data.base import Batch, Dataset
from seqtrain.data.spec import DataSpec
from seqtrain.errors import ConfigError
from seqtrain.tasks.base import Evaluation, Meter, Task

FAR = 1e4  # stands for infinity, whose gradient would not be a number


class OrdinalHead(nn.Module):
    """Log-probabilities of K ordered classes: P(y > k) = sigmoid(w x - b_k), with b_1 < ... < b_{K-1}.

    Args:
        input_size: H.
        num_classes: K.
        initial_gap: distance between neighbouring thresholds b_k before training.

    Source: McCullagh 1980, "Regression models for ordinal data", section 2 (proportional odds).
    """

    def __init__(self, input_size: int, num_classes: int, initial_gap: float):
        super().__init__()
        self.score = nn.Linear(input_size, 1, bias=False)
        nn.init.xavier_uniform_(self.score.weight)
        self.first = nn.Parameter(torch.tensor([-initial_gap * (num_classes - 2) / 2]))
        self.gaps = nn.Parameter(torch.full((num_classes - 2,), math.log(math.expm1(initial_gap))))  # before softplus

    def forward(self, features: Tensor) -> Tensor:
        """(B, K) from (B, H)."""
        thresholds = torch.cat([self.first, self.first + F.softplus(self.gaps).cumsum(0)])
        logits = self.score(features).float() - thresholds
        above, below = F.pad(logits, (1, 0), value=FAR), F.pad(logits, (0, 1), value=-FAR)
        # log(sigmoid(a) - sigmoid(b)), written so that nothing underflows
        return F.logsigmoid(above) + F.logsigmoid(-below) + torch.log(-torch.expm1(below - above))


class StarsMeter(Meter):
    """Gathers the log-probabilities and the class of every row."""

    taken_in = ("log_probabilities", "targets", "rows")

    def __init__(self, head: nn.Module, spec: DataSpec):
        self.head, self.spec = head, spec
        self.log_probabilities: list[Tensor] = []
        self.targets: list[Tensor] = []
        self.rows: list[np.ndarray] = []

    def update(self, batch: Batch, features: Tensor) -> None:
        self.log_probabilities.append(self.head(features).cpu())
        self.targets.append(batch.targets.cpu())
        self.rows.append(batch.rows)

    def result(self) -> Evaluation:
        order = np.argsort(np.concatenate(self.rows))
        probabilities = torch.cat(self.log_probabilities).double().exp().numpy()[order]
        outputs = {"probabilities": probabilities, "targets": torch.cat(self.targets).numpy()[order]}
        return Evaluation(scores(outputs, asdict(self.spec)), outputs)


class Stars(Task):
    """An ordered class of each sequence, its name a number.

    Args:
        config: the options.
        spec: names of the classes, in ascending order, and their counts in train.

    Raises:
        ConfigError: if a class is no whole number.
    """

    targets = Targets.sequence_class
    causal = False
    pooled = True
    monitor = "mae"
    maximize = False
    shown = ("mae", "accuracy", "loss")
    predictor = "own_task.predict:StarPredictor"

    def __init__(self, config: StarsConfig, spec: DataSpec):
        for name in spec.class_names:
            if not name.isdecimal():
                raise ConfigError(f"task={config.name}: the data has a class {name!r}; each must be a whole number")
        self.config, self.spec = config, spec

    def build_head(self, model: nn.Module) -> nn.Module:
        return OrdinalHead(cast(int, model.output_size), len(self.spec.class_names), self.config.initial_gap)

    def loss(self, head: nn.Module, features: Tensor, batch: Batch) -> Tensor:
        return F.nll_loss(head(features), batch.targets, reduction="sum")

    def count(self, batch: Batch) -> Tensor:
        return torch.tensor(float(len(batch.targets)), device=batch.targets.device)

    def meter(self, head: nn.Module) -> Meter:
        return StarsMeter(head, self.spec)

    def scored_baselines(self, data: Dataset) -> dict[str, dict[str, Evaluation]]:
        """The shares of the classes in train, for every row. With the outputs, they are compared row by row."""
        counts = np.array(self.spec.class_counts) + 1  # so that no class is impossible
        scored = {}
        for split in [split for split in data.sizes if split != "train"]:
            batches = list(data.eval_batches(split))
            order = np.argsort(np.concatenate([batch.rows for batch in batches]))
            targets = torch.cat([batch.targets for batch in batches]).numpy()[order]
            outputs = {"probabilities": np.tile(counts / counts.sum(), (len(targets), 1)), "targets": targets}
            scored[split] = Evaluation(scores(outputs, asdict(self.spec)), outputs)
        return {"shares": scored}
