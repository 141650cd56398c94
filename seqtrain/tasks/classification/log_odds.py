"""The log-odds of a class, which explanations of classifiers attribute to steps.

Shapes: B rows, C classes.
"""

import torch
from torch import Tensor

from seqtrain.tasks.classification.task import Classification


def log_odds(task: Classification, logits: Tensor, choice: Tensor) -> Tensor:
    """Log-odds of the chosen class, (B,): log p / (1 - p), where p is what ``predict`` writes.

    The gradient of log-odds is that of p, divided by p (1 - p): steps have the same order, and it does not vanish where
    p is close to 1. Unlike a logit, log-odds do not change if all logits are raised.

    Args:
        task: the task, whose temperature divides the logits if it has one.
        logits: (B, C).
        choice: the class of each row, (B,).
    """
    logits = logits if task.scaling is None else logits / task.scaling.value
    others = logits.scatter(1, choice[:, None], -torch.inf)
    return logits.gather(1, choice[:, None]).squeeze(1) - others.logsumexp(-1)
