"""Properties that every model config must have; on the device SEQTRAIN_TEST_DEVICE, else the CPU."""

import os
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seqtrain.commands.build import Built, build_model
from seqtrain.config import registry
from seqtrain.config.base import Targets
from seqtrain.config.recurrent import Cell, RecurrentConfig
from seqtrain.config.root import Config
from seqtrain.config.sequence import Kernel, SequenceConfig
from seqtrain.data.base import Batch
from seqtrain.data.spec import DataSpec
from seqtrain.errors import ConfigError
from seqtrain.kernels.machine import bf16_lstm
from seqtrain.layers.attention import AdditiveAttention, Attention, recorded_weights
from seqtrain.layers.cells import CandidateGRUCell, CellLayer, CoupledGRUCell
from seqtrain.layers.masks import real_steps
from seqtrain.training.depth import DepthGroup, depth_groups
from seqtrain.training.device import seed_everything
from tests.configs import models_for

Compose = Callable[..., Config]

MODELS = models_for(Targets.sequence_class)
VARIANTS = [
    *(f"model={name}" for name in MODELS),
    *(f"model=gru model.pooling={pooling}" for pooling in ("mean", "max", "attention_max", "concat")),
    "model=lstm model.num_layers=2 model.layer_norm=true model.residual=true model.locked_dropout=true",
    "model=rnn model.nonlinearity=relu model.recurrent_init=uniform",
    "model=gru model.reset_after=false model.chrono_init=50",
    *(
        f"model={name} model.kernel={kernel}"
        for name in ("gru_attn", "lstm_attn", "rnn")
        for kernel in ("fused", "torch")
    ),
    "model=gru model.reset_after=false model.kernel=torch",
    "model=gru_attn model.bidirectional=false",
    "model=gru model.output_attention.score=dot model.output_attention.residual=false",
    "model=rnn_attn model.output_attention.score=scaled_dot model.output_attention.memory=inputs",
    "model=lstm model.input_attention.score=multihead model.input_attention.num_heads=2",
    "model=bahdanau_attn model.pooling=max model.output_attention.memory=inputs",
    "model=self_attn model.qkv_tanh=true model.pooling=last",
    "model=self_attn model.pooling=concat",
    "model=bahdanau_attn model.pooling=concat",
    "model=lstm model.bidirectional=false model.pooling=concat",
]
SPEC = DataSpec(targets="class", vocab_size=50, pad_id=0, class_names=["a", "b", "c"], class_counts=[5, 5, 5])
LENGTHS = [9, 4, 1, 7]
DEVICE = torch.device(os.environ.get("SEQTRAIN_TEST_DEVICE", "cpu"))


@pytest.fixture(params=VARIANTS)
def config(request: pytest.FixtureRequest, composed: Compose) -> Config:
    sizes = ["model.embedding.embed_dim=8", f"device={DEVICE}"]
    if "self_attn" in request.param:
        sizes.append("model.feed_forward_size=16")
    else:
        sizes.append("model.hidden_sizes=[8,4]" if "stacked" in request.param else "model.hidden_size=8")
    return composed(*request.param.split(), *sizes)


def steps_model(config: Config, causal: bool) -> nn.Module:
    """The model for a task with one prediction per step, without dropout."""
    seed_everything(0)
    model_class = registry.find("model", config.model.kind).load()
    model: nn.Module = model_class.from_config(config.model, SPEC, causal=causal, pooled=False)
    return model.to(DEVICE).eval()


def build(config: Config, seed: int = 0) -> Built:
    seed_everything(seed)
    return build_model(config, SPEC)


def train_without_dropout(model: nn.Module) -> None:
    """Training mode with every dropout at 0: in evaluation mode cuDNN's recurrent layers compute no gradients."""
    model.train()
    for module in model.modules():
        for rate in ("p", "dropout", "weight_drop"):
            if isinstance(getattr(module, rate, None), float):
                setattr(module, rate, 0.0)


def tokens(lengths: list[int] = LENGTHS, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(1, 50, (length,), generator=generator) for length in lengths]


def batch_of(rows: list[Tensor], extra_padding: int = 0) -> Batch:
    lengths = torch.tensor([len(row) for row in rows])
    inputs = torch.zeros(len(rows), int(lengths.max()) + extra_padding, dtype=torch.long)
    for i, row in enumerate(rows):
        inputs[i, : len(row)] = row
    batch = Batch(inputs, torch.arange(len(rows)) % 3, lengths, np.arange(len(rows)), int(lengths.sum()))
    return batch.to(DEVICE)


def logits(built: Built, batch: Batch) -> Tensor:
    return built.head(built.model(batch)[0])


def test_shapes(config: Config) -> None:
    built = build(config)
    features, _ = built.model(batch_of(tokens()))
    assert features.shape == (4, built.model.output_size)
    assert logits(built, batch_of(tokens())).shape == (4, 3)


