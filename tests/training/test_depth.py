"""Depth groups of every model with every kind of head."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from seqtrain.commands.build import Built, build_model
from seqtrain.config.base import Targets
from seqtrain.config.root import Config
from seqtrain.data.spec import DataSpec
from seqtrain.training.depth import depth_groups
from tests.configs import models_for

Compose = Callable[..., Config]

V = 30
SPECS = {
    Targets.sequence_class: DataSpec(
        targets="class", vocab_size=V, pad_id=0, class_names=["a", "b", "c"], class_counts=[5, 5, 5]
    ),
    Targets.step_labels: DataSpec(
        targets="labels", vocab_size=V, pad_id=0, class_names=["a", "b"], class_counts=[5, 5]
    ),
    Targets.sequence_number: DataSpec(targets="number", num_features=2),
    Targets.next_token: DataSpec(targets="next token", vocab_size=V, by_frequency=True, segment_length=16),
    Targets.future: DataSpec(
        targets="future", num_features=5, num_targets=2, num_future=3, lookback=96, horizon=48,
        naive_errors=[[[1.0, 1.0]], [[1.0, 1.0]]], target_names=["a", "b"],
    ),
}  # fmt: skip
DATA = dict(zip(SPECS, ("docstrings", "reverse", "adding", "stdlib", "sine"), strict=True))


MODELS = {
    Targets.sequence_class: models_for(Targets.sequence_class),
    Targets.step_labels: ["gru_attn"],
    Targets.sequence_number: ["bahdanau_attn"],
    Targets.next_token: ["lstm_attn", "self_attn"],
    Targets.future: sorted({*models_for(Targets.future)} - {*models_for(Targets.sequence_class)}) + ["attn_gru"],
}


def build(composed: Compose, targets: Targets, *overrides: str) -> Built:
    with torch.device("meta"):
        return build_model(composed(f"data={DATA[targets]}", "device=meta", *overrides), SPECS[targets])


def names(built: Built) -> list[str]:
    return [group.name for group in depth_groups(built.model, built.head)]


@pytest.mark.parametrize(("targets", "model"), [(targets, model) for targets in SPECS for model in MODELS[targets]])
def test_each_parameter_is_in_one_group(composed: Compose, targets: Targets, model: str) -> None:
    built = build(composed, targets, f"model={model}")
    groups = depth_groups(built.model, built.head)
    found = [parameter for group in groups for parameter in group.parameters]
    own = list(nn.ModuleList([built.model, built.head]).parameters())
    assert len(found) == len(own) and set(found) == set(own)
    assert groups[0].name == "head" and set(built.head.parameters()) <= set(groups[0].parameters)
    order = ["head", "pooling", "output_attention", "decoder", "encoder", "convolution", "input_attention", "embedding"]
    places = [order.index(group.name.partition(" ")[0]) for group in groups]
    assert places == sorted(places)
    layers = [int(group.name.rpartition(" ")[2]) for group in groups if group.name.startswith("encoder layer")]
    assert layers == [*range(len(layers), 0, -1)]


@pytest.mark.parametrize(
    ("targets", "options", "expected"),
    [
        (
            Targets.sequence_class,
            "model=lstm model.num_layers=3 model.layer_norm=true model.pooling=attention model.wide=ngrams "
            "model.input_attention.score=general model.output_attention.score=additive",
            ["head", "pooling", "output_attention", *(f"encoder layer {i}" for i in (3, 2, 1)), "input_attention",
             "embedding"],
        ),
        (Targets.sequence_class, "model=self_attn", ["head", "encoder layer 2", "encoder layer 1", "embedding"]),
        (Targets.next_token, "model=lstm task.tie_weights=false", ["head", "encoder", "embedding"]),
        (Targets.next_token, "model=lstm task.tie_weights=true", ["head", "encoder"]),
        (Targets.future, "model=segrnn", ["head", "encoder", "embedding"]),
        (
            Targets.future,
            "model=gru_seq2seq_attn model.num_layers=2",
            ["head", "output_attention", "decoder layer 2", "decoder layer 1", "encoder layer 2", "encoder layer 1",
             "embedding"],
        ),
        (Targets.future, "model=nlinear", ["head"]),
    ],
)  # fmt: skip
def test_the_order_of_the_groups(composed: Compose, targets: Targets, options: str, expected: list[str]) -> None:
    assert names(build(composed, targets, *options.split())) == expected


def test_what_stands_in_no_part_of_its_own(composed: Compose) -> None:
    """A last normalisation is of the last layer, positions are of the embedding, and the wide part is of the head."""
    built = build(composed, Targets.sequence_class, "model=self_attn", "model.wide=ngrams")
    groups = {group.name: set(group.parameters) for group in depth_groups(built.model, built.head)}
    assert set(built.model.get_submodule("encoder.norm").parameters()) < groups["encoder layer 2"]
    assert set(built.model.get_submodule("wide").parameters()) < groups["head"]
    built = build(composed, Targets.future, "model=gru_seq2seq_attn")
    groups = {group.name: set(group.parameters) for group in depth_groups(built.model, built.head)}
    lowest = {built.model.get_parameter(name) for name in ("position_embedding", "future_projection.weight")}
    assert lowest < groups["embedding"]


def test_a_tied_softmax_trains_with_the_head(composed: Compose) -> None:
    built = build(composed, Targets.next_token, "model=lstm")
    head = depth_groups(built.model, built.head)[0]
    assert any(p is built.model.get_parameter("embedding.weight") for p in head.parameters)


def test_a_frozen_parameter_is_in_no_group(composed: Compose) -> None:
    built = build(composed, Targets.sequence_class, "model=gru")
    built.model.get_parameter("embedding.weight").requires_grad_(False)
    assert names(built) == ["head", "encoder"]


class Plain(nn.Module):
    """A model of a plugin, which says nothing of depth."""

    def __init__(self, parts: bool):
        super().__init__()
        if parts:
            self.convolutions = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
            self.mixing = nn.Linear(2, 2)
        self.scale = nn.Parameter(torch.ones(2))


@pytest.mark.parametrize(
    ("parts", "expected"),
    [(True, ["head", "mixing", "convolutions layer 2", "convolutions layer 1"]), (False, ["head", "model"])],
)
def test_any_other_model(parts: bool, expected: list[str]) -> None:
    model, head = Plain(parts), nn.Linear(2, 1)
    groups = depth_groups(model, head)
    assert [group.name for group in groups] == expected
    assert any(p is model.scale for p in groups[-1].parameters)
    assert sum(len(group.parameters) for group in groups) == len([*model.parameters(), *head.parameters()])
