"""Weights of classes in the training loss.

Shapes: C classes.
"""

from typing import Any

import torch
from torch import Tensor

from seqtrain.data.text.labels import label_text
from seqtrain.errors import ConfigError


def class_weights(value: Any, class_names: list[str], balanced: Tensor) -> Tensor:
    """The weight of each class, (C,).

    Args:
        value: the option: ``none``, ``balanced``, a list in the order of the classes, or numbers by class name.
        class_names: names of the C classes.
        balanced: the weights that ``balanced`` stands for, (C,).

    Raises:
        ConfigError: if there is not one weight for each class.
    """
    if value == "none":
        return torch.ones_like(balanced)
    if value == "balanced":
        return balanced
    if isinstance(value, dict):
        return by_name(value, class_names)
    if len(value) != len(class_names):
        raise ConfigError(
            f"task.class_weights={value}: must have one weight for each of the {len(class_names)} classes "
            f"({', '.join(class_names)})"
        )
    return torch.tensor(value, dtype=torch.float)


def by_name(weights: dict[Any, float], class_names: list[str]) -> Tensor:
    """The weight of each class, (C,), from numbers by class name; names are compared as labels are.

    Raises:
        ConfigError: for a name that is no class, a class without a weight, or one with two.
    """
    texts = [label_text(name) for name in weights]
    wanted = [label_text(name) for name in class_names]
    faults = [f"{name!r} is no class" for name in weights if label_text(name) not in wanted]
    faults += [f"class {name!r} has no weight" for name in class_names if label_text(name) not in texts]
    faults += [f"class {name!r} has two weights" for name in weights if texts.count(label_text(name)) > 1]
    if faults:
        raise ConfigError(
            f"task.class_weights={weights}: {faults[0]}; give each class a weight ({', '.join(class_names)})"
        )
    numbers = dict(zip(texts, weights.values(), strict=True))
    return torch.tensor([float(numbers[text]) for text in wanted])
