"""The panel of models of all kinds: what is measured, that all of it is described, and that nothing is left behind."""

import math
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from seqtrain.commands.build import build_data, build_model
from seqtrain.config.root import Config
from seqtrain.layers.attention import recorded_weights
from seqtrain.probe.panel import Panel, Rows, measure
from seqtrain.probe.rules import findings
from seqtrain.probe.tags import DESCRIPTIONS, GROUPS, description, tagged
from seqtrain.training.device import seed_everything
from tests.pairs import OPTIONS, SMALL, write_splits
from tests.probe.networks import Compose, network, tokens

LENGTHS = [12, 5, 9, 12]


def panel_of(config: Config) -> Panel:
    """The panel of the fresh model of a configuration, on its data."""
    seed_everything(0)
    data = build_data(config)
    built = build_model(config, data.spec)
    return measure(built.task, built.model, built.head, Rows.of(data, built.device))


def parts(panel: Panel, measured: str) -> set[str]:
    """The parts of a model that have a measure."""
    return {tag.removeprefix(f"{measured}/") for tag in panel.values if tag.startswith(f"{measured}/")}


def check(panel: Panel) -> None:
    assert all(math.isfinite(value) for value in panel.values.values())
    assert all(description(tag) for tag in tagged(panel.values))


@pytest.mark.parametrize(
    "model, layers, attention",
    [
        ("model=gru", {"encoder1", "encoder1_backward"}, set()),
        ("model=gru_attn", {"encoder1", "encoder1_backward"}, {"pooling"}),
        ("model=attn_gru", {"encoder1", "encoder1_backward"}, {"input_attention"}),
        ("model=lstm_multihead_attn", {"encoder1", "encoder1_backward"}, {"output_attention"}),
        ("model=self_attn", set(), {"encoder_blocks_0", "encoder_blocks_1"}),
        ("model=lstm model.num_layers=2 model.bidirectional=false", {"encoder1", "encoder2"}, set()),
    ],
)
def test_what_is_measured_of_a_classifier(small: Compose, model: str, layers: set[str], attention: set[str]) -> None:
    kernel = ["model.kernel=torch"] if layers else []
    panel = panel_of(small(*model.split(), *kernel))
    check(panel)
    assert layers <= parts(panel, "memory/recurrence")
    assert parts(panel, "memory/recurrence") == parts(panel, "gates/saturated") == parts(panel, "memory/jacobian")
    assert attention <= parts(panel, "attention/entropy")
    assert all(panel.values[f"attention/padding/{part}"] == 0 for part in attention)
    assert 0 < panel.values["memory/inputs"] <= 41 and panel.by_lag is not None
    assert bool(layers) == bool(parts(panel, "memory/recurrence"))


@pytest.mark.parametrize("model", ["model=gru", "model=gru_seq2seq_attn", "model=self_attn", "model=segrnn"])
def test_what_is_measured_of_a_forecaster(composed: Compose, model: str) -> None:
    sizes = {"self_attn": ["model.feed_forward_size=8"], "segrnn": ["model.hidden_size=8", "model.segment_length=4"]}
    own = sizes.get(model.removeprefix("model="), ["model.hidden_size=8"])
    data = ["data=sine", "data.length=900", "data.lookback=24", "data.horizon=8", "device=cpu"]
    panel = panel_of(composed(model, *data, *own))
    check(panel)
    assert panel.values["memory/row_length"] == 24
    if model == "model=gru_seq2seq_attn":
        assert {"encoder1", "decoder1"} <= parts(panel, "memory/loss")
        assert panel.values["memory/loss/encoder1"] > 0


@pytest.mark.parametrize("model", ["gru_translator", "attn_translator"])
def test_what_is_measured_of_a_translator(composed: Compose, tmp_path: Path, model: str) -> None:
    """Of teacher forcing: a search with several hypotheses has other rows. Attention over the target is left out."""
    own = {"gru_translator": ["model.hidden_size=8"], "attn_translator": ["model.feed_forward_size=8"]}[model]
    data = [*OPTIONS, f"data.path={write_splits(tmp_path / 'pairs')}", "model.embedding.embed_dim=8", "device=cpu"]
    panel = panel_of(composed(*data, f"model={model}", *own, "task.beam_size=2"))
    check(panel)
    sources = {"encoder_blocks_0", "decoder_blocks_2_source"} if model == "attn_translator" else {"output_attention"}
    assert sources <= parts(panel, "attention/entropy")
    assert not any(part.startswith("decoder") and "source" not in part for part in parts(panel, "attention/entropy"))
    assert all(panel.values[f"attention/padding/{part}"] == 0 for part in sources)


def test_a_recursive_forecaster_is_measured_at_its_window(composed: Compose) -> None:
    data = ["data=sine", "data.length=900", "data.lookback=24", "data.horizon=8", "device=cpu", "model.hidden_size=8"]
    panel = panel_of(composed("model=lstm", *data, "task.strategy=recursive"))
    check(panel)
    assert panel.values["memory/loss/encoder1"] > 0  # by the state that is handed on


@pytest.mark.parametrize("model", ["model=lstm model.hidden_size=8", "model=self_attn model.feed_forward_size=8"])
def test_what_is_measured_of_a_language_model(composed: Compose, tmp_path: Path, model: str) -> None:
    for split, lines in (("train", 60), ("valid", 30), ("test", 30)):
        (tmp_path / f"{split}.txt").write_text("the cat sat on the mat .\na dog , old and grey , slept .\n" * lines)
    data = ["data=text_corpus", f"data.path={tmp_path}", "data.tokenizer=word", "data.batch_size=4", "device=cpu"]
    panel = panel_of(composed(*model.split(), *data))
    check(panel)
    assert panel.values["memory/row_length"] == 128
    if "self_attn" in model:
        assert 0 < panel.values["attention/punctuation/encoder_blocks_0"] < 1


