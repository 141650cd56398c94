"""What is shown of a model at a step besides scalars."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from seqtrain.models.summary import named_parameters
from seqtrain.tasks.base import Curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class Media:
    """Figures, texts in Markdown, and curves of precision against recall, by tag."""

    figures: dict[str, "Figure"] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    curves: dict[str, Curve] = field(default_factory=dict)


def parameter_values(parts: Mapping[str, nn.Module]) -> dict[str, np.ndarray]:
    """Values of all parameters, and of their gradients where there are any, by tag."""
    values = {}
    for name, parameter in named_parameters(parts):
        values[f"weights/{name}"] = parameter.detach().float().cpu().numpy()
        if parameter.grad is not None:
            values[f"gradients/{name}"] = parameter.grad.float().cpu().numpy()
    return values
