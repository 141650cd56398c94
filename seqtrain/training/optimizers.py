"""Optimizers over a model's parameters."""

import sys
from collections.abc import Iterable
from functools import cache
from typing import Any, TypeVar, cast

import torch
from torch import nn

from seqtrain.config.trainer import Optimizer, TrainerConfig

Kind = TypeVar("Kind", bound=torch.optim.Optimizer)


@cache
def without_compiler(kind: type[Kind]) -> type[Kind]:
    """A torch optimizer class that does not import torch's compiler, which would take a second or two.

    The methods of torch's optimizers import the compiler at their first call, only to exclude themselves from
    compilation. Here that wrapper is removed. If a release of torch wraps them differently, they stay unchanged.
    """
    for name in ("add_param_group", "zero_grad", "state_dict", "load_state_dict"):
        method = getattr(getattr(torch.optim.Optimizer, name), "__wrapped__", None)
        if method is not None and "torch._dynamo" not in sys.modules:
            vars(method).setdefault("__dynamo_disable", method)  # where torch caches the wrapped method
    step: Any = kind.step
    while hasattr(step, "__wrapped__"):
        step = step.__wrapped__
    return cast("type[Kind]", type(kind.__name__, (kind,), {"step": torch.no_grad()(step)}))


def build_optimizer(config: TrainerConfig, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer of a config; weight decay applies to matrices only, not to biases and gains.

    The fused implementation is used if the device has one.
    """
    trained = [p for p in parameters if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]
    fused = all(p.device.type in ("cpu", "cuda") for p in trained)
    if config.optimizer is Optimizer.sgd:
        return without_compiler(torch.optim.SGD)(groups, lr=config.lr, momentum=config.momentum, fused=fused)
    betas = (config.betas[0], config.betas[1])
    if config.optimizer is Optimizer.adam:
        return without_compiler(torch.optim.Adam)(groups, lr=config.lr, betas=betas, fused=fused)
    return without_compiler(torch.optim.AdamW)(groups, lr=config.lr, betas=betas, fused=fused)
