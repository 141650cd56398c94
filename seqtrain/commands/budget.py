"""The width at which a model has a given number of parameters, so that variants compare at equal size."""

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
from seqtrain.data.base import DataSpec
from seqtrain.errors import ConfigError
from seqtrain.tasks.language.heads import SoftmaxHead

log = logging.getLogger(__name__)

WARN_ABOVE, REFUSE_ABOVE = 0.02, 0.1  # shares of the budget: what needs no word, and what is refused


def solve_width(config: Config, spec: DataSpec) -> None:
    """Set the model's width so that it has ``budget.params`` parameters, embedding and softmax not counted.

    Without effect where no number is asked for, or the width has been found before: that of a run's own configuration
    stays as it is.

    Args:
        config: its model takes the width, and ``budget.found`` the number of parameters.
        spec: of the data.

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
            f"({off:+.0f} %) without embedding and softmax; change it, or the sizes that stay as they are"
        )
    config.model, config.budget.found = model, found
    log.info(
        "budget.params=%s: %s (%s parameters without embedding and softmax)", config.budget.params, sizes, f"{found:,}"
    )
    if abs(off) > 100 * WARN_ABOVE:
        log.warning("budget.params=%s: that is %+.1f %%, and no width comes closer", config.budget.params, off)


def closest(config: Config, spec: DataSpec, widths: dict[str, int], target: int) -> ModelConfig:
    """The config's model with the sizes ``widths``, scaled by one factor, that bring it closest to ``target``."""
    first, multiple = next(iter(widths.items()))
    size = get(config.model, first)
    largest = max(size) if isinstance(size, list) else size

    def scaled(units: int) -> ModelConfig:
        """With ``units`` times ``multiple`` as the largest of the first sizes."""
        return scale(config.model, widths, units * multiple / largest)

    @cache
    def parameters(units: int) -> int:
        return count_parameters(replace(config, model=scaled(units)), spec)

    above = 1
    while parameters(above) < target:
        above *= 2
    units = 1 + bisect_left(range(1, above), target, key=parameters)
    # A linear map between two sizes falls away where they are equal, and the search may have ended at such a dip.
    while units > 2 and parameters(units - 2) >= target:
        units -= 1
    near = range(max(units - 2, 1), units + 1)
    return scaled(min(near, key=lambda units: abs(parameters(units) - target)))


def scale(model: ModelConfig, widths: dict[str, int], factor: float) -> ModelConfig:
    """The model with some of its sizes times a factor, each rounded to what it must be a multiple of."""

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
    """A value of the model's options, by its key with dots."""
    return reduce(getattr, key.split("."), model)


def count_parameters(config: Config, spec: DataSpec) -> int:
    """Number of parameters of a config's model, as ``count_built`` counts; uses no memory and no random numbers."""
    with torch.device("meta"):
        return count_built(build_model(replace(config, device="meta"), spec))


def count_built(built: Built) -> int:
    """Trained numbers of model and head without those that the vocabulary's size decides.

    These are the embedding's vectors and, of language models, the softmax's rows and biases, or all of an adaptive
    softmax. Vectors of features that are numbers and the softmax over classes count.
    """
    whole = nn.ModuleList([built.model, built.head])
    tables = [m for m in whole.modules() if isinstance(m, nn.Embedding | nn.AdaptiveLogSoftmaxWithLoss)]
    left_out = [parameter for table in tables for parameter in table.parameters()]
    if isinstance(built.head, SoftmaxHead):
        left_out += [built.head.weight, built.head.bias]
    numbers = {id(parameter) for parameter in left_out}
    return sum(p.numel() for p in whole.parameters() if p.requires_grad and id(p) not in numbers)