def test_fused_layers_have_the_panel_of_plain_ones(small: Compose) -> None:
    fused, plain = (panel_of(small("model=gru", f"model.kernel={kernel}")).values for kernel in ("auto", "torch"))
    assert fused == pytest.approx(plain, rel=0.02, abs=1e-4)


def test_every_description_belongs_to_a_group() -> None:
    assert {name.partition("/")[0] for name in DESCRIPTIONS if "/" in name} == set(GROUPS)
    assert description("probe/memory/jacobian/encoder1_backward") == DESCRIPTIONS["memory/jacobian"]
    assert description("probe/health") and description("probe/gradient_by_lag")
    assert description("val/loss") == description("memory/jacobian") == description("probe/other") == ""


def test_a_panel_leaves_nothing_behind(composed: Compose) -> None:
    built = network(composed, "model=gru_attn", double=False)
    for parameter in built.model.get_submodule("encoder").parameters():
        parameter.requires_grad_(False)  # as before trainer.unfreeze reaches it
    weights = [p.detach().clone() for p in built.model.parameters()]
    states = torch.get_rng_state(), str(np.random.get_state()), random.getstate()
    rows = Rows(tokens(LENGTHS), tokens(LENGTHS, seed=1), None)
    first = measure(built.task, built.model, built.head, rows)
    again = measure(built.task, built.model, built.head, rows)
    assert first.values == again.values
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (str(np.random.get_state()), random.getstate()) == states[1:]
    for parameter, before in zip(built.model.parameters(), weights, strict=True):
        assert parameter.grad is None and torch.equal(parameter, before)
    assert [p.requires_grad for p in built.model.get_submodule("encoder").parameters()] == [False] * 8
    assert not any(module._forward_hooks for module in built.model.modules())


def test_fp32_and_bf16_training_measure_what_fp64_does(composed: Compose) -> None:
    """The panel computes without autocast, so an open one changes nothing."""
    rows = Rows(tokens(LENGTHS), tokens(LENGTHS, seed=1), None)
    exact = network(composed, "model=gru_attn")
    expected = measure(exact.task, exact.model, exact.head, rows).values
    built = network(composed, "model=gru_attn", double=False)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = measure(built.task, built.model, built.head, rows).values
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_many_rows_are_recomputed_in_part(composed: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows are alike here, so that a part of them has the same measures."""
    monkeypatch.setattr("seqtrain.probe.matrices.MOST_STEPS", 5 * 12)  # of all rows
    built = network(composed, "model=gru")
    batch = tokens([12] * 5, torch.zeros(5, dtype=torch.long))
    batch.inputs[:] = batch.inputs[:1]
    full = measure(built.task, built.model, built.head, Rows(batch, batch, None)).values
    monkeypatch.setattr("seqtrain.probe.panel.MOST_NUMBERS", 12 * 3 * 2)
    few = measure(built.task, built.model, built.head, Rows(batch, batch, None)).values
    assert few == pytest.approx(full)


def test_punctuation_is_named_by_the_data(small: Compose) -> None:
    data = build_data(small())
    marks = Rows.of(data, torch.device("cpu")).punctuation
    assert marks is not None and len(marks) == len(data.token_names())
    assert not marks[data.token_names().index("film")]


@pytest.mark.parametrize("feeding", [True, False])
def test_the_panel_of_a_translator_is_of_its_loss_not_of_its_search(
    composed: Compose, tmp_path: Path, feeding: bool
) -> None:
    """Its decoder is measured where it runs over all targets at once, and its attention at every target step."""
    path = write_splits(tmp_path / "pairs")
    options = ["model=gru_translator", f"model.input_feeding={feeding}", f"data.path={path}"]
    config = composed(*OPTIONS, *SMALL, *options)
    seed_everything(0)
    data = build_data(config)
    built = build_model(config, data.spec)
    rows = Rows.of(data, built.device)
    panel = measure(built.task, built.model, built.head, rows)
    check(panel)
    encoder = {"encoder1", "encoder1_backward"}
    assert parts(panel, "memory/recurrence") == (encoder if feeding else encoder | {"decoder1"})
    length = panel.values["memory/row_length"]
    assert panel.values["memory/inputs"] >= length  # the attention reaches every source token
    assert min(panel.values[f"memory/recurrence/{part}"] for part in encoder) > 1
    assert "forgets" not in findings(panel.values)
    with torch.no_grad(), recorded_weights(built.model) as recorded:
        built.model(rows.validation)
    weights = torch.cat(recorded["output_attention.attention"], dim=1).double()
    lengths = rows.validation.lengths
    relative = -(weights * weights.clamp(min=1e-30).log()).sum(-1) / lengths.double().log()[:, None]
    assert panel.values["attention/entropy/output_attention"] == pytest.approx(relative[lengths > 1].mean().item())


def test_attention_of_a_decoder_to_its_own_steps_is_not_taken_for_attention_to_the_source(
    composed: Compose, tmp_path: Path
) -> None:
    """Its steps may be as many as those of the source, with other lengths."""
    path = write_splits(tmp_path / "pairs")
    config = composed(*OPTIONS, f"data.path={path}", "model=attn_translator", "device=cpu", "data.batch_size=8")
    data = build_data(config)
    built = build_model(config, data.spec)
    panel = measure(built.task, built.model, built.head, Rows.of(data, built.device))
    check(panel)
    found = parts(panel, "attention/padding")
    assert found and all(name.startswith("encoder") or name.endswith("source") for name in found)
    assert all(panel.values[f"attention/padding/{name}"] == 0 for name in found)
