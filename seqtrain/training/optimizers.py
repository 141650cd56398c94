"""Optimizers over a model's parameters."""

import sys
from collections.abc import Iterable, Sequence
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


def build_optimizer(config: TrainerConfig, *depths: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer of a config; weight decay applies to matrices only, not to biases and gains.

    The fused implementation is used if the device has one.

    Args:
        config: kind and options of the optimizer.
        depths: parameters at each depth of the model, from the top. Those of one depth train at one rate, and start to
            train together.
    """
    trained = [[p for p in parameters if p.requires_grad] for parameters in depths]
    groups = [group for own in trained for group in pair(own, config.weight_decay)]
    fused = all(p.device.type in ("cpu", "cuda") for own in trained for p in own)
    if config.optimizer is Optimizer.sgd:
        return without_compiler(torch.optim.SGD)(groups, lr=config.lr, momentum=config.momentum, fused=fused)
    betas = (config.betas[0], config.betas[1])
    if config.optimizer is Optimizer.adam:
        return without_compiler(torch.optim.Adam)(groups, lr=config.lr, betas=betas, fused=fused)
    return without_compiler(torch.optim.AdamW)(groups, lr=config.lr, betas=betas, fused=fused)


def pair(parameters: Sequence[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """The two groups of an optimizer for one depth: matrices with weight decay, and all others without."""
    return [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]


def set_rates(optimizer: torch.optim.Optimizer, rate: float, decay: float) -> None:
    """Set the learning rates of an optimizer of ``build_optimizer``: ``rate`` at the top, times ``decay`` per depth."""
    for i, group in enumerate(optimizer.param_groups):
        group["lr"] = rate * decay ** (i // 2)  # each depth has a pair of groups
