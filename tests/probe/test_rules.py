"""Each rule of the traffic light, on a network that was made to have the fault, and on one without."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from seqtrain.commands.build import Built
from seqtrain.layers.attention import Attention
from seqtrain.layers.recurrence import RecurrentLayer, RecurrentStack
from seqtrain.probe.panel import Rows, measure
from seqtrain.probe.rules import RULES, findings
from tests.probe.networks import Compose, network, tokens

ROWS = Rows(tokens([60] * 6), tokens([60] * 6, seed=1), None)
H = 6


def said(built: Built, rows: Rows = ROWS) -> dict[str, str]:
    """What the panel says of a model."""
    return findings(measure(built.task, built.model, built.head, rows).values)


def made(composed: Compose, *overrides: str) -> Built:
    """A network whose recurrence is set by hand: one direction, zero weights at first."""
    return network(composed, *overrides, f"model.hidden_size={H}", "model.bidirectional=false")


@torch.no_grad()
def weights(built: Built) -> tuple[Tensor, Tensor, Tensor]:
    """Input matrix, recurrent matrix and bias of the only layer, all set to zero."""
    stack = built.model.get_submodule("encoder")
    assert isinstance(stack, RecurrentStack)
    layer = stack.layers[0]
    assert isinstance(layer, RecurrentLayer)
    for parameter in layer.parameters():
        parameter.zero_()
    inner = layer.forward_layer
    assert isinstance(inner, nn.RNN | nn.GRU | nn.LSTM)
    return (
        inner.get_parameter("weight_ih_l0").data,
        inner.get_parameter("weight_hh_l0").data,
        inner.get_parameter("bias_ih_l0").data,
    )


def test_a_sound_network_has_a_green_light(composed: Compose) -> None:
    built = made(composed, "model=gru", "model.chrono_init=120")
    built.model.get_submodule("embedding").get_parameter("weight").data.mul_(10)
    assert said(built) == {}


def test_a_gru_that_keeps_nothing_forgets(composed: Compose) -> None:
    built = made(composed, "model=gru")
    inputs, recurrent, bias = weights(built)
    inputs.normal_()
    recurrent[2 * H :] = 0.1 * torch.eye(H)
    bias[H : 2 * H] = -10
    found = said(built)
    assert (
        "forgets after 2 steps, and half of the rows are of 60 or more: try model.chrono_init or attention"
        in (found["forgets"])
    )


def test_attention_does_not_hide_that_the_recurrence_forgets(composed: Compose) -> None:
    built = made(composed, "model=gru_attn")
    weights(built)[0].normal_()
    assert said(built)["forgets"].endswith(": try model.chrono_init")


def test_a_network_without_gates_is_advised_to_have_them(composed: Compose) -> None:
    built = made(composed, "model=rnn")
    weights(built)[1].zero_()
    assert said(built)["forgets"].endswith(": try a GRU or an LSTM or attention")


def test_a_growing_linear_network_explodes_and_drifts(composed: Compose) -> None:
    built = made(composed, "model=rnn", "model.nonlinearity=relu")
    _, recurrent, bias = weights(built)
    recurrent.copy_(1.1 * torch.eye(H))
    bias.fill_(1)
    found = said(built)
    assert "gradients grow by 10.0 % with each step back in encoder1" in found["explodes"]
    assert "-fold from the second quarter of a row to its last in encoder1" in found["drifts"]


def test_large_inputs_saturate_the_tanh(composed: Compose) -> None:
    built = made(composed, "model=rnn")
    weights(built)[0].normal_(std=1000)
    assert "beyond 0.9 in encoder1" in said(built)["saturated_tanh"]


def test_large_biases_saturate_the_gates(composed: Compose) -> None:
    built = made(composed, "model=lstm")
    inputs, _, bias = weights(built)
    inputs[2 * H : 3 * H].normal_()
    bias[: 2 * H], bias[3 * H :] = 20, -20
    assert said(built)["saturated_gates"].startswith("100 % of the gate values")


def test_relu_units_below_zero_are_dead(composed: Compose) -> None:
    built = made(composed, "model=rnn", "model.nonlinearity=relu")
    inputs, _, bias = weights(built)
    inputs.normal_(std=10)
    bias[: H // 2] = -1e4
    assert said(built)["dead_units"].startswith("50 % of the units never change")


def test_rows_of_another_kind_shift_the_states(composed: Compose) -> None:
    built = made(composed, "model=gru", "model.chrono_init=120")
    vectors = built.model.get_submodule("embedding").get_parameter("weight").data
    vectors[25:] *= 100
    low, high = (replace(batch, inputs=batch.inputs % 25 + add) for batch, add in ((ROWS.train, 0), (ROWS.train, 25)))
    assert "times that on train in encoder1" in said(built, Rows(high, low, None))["shifted"]
    assert "shifted" in said(built, Rows(low, high, None))


def test_attention_that_is_not_masked_is_named(composed: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    built = network(composed, "model=gru_attn")

    def record(layer: Attention, weights: torch.Tensor) -> None:
        if layer.recorder is not None:
            layer.recorder.append(torch.ones_like(weights) / 8)

    monkeypatch.setattr(Attention, "record", record)
    rows = Rows(tokens([8, 4]), tokens([8, 4]), None)
    assert said(built, rows)["attends_to_padding"] == (
        "25 % of the attention is on padding in pooling: the model must mask it"
    )


def test_attention_without_weights_is_a_plain_mean_and_its_heads_agree(composed: Compose) -> None:
    built = network(composed, "model=lstm_multihead_attn", "model.hidden_size=4")
    for name, parameter in built.model.named_parameters():
        if "output_attention" in name and ".query." in name:
            parameter.data.zero_()
    found = said(built)
    assert "plain mean in output_attention (relative entropy 1.000)" in found["attends_evenly"]
    assert "same steps in output_attention (agreement 1.000)" in found["heads_agree"]


@pytest.mark.parametrize(
    "rule, tag, value, begin",
    [
        ("clips", "optimisation/clipped", 0.99, "99 % of the steps were clipped"),
        ("moves_much", "optimisation/update_ratio/head", 0.5, "a single step changed the weights by 50 % in head"),
    ],
)
def test_rules_of_steps(rule: str, tag: str, value: float, begin: str) -> None:
    """tests/training/test_health.py makes training that has these faults."""
    assert findings({tag: value})[rule].startswith(begin)
    assert findings({tag: RULES[rule].threshold}) == {}


def test_the_worst_part_is_named_and_the_others_are_counted() -> None:
    values = {"gates/dead_units/encoder1": 0.2, "gates/dead_units/encoder2": 0.6, "gates/dead_units/encoder3": 0.0}
    assert "60 % of the units never change in encoder2 (and 1 more)" in findings(values)["dead_units"]


def test_every_rule_has_a_source() -> None:
    assert all(rule.source for rule in RULES.values())


def test_the_page_names_the_thresholds() -> None:
    page = (Path(__file__).parents[2] / "docs" / "runs.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)`[^|]*\| ([\d.e-]+) \|", page, re.MULTILINE))
    assert {name: float(rows[name]) for name in RULES} == {name: rule.threshold for name, rule in RULES.items()}
