"""Depth groups: the parts of a model and its head from the top down, which can train at rates of their own, or later.

For a model with an embedding, they are: the head with the wide part, the pooling, the output attention, the layers of
the encoder one by one, the input attention, the embedding. Parts without trained parameters are left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class DepthGroup:
    """Parameters at one depth of a model."""

    name: str
    parameters: list[nn.Parameter]

    def let_train(self, trains: bool) -> None:
        """Compute gradients of these parameters, or none."""
        for parameter in self.parameters:
            parameter.requires_grad_(trains)


def depth_groups(model: nn.Module, head: nn.Module) -> list[DepthGroup]:
    """The trained parameters of a model and its head, each in one group, from the head down.

    The parts of a model are its children, in the order in which it defines them, unless its class names them from the
    bottom up in ``by_depth``. Parameters that are in none of them (such as vectors of positions) belong to the lowest
    part. A parameter that two parts share belongs to the higher one: the vectors of a tied softmax are those of the
    head, which has to learn them first.
    """
    parts = [("head", list(head.parameters()))]
    names = [name for name, _ in model.named_children() if name != "wide"]
    if (wide := getattr(model, "wide", None)) is not None:  # it reads tokens and is joined to the features
        parts[0][1].extend(wide.parameters())
    for name in reversed(getattr(model, "by_depth", names)):
        if (part := getattr(model, name)) is not None:
            parts += reversed(list(layers(name, part)))
    parts.append(("model", list(model.parameters())))
    groups: list[DepthGroup] = []
    seen: set[nn.Parameter] = set()
    for name, parameters in parts:
        own = [p for p in dict.fromkeys(parameters) if p.requires_grad and p not in seen]
        seen.update(own)
        if own and name == "model" and len(groups) > 1:
            groups[-1].parameters.extend(own)
        elif own:
            groups.append(DepthGroup(name, own))
    return groups


def layers(name: str, part: nn.Module) -> Iterator[tuple[str, list[nn.Parameter]]]:
    """Name and parameters of each layer of a part, from the bottom up.

    A part that holds lists of modules has as many layers as the longest of them; entry i of each list belongs to layer
    i, and what else it holds, such as a last normalisation, to the last layer. Any other part is one layer.
    """
    lists = [child for child in (part, *part.children()) if isinstance(child, nn.ModuleList)]
    count = max(map(len, lists), default=1)
    for i in range(count - 1):
        yield f"{name} layer {i + 1}", [p for own in lists if i < len(own) for p in own[i].parameters()]
    lower = {p for own in lists for module in own[: count - 1] for p in module.parameters()}
    rest = [p for p in part.parameters() if p not in lower]
    yield f"{name} layer {count}" if count > 1 else name, rest