def test_padding_batch_mates_and_order_never_change_a_row(config: Config) -> None:
    built = build(config)
    built.model.eval()
    rows = tokens()
    expected = torch.cat([logits(built, batch_of([row])) for row in rows])
    torch.testing.assert_close(logits(built, batch_of(rows)), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(logits(built, batch_of(rows, extra_padding=30)), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(logits(built, batch_of(rows[::-1])), expected.flip(0), atol=1e-5, rtol=1e-5)


def test_a_gradient_reaches_every_parameter(config: Config) -> None:
    built = build(config)
    train_without_dropout(built.model)
    batch = batch_of(tokens())
    built.task.loss(built.head, built.model(batch)[0], batch).backward()
    for name, parameter in [*built.model.named_parameters(), *built.head.named_parameters()]:
        # A GRU's reset gate scales zeros at the first step, so one step alone would not reach it; these rows have more.
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
        assert torch.isfinite(parameter.grad).all(), name


def test_frozen_parts_change_no_other_gradient(config: Config) -> None:
    """Each part alone, below and above parts without gradients, has the gradients that it has among all."""
    built = build(config)
    train_without_dropout(built.model)
    batch = batch_of(tokens())
    groups = depth_groups(built.model, built.head)

    def gradients(training: list[DepthGroup]) -> list[Tensor]:
        for group in groups:
            group.let_train(group in training)
        loss = built.task.loss(built.head, built.model(batch)[0], batch)
        return list(torch.autograd.grad(loss, [p for group in training for p in group.parameters]))

    whole = iter(gradients(groups))
    for group in groups:
        for gradient in gradients([group]):
            torch.testing.assert_close(gradient, next(whole), atol=1e-6, rtol=1e-5)


def test_padding_has_no_embedding_and_no_gradient(config: Config) -> None:
    built = build(config)
    batch = batch_of(tokens(), extra_padding=3)
    built.task.loss(built.head, built.model(batch)[0], batch).backward()
    weight = built.model.get_parameter("embedding.weight")
    assert weight.grad is not None
    assert (weight[0] == 0).all() and (weight.grad[0] == 0).all()


def test_one_batch_is_learned(config: Config) -> None:
    built = build(config)
    train_without_dropout(built.model)
    batch = batch_of(tokens([5, 3, 6, 4, 2, 7]))
    parameters = [*built.model.parameters(), *built.head.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=0.02)
    for _ in range(80):
        optimizer.zero_grad()
        loss = built.task.loss(built.head, built.model(batch)[0], batch) / 6
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


def test_the_seed_decides_the_weights(config: Config) -> None:
    first, same, other = build(config, 1), build(config, 1), build(config, 2)
    for name, weight in first.model.state_dict().items():
        assert torch.equal(weight, same.model.state_dict()[name])
    weights = [torch.cat([p.flatten() for p in built.model.parameters()]) for built in (first, other)]
    assert not torch.equal(*weights)


def test_state_dict_round_trip(config: Config) -> None:
    first, other = build(config, 1), build(config, 2)
    other.model.load_state_dict(first.model.state_dict())
    other.head.load_state_dict(first.head.state_dict())
    first.model.eval(), other.model.eval()
    assert torch.equal(logits(first, batch_of(tokens())), logits(other, batch_of(tokens())))


def test_bf16_stays_close(config: Config) -> None:
    recurrent = config.model if isinstance(config.model, RecurrentConfig) else RecurrentConfig()
    if recurrent.cell is Cell.lstm and recurrent.kernel is Kernel.torch and DEVICE.type == "cpu" and not bf16_lstm():
        pytest.skip("needs a CPU with an LSTM in bf16")
    built = build(config)
    train_without_dropout(built.model)
    batch = batch_of(tokens())
    exact = logits(built, batch)
    with torch.autocast(DEVICE.type, dtype=torch.bfloat16):
        loss = built.task.loss(built.head, built.model(batch)[0], batch)
        rough = logits(built, batch)
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in built.model.parameters() if p.grad is not None)
    torch.testing.assert_close(rough.float(), exact, atol=0.05, rtol=0.05)


def test_attention_weights_are_a_distribution_over_real_steps(config: Config) -> None:
    built = build(config)
    built.model.eval()
    batch = batch_of(tokens(), extra_padding=2)
    before = logits(built, batch)
    with recorded_weights(built.model) as weights:
        assert torch.equal(logits(built, batch), before)
    assert bool(weights) == any(isinstance(module, Attention) for module in built.model.modules())
    check_weights(weights, real_steps(batch.lengths, batch.inputs.shape[1]))


def check_weights(weights: dict[str, list[Tensor]], real: Tensor) -> None:
    """Weights of one call: they sum to one over the real steps, and are zero on padding. Padded queries are free."""
    for (call,) in weights.values():
        rows = call if call.dim() == 3 else call[:, None]
        queries = real if rows.shape[1] == real.shape[1] else real.new_ones(rows.shape[:2])
        torch.testing.assert_close(rows.sum(-1)[queries], rows.new_ones(int(queries.sum())))
        assert (rows.masked_select(~real[:, None] & queries[..., None]) == 0).all()


@pytest.mark.parametrize("causal", [False, True])
def test_a_step_depends_on_no_padding_and_no_batch_mate(config: Config, causal: bool) -> None:
    model = steps_model(config, causal)
    rows = tokens()
    together, _ = model(batch_of(rows, extra_padding=3))
    for i, row in enumerate(rows):
        alone, _ = model(batch_of([row]))
        assert alone.shape == (1, len(row), model.output_size)
        torch.testing.assert_close(together[i, : len(row)], alone[0], atol=1e-5, rtol=1e-5)
    with recorded_weights(model) as weights:
        batch = batch_of(rows, extra_padding=3)
        assert torch.equal(model(batch)[0], together)
    check_weights(weights, real_steps(batch.lengths, batch.inputs.shape[1]))


def test_causal_models_ignore_the_future(config: Config) -> None:
    model = steps_model(config, causal=True)
    (row,) = tokens([9])
    changed = row.clone()
    changed[5] = row[5] % 49 + 1
    before, after = model(batch_of([row]))[0], model(batch_of([changed]))[0]
    torch.testing.assert_close(before[:, :5], after[:, :5], atol=1e-6, rtol=1e-6)
    assert not torch.allclose(before[:, 5:], after[:, 5:], atol=1e-6)


def in_segments(model: nn.Module, rows: Tensor, restarts: Tensor | None, ends: list[int]) -> Tensor:
    """Features of rows that are read segment by segment, with the carried state."""
    state, parts = None, []
    for start, end in zip([0, *ends], [*ends, rows.shape[1]], strict=True):
        batch = batch_of(list(rows[:, start:end]))
        batch.restarts = None if restarts is None else restarts[:, start:end]
        features, state = model(batch, state)
        parts.append(features)
    return torch.cat(parts, 1)


@pytest.mark.parametrize("context_length", [1, 4, 256])
def test_segments_with_carried_state_equal_the_whole(config: Config, context_length: int) -> None:
    """Segments of any length, with attention, and with rows that restart in the middle."""
    cast(SequenceConfig, config.model).context_length = context_length
    model = steps_model(config, causal=True)
    rows = torch.stack(tokens([12, 12]))
    for ends in ([5], [1, 2, 3, 9]):
        torch.testing.assert_close(in_segments(model, rows, None, ends), model(batch_of(list(rows)))[0])
    restarts = torch.zeros(2, 12, dtype=torch.bool, device=DEVICE)
    restarts[0, [0, 5, 6]] = True
    restarts[1, 9] = True
    parts = [rows[:1, :5], rows[:1, 5:6], rows[:1, 6:]], [rows[1:, :9], rows[1:, 9:]]
    alone = torch.cat([torch.cat([model(batch_of(list(part)))[0] for part in row], 1) for row in parts])
    for ends in ([], [5], [4, 7], [9]):
        torch.testing.assert_close(in_segments(model, rows, restarts, ends), alone)


def test_both_directions_are_refused_under_a_causal_task(composed: Compose) -> None:
    config = composed("model=gru", "model.bidirectional=true")
    with pytest.raises(ConfigError, match=r"model\.bidirectional=True.*use false or null"):
        steps_model(config, causal=True)


def test_heads_that_do_not_divide(composed: Compose) -> None:
    with pytest.raises(
        ConfigError, match=r"model\.num_heads=3: must be a divisor of model\.embedding\.embed_dim \(128\)"
    ):
        composed("model=self_attn", "model.num_heads=3")
    for place in ("input_attention", "output_attention"):
        config = composed("model=gru", f"model.{place}.score=multihead", f"model.{place}.num_heads=3")
        with pytest.raises(ConfigError, match=rf"model\.{place}\.num_heads=3: must divide"):
            build(config)


def test_named_configs_are_what_they_say(composed: Compose) -> None:
    """The built model has the parts that its name promises."""
    models: dict[str, Any] = {name: build(composed(f"model={name}", "device=cpu")).model for name in MODELS}

    def layer(name: str) -> nn.Module:
        layer: nn.Module = models[name].encoder.layers[0].forward_layer
        return layer.cell if isinstance(layer, CellLayer) else layer

    kinds = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
    for cell, kind in kinds.items():
        for name in (cell, f"{cell}_attn"):
            assert type(layer(name)) is kind
            assert models[name].pooling.kind == ("attention" if name.endswith("attn") else "last")
    assert type(layer("gru_candidate")) is CandidateGRUCell and type(layer("gru_coupled")) is CoupledGRUCell
    assert [stack.forward_layer.hidden_size for stack in models["stacked_gru"].encoder.layers] == [128, 64]
    residual = models["gru_residual_attn"]
    assert residual.attend_inputs and residual.output_attention.residual
    assert isinstance(residual.output_attention.projection, nn.Linear)  # inputs of 128 features added to states of 256
    first = models["attn_gru"].input_attention
    assert first.attention.scale == 128**-0.5 and isinstance(first.attention.value, nn.Linear) and not first.residual
    multihead = models["lstm_multihead_attn"]
    assert type(layer("lstm_multihead_attn")) is nn.LSTM and multihead.output_attention.attention.num_heads == 4
    assert isinstance(models["bahdanau_attn"].output_attention.attention, AdditiveAttention)
    assert len(models["self_attn"].encoder.blocks) == 2
