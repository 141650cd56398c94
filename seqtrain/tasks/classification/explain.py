"""Explanations of the predicted class of a text."""

from typing import cast

import torch
from torch import Tensor

from seqtrain.tasks.classification.task import Classification
from seqtrain.tasks.explaining.texts import TextSubject


class ClassSubject(TextSubject):
    """The log-odds of the most probable class: log p / (1 - p), where p is what ``predict`` writes.

    The gradient of log-odds is that of p, divided by p (1 - p): steps have the same order, and it does not vanish where
    p is close to 1. Unlike a logit, log-odds do not change if all logits are raised.
    """

    def log_odds(self, logits: Tensor, choice: Tensor) -> Tensor:
        scaling = cast(Classification, self.trained.task).scaling
        logits = logits if scaling is None else logits / scaling.value
        others = logits.scatter(1, choice[:, None], -torch.inf)
        return logits.gather(1, choice[:, None]).squeeze(1) - others.logsumexp(-1)
