"""Names of parameters in checkpoints that were saved before modules were renamed."""

from collections.abc import Collection

from torch import Tensor

RENAMED_PARTS = {
    "ahead": "forward_layer",
    "back": "backward_layer",
    "map": "projection",
    "place": "position_embedding",
    "variable": "variable_embedding",
    "known": "future_projection",
}
"""Old part of a dotted parameter name -> the part that replaces it."""


def current_names(state: dict[str, Tensor], expected: Collection[str]) -> dict[str, Tensor]:
    """Rename the parameters of an old checkpoint to the names that today's module has.

    Args:
        state: a state dict, saved by any version.
        expected: parameter names of the module that loads it. A plugin's module may use an old name for a parameter of
            its own: names that the module expects are kept.

    Returns:
        The same tensors in the same order. A name that cannot be matched is kept, so that loading reports it.
    """

    def rename(name: str) -> str:
        renamed = ".".join(RENAMED_PARTS.get(part, part) for part in name.split("."))
        return renamed if name not in expected and renamed in expected else name

    return {rename(name): tensor for name, tensor in state.items()}
