"""Old checkpoints load into today's modules."""

import torch
from torch import nn

from seqtrain.layers.recurrence import RecurrentLayer
from seqtrain.models.state_names import RENAMED_PARTS, current_names


def test_old_names_become_the_names_of_the_module() -> None:
    layer = RecurrentLayer(lambda D, H: nn.GRU(D, H, batch_first=True), 3, 4, bidirectional=True)
    today = layer.state_dict()
    old = {name.replace("forward_layer", "ahead").replace("backward_layer", "back"): t for name, t in today.items()}
    assert {name.partition(".")[0] for name in old} == {"ahead", "back"}
    assert list(current_names(old, today).items()) == list(today.items())
    assert current_names(today, today) == today
    averaged = {f"module.0.{name}": tensor for name, tensor in old.items()}
    assert list(current_names(averaged, [f"module.0.{name}" for name in today])) == [f"module.0.{n}" for n in today]


def test_every_renamed_part() -> None:
    state = {f"model.{old}.weight": torch.zeros(1) for old in RENAMED_PARTS}
    expected = [f"model.{new}.weight" for new in RENAMED_PARTS.values()]
    assert list(current_names(state, expected)) == expected


def test_names_that_the_module_has_or_lacks_are_kept() -> None:
    state = {name: torch.zeros(1) for name in ("map.weight", "place", "other.weight")}
    assert list(current_names(state, ["map.weight", "projection.weight"])) == list(state)
