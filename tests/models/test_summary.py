"""The readable summary of a model."""

import torch
from torch import nn

from seqtrain.models.summary import named_parameters, summary


def test_every_parameter_is_counted_once() -> None:
    embedding, recurrent, head = nn.Embedding(5, 3), nn.GRU(3, 4), nn.Linear(3, 5, bias=False)
    model = nn.Sequential(embedding, recurrent, nn.Dropout(0.5))
    head.weight = embedding.weight
    recurrent.bias_hh_l0.requires_grad_(False)
    parts = {"model": model, "head": head}
    total = sum(p.numel() for p in nn.ModuleList([model, head]).parameters())
    assert sum(p.numel() for _, p in named_parameters(parts)) == total == 5 * 3 + 12 * 3 + 12 * 4 + 24
    assert [name for name, _ in named_parameters(parts)][0] == "model.0.weight"
    lines = summary(parts).splitlines()
    assert lines[0] == f"{total} parameters, of which {total - 12} are trained."
    assert lines[5] == "| `model.0` | `Embedding(5, 3)` | 15 | weight 5 × 3 |"
    assert lines[6].startswith("| `model.1` | `GRU(3, 4)` | 108 | weight_ih_l0 12 × 3, ")
    assert lines[6].endswith("bias_hh_l0 12 (frozen) |")
    assert lines[7] == "| `model.2` | `Dropout(p=0.5, inplace=False)` |  |  |"
    assert lines[8].endswith("| 0 | weight 5 × 3 (that of model.0.weight) |")


def test_a_scalar_parameter_has_a_shape_too() -> None:
    module = nn.Module()
    module.gain = nn.Parameter(torch.ones(()))
    assert summary({"model": module}).splitlines()[-1] == "| `model` | `Module` | 1 | gain scalar |"
