"""Averages of the weights over steps, which are evaluated and saved instead of the current weights."""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from seqtrain.config.trainer import Average, TrainerConfig
from seqtrain.models.state_names import current_names


class Averaging:
    """Keeps the average of the weights that a config asks for.

    ``ema`` is an exponential moving average from the first step on. Its decay after n steps is (1 + n) / (10 + n), up
    to ``ema_decay``. ``nt_asgd`` is the plain mean of the weights of all steps since averaging started. It starts at
    the first evaluation that is worse than the best score from more than ``nonmonotone_interval`` evaluations earlier.

    Args:
        config: says which average to keep.
        model: the model.
        head: its head, which may share weights with it.
        maximize: whether a higher score is better.

    Source: Merity et al. 2018, "Regularizing and optimizing LSTM language models", algorithm 1 (NT-ASGD).
    """

    def __init__(self, config: TrainerConfig, model: nn.Module, head: nn.Module, maximize: bool):
        self.config, self.maximize = config, maximize
        self.own = nn.ModuleList([model, head])
        self.started = config.average is Average.ema
        self.scores: list[float] = []
        self.averaged: AveragedModel | None = None
        if config.average is not Average.none:
            mean = exponential_mean(config.ema_decay) if self.started else None
            self.averaged = AveragedModel(self.own, multi_avg_fn=mean)

    def update(self) -> None:
        """Add the weights after a step to the average."""
        if self.averaged is not None and self.started:
            self.averaged.update_parameters(self.own)

    def modules(self) -> tuple[nn.Module, nn.Module]:
        """Model and head to evaluate: with averaged weights, once there are any."""
        if self.averaged is None or self.averaged.n_averaged == 0:
            return self.own[0], self.own[1]
        modules = cast(nn.ModuleList, self.averaged.module)
        return modules[0], modules[1]

    def observe(self, score: float) -> None:
        """Record the score of an evaluation; ``nt_asgd`` may start averaging after it."""
        if self.config.average is Average.nt_asgd and not self.started:
            earlier = self.scores[: -self.config.nonmonotone_interval]
            if earlier and (score < max(earlier) if self.maximize else score > min(earlier)):
                self.started = True
            self.scores.append(score)

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to resume, for a checkpoint."""
        averaged = None if self.averaged is None else self.averaged.state_dict()
        return {"started": self.started, "scores": self.scores, "averaged": averaged}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a saved state."""
        self.started, self.scores = state["started"], state["scores"]
        if self.averaged is not None:
            self.averaged.load_state_dict(current_names(state["averaged"], self.averaged.state_dict()))


def exponential_mean(decay: float) -> Any:
    """The update function of an exponential moving average, for AveragedModel."""

    @torch.no_grad()
    def update(averaged: list[Tensor], current: list[Tensor], count: Tensor | int) -> None:
        n = int(count)
        torch._foreach_lerp_(averaged, current, 1 - min(decay, (1 + n) / (10 + n)))

    return update
