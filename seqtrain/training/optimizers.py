"""Optimizers over a model's parameters."""

from collections.abc import Iterable

import torch
from torch import nn

from seqtrain.config.trainer import Optimizer, TrainerConfig


def build_optimizer(config: TrainerConfig, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer of a config; weight decay applies to matrices only, not to biases and gains.

    All parameters are updated by one fused call where the device has one.
    """
    trained = [p for p in parameters if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]
    fused = all(p.device.type in ("cpu", "cuda") for p in trained)
    if config.optimizer is Optimizer.sgd:
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, fused=fused)
    betas = (config.betas[0], config.betas[1])
    if config.optimizer is Optimizer.adam:
        return torch.optim.Adam(groups, lr=config.lr, betas=betas, fused=fused)
    return torch.optim.AdamW(groups, lr=config.lr, betas=betas, fused=fused)
