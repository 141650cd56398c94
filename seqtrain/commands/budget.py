"""Finds the width at which a model has a given number of parameters, so that models are compared at equal size."""

import logging
from bisect import bisect_left
from copy import deepcopy
from dataclasses import replace
from functools import cache, reduce
from typing import Any

import torch
from torch import nn

from seqtrain.commands.build import Built, build_model
from seqtrain.config import registry
from seqtrain.config.base import ModelConfig
from seqtrain.config.root import Config
from seqtrain.data.spec import DataSpec
from seqtrain.errors import ConfigError
from seqtrain.tasks.language.heads import SoftmaxHead

log = logging.getLogger(__name__)

WARN_ABOVE, REFUSE_ABOVE = 0.02, 0.1  # deviations from the budget, as shares of it


def solve_width(config: Config, spec: DataSpec) -> None:
    """Set the model's width so that it has ``budget.params`` parameters, without embedding and softmax.

    Does nothing if ``budget.params`` is null, or if the width was found before, as in the saved configuration of a run.

    Args:
        config: changed in place: the model gets the width, and ``budget.found`` the number of parameters.
        spec: spec of the data.

    Raises:
        ConfigError: if no width comes within 10 % of the number.
    """
    target = config.budget.number()
    if target is None or config.budget.found is not None:
        return
    task = registry.find("task", config.task.kind).load()(config.task, spec)
    widths = config.model.widths(task.causal)
    model = closest(config, spec, widths, target)
    if len(widths) > 1:
        last = list(widths)[-1]
        model = closest(replace(config, model=model), spec, {last: widths[last]}, target)
    found = count_parameters(replace(config, model=model), spec)
    off = 100 * (found / target - 1)
    sizes = ", ".join(f"model.{key}={get(model, key)}" for key in widths)
    if abs(off) > 100 * REFUSE_ABOVE:
        raise ConfigError(
            f"budget.params={config.budget.params}: the closest width, {sizes}, has {found:,} parameters "
            f"({off:+.0f} %) without embedding and softmax; change the budget, or the model's other sizes"
        )
    config.model, config.budget.found = model, found
    log.info(
        "budget.params=%s: %s (%s parameters without embedding and softmax)", config.budget.params, sizes, f"{found:,}"
    )
    if abs(off) > 100 * WARN_ABOVE:
        log.warning("budget.params=%s: this is off by %+.1f %%, and no width comes closer", config.budget.params, off)


def closest(config: Config, spec: DataSpec, widths: dict[str, int], target: int) -> ModelConfig:
    """The config's model with the sizes in ``widths`` scaled by the factor that brings it closest to ``target``."""
    first, multiple = next(iter(widths.items()))
    size = get(config.model, first)
    largest = max(size) if isinstance(size, list) else size

    def scaled(units: int) -> ModelConfig:
        """The model scaled so that the largest value of the first size is ``units`` times ``multiple``."""
        return scale(config.model, widths, units * multiple / largest)

    @cache
    def parameters(units: int) -> int:
        return count_parameters(replace(config, model=scaled(units)), spec)

    above = 1
    while parameters(above) < target:
        above *= 2
    units = 1 + bisect_left(range(1, above), target, key=parameters)
    # If two sizes are equal, no linear map between them is needed, and the count dips. The search may end at a dip.
    while units > 2 and parameters(units - 2) >= target:
        units -= 1
    near = range(max(units - 2, 1), units + 1)
    return scaled(min(near, key=lambda units: abs(parameters(units) - target)))


def scale(model: ModelConfig, widths: dict[str, int], factor: float) -> ModelConfig:
    """The model with the sizes in ``widths`` times a factor, each rounded to its required multiple."""

    def rounded(size: int, multiple: int) -> int:
        return max(round(size * factor / multiple), 1) * multiple

    model = deepcopy(model)
    for key, multiple in widths.items():
        parent, _, name = key.rpartition(".")
        size = get(model, key)
        new = [rounded(each, multiple) for each in size] if isinstance(size, list) else rounded(size, multiple)
        setattr(get(model, parent) if parent else model, name, new)
    return model


def get(model: ModelConfig, key: str) -> Any:
    """Value of a model's option, by its dotted key."""
    return reduce(getattr, key.split("."), model)


def count_parameters(config: Config, spec: DataSpec) -> int:
    """Number of parameters of a config's model, as ``count_built`` counts; uses no memory and no random numbers."""
    with torch.device("meta"):
        return count_built(build_model(replace(config, device="meta"), spec))


def count_built(built: Built) -> int:
    """Number of trained parameters of model and head, without those whose number depends on the vocabulary's size.

    Those are the embedding of tokens and, in language models, the weights and biases of the softmax (all parameters of
    an adaptive softmax). The embedding of numeric inputs and the softmax over classes are counted.
    """
    whole = nn.ModuleList([built.model, built.head])
    tables = [m for m in whole.modules() if isinstance(m, nn.Embedding | nn.AdaptiveLogSoftmaxWithLoss)]
    left_out = [parameter for table in tables for parameter in table.parameters()]
    if isinstance(built.head, SoftmaxHead):
        left_out += [built.head.weight, built.head.bias]
    numbers = {id(parameter) for parameter in left_out}
    return sum(p.numel() for p in whole.parameters() if p.requires_grad and id(p) not in numbers)
