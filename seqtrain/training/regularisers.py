"""Regularisers that change the loss of the rows as they are: R-Drop and mixup.

Shapes: B batch, F features.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from seqtrain.data.base import Batch
from seqtrain.tasks.base import Task


def rdrop_loss(head: nn.Module, task: Task, features: Tensor, others: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """The loss of R-Drop, from two passes over a batch with different dropout masks.

    With p and q the predictions of the passes and L their losses,

        loss = (L(p) + L(q)) / 2 + rdrop / 2 * mean over rows of (KL(p || q) + KL(q || p)).

    Gradients flow through both predictions. The paper has the sum of the two losses in place of their mean (eq. 4), so
    that its alpha is twice this one; the code of its authors has the mean.

    Cost: two forward and two backward passes a step, with the memory of both. What is drawn once for a batch before the
    model reads it (``data.rare_dropout``) is the same in both.

    Args:
        head: maps features to outputs.
        task: defines the loss, the divergence and the weight.
        features: of the first pass, (B, F).
        others: of the second pass, (B, F).
        batch: the batch.

    Returns:
        The summed losses of the first part and of both parts.

    Source: Liang et al. 2021, "R-Drop: regularized dropout for neural networks", eq. 1-4.
    """
    assert task.regularisers is not None
    loss = (task.loss(head, features, batch) + task.loss(head, others, batch)) / 2
    p, q = head(features).float(), head(others).float()
    divergence = (task.divergence(p, q) + task.divergence(q, p)).mean() / 2
    return loss, loss + task.regularisers.rdrop * divergence * task.count(batch)


def mixup_loss(head: nn.Module, task: Task, features: Tensor, batch: Batch) -> Tensor:
    """The summed loss of mixed features, each of a row and of another row of the batch.

    With f_i the features of row i before the head, y_i its target, π a random permutation of the rows and m drawn once
    for the batch from Beta(mixup, mixup),

        loss = sum over i of m L(m f_i + (1 - m) f_π(i), y_i) + (1 - m) L(m f_i + (1 - m) f_π(i), y_π(i)),

    which for cross-entropy is the loss with targets that are mixed as the features are. Class weights and label
    smoothing act on each of the two. Of a model with a wide part, its scores are among the features.

    Cost: none worth mentioning; only the head is computed again.

    Args:
        head: maps features to outputs.
        task: defines the loss and the parameter of the distribution.
        features: (B, F).
        batch: the batch.

    Source: Guo et al. 2019, "Augmenting data with mixup for sentence classification", senMixup, eq. 3-4.
    """
    assert task.regularisers is not None
    share = float(np.random.beta(task.regularisers.mixup, task.regularisers.mixup))
    order = torch.randperm(len(features), device=features.device)
    mixed = share * features + (1 - share) * features[order]
    others = replace(batch, targets=batch.targets[order])
    return share * task.loss(head, mixed, batch) + (1 - share) * task.loss(head, mixed, others)
