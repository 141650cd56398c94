"""The translator without recurrence: against torch's blocks, padding, what a step sees, and single steps."""

from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from torch import nn

from seqtrain.commands.build import Built, build_model
from seqtrain.config.root import Config
from seqtrain.data.spec import DataSpec
from seqtrain.errors import ConfigError
from seqtrain.layers.attention import recorded_weights
from seqtrain.layers.masks import real_steps
from seqtrain.models.attention_translator import AttentionTranslator
from seqtrain.training.device import seed_everything
from tests.models.test_translator import SPEC, W, batch_of, check_learning, check_padding, features

Compose = Callable[..., Config]

D, HEADS, F = 8, 2, 12
SIZES = ["data=pair_files", "device=cpu", f"model.embedding.embed_dim={D}", f"model.num_heads={HEADS}",
         f"model.feed_forward_size={F}", "model.num_layers=2"]  # fmt: skip
OPTIONS = ["", "model.positions=false task.tie_weights=false", "model.qkv_tanh=true model.num_layers=1"]


def build(composed: Compose, options: str, *more: str, spec: DataSpec = SPEC) -> tuple[Built, AttentionTranslator]:
    seed_everything(0)
    built = build_model(composed("model=attn_translator", *SIZES, *options.split(), *more), spec)
    built.model.eval(), built.head.eval()
    return built, cast(AttentionTranslator, built.model)


@pytest.mark.parametrize("options", OPTIONS)
def test_shapes_gradients_and_a_batch_that_is_learned(composed: Compose, options: str) -> None:
    check_learning(build(composed, options, "model.dropout=0", "model.embedding.dropout=0")[0], lr=0.01)


@pytest.mark.parametrize("options", OPTIONS)
def test_padding_and_batch_mates_change_nothing(composed: Compose, options: str) -> None:
    check_padding(build(composed, options)[0])


@pytest.mark.parametrize("options", OPTIONS)
def test_teacher_forcing_equals_single_steps_and_ignores_the_future(composed: Compose, options: str) -> None:
    built, model = build(composed, options)
    batch, changed = batch_of(), batch_of()
    changed.previous[1, 3] = changed.previous[1, 3] % (W - 1) + 1
    with torch.no_grad():
        whole, after = features(built, batch), features(built, changed)
        memory, state = model.read(batch)
        for step in range(whole.shape[1]):
            one, state = model.step(batch.previous[:, step], memory, state)
            real = batch.target_lengths > step
            torch.testing.assert_close(one[real], whole[real, step], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(after[1, :3], whole[1, :3], atol=1e-6, rtol=1e-6)
    assert not torch.allclose(after[1, 3], whole[1, 3], atol=1e-4)


def test_the_order_of_source_and_target_counts_with_positions_only(composed: Compose) -> None:
    for options, differs in (("", True), ("model.positions=false", False)):
        built, _ = build(composed, options)
        batch, source, target = batch_of(), batch_of(), batch_of()
        source.inputs[0, :6] = batch.inputs[0, :6].flip(0)
        target.previous[1, 1:5] = batch.previous[1, 1:5].flip(0)
        with torch.no_grad():
            plain, by_source, by_target = (features(built, each) for each in (batch, source, target))
        assert torch.allclose(plain[0, 3], by_source[0, 3], atol=1e-5) is not differs
        # A causal step of two layers sees the order of the steps before it even without positions.
        assert not torch.allclose(plain[1, 3], by_target[1, 3], atol=1e-5)


def copied(blocks: Any, others: Any) -> None:
    """Give torch's layers the weights of the model's blocks."""
    for block, other in zip(blocks, others, strict=True):
        own = {"self_attn.in_proj_weight": block.qkv.weight, "self_attn.out_proj.weight": block.output.weight}
        norms = [block.norm_attention, *([block.norm_source] if hasattr(block, "source") else []),
                 block.norm_feed_forward]  # fmt: skip
        own |= {f"norm{i}.{name}": p for i, norm in enumerate(norms, 1) for name, p in norm.named_parameters()}
        for i, place in ((1, 0), (2, 3)):
            own |= {f"linear{i}.{name}": p for name, p in block.feed_forward[place].named_parameters()}
        if hasattr(block, "source"):
            part = block.source
            joined = torch.cat([part.query.weight, part.key.weight, part.value.weight])
            own |= {"multihead_attn.in_proj_weight": joined, "multihead_attn.out_proj.weight": part.output.weight}
        missing, unexpected = other.load_state_dict(own, strict=False)
        assert not unexpected and all("bias" in name for name in missing)
        for name in missing:
            nn.init.zeros_(other.get_parameter(name))


def test_blocks_are_those_of_torch(composed: Compose) -> None:
    """In float64, without positions, which torch's layers leave to the user."""
    built, model = build(composed, "model.positions=false")
    options: dict[str, Any] = {"activation": "gelu", "batch_first": True, "norm_first": True, "dropout": 0.0}
    encoder = nn.ModuleList(nn.TransformerEncoderLayer(D, HEADS, F, **options) for _ in range(2)).double()
    decoder = nn.ModuleList(nn.TransformerDecoderLayer(D, HEADS, F, **options) for _ in range(2)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))  # normalisations start as ones and zeros
    copied(model.encoder.blocks, encoder)
    copied(model.decoder.blocks, decoder)
    batch = batch_of(padding=1)
    padding = ~real_steps(batch.lengths, batch.inputs.shape[1])
    T = batch.previous.shape[1]
    future = torch.ones(T, T, dtype=torch.bool).triu(1)
    x = model.embedding(batch.inputs).double()
    y = model.target_embedding(batch.previous).double()
    for layer in encoder:
        x = layer(x, src_key_padding_mask=padding)
    x = nn.functional.layer_norm(x, (D,), model.encoder.norm.weight.double(), model.encoder.norm.bias.double())
    for layer in decoder:
        y = layer(y, x, tgt_mask=future, memory_key_padding_mask=padding)
    y = nn.functional.layer_norm(y, (D,), model.decoder.norm.weight.double(), model.decoder.norm.bias.double())
    real = real_steps(batch.target_lengths, T)
    torch.testing.assert_close(features(built, batch)[real].double(), y[real], atol=1e-5, rtol=1e-5)


def test_attention_to_the_source_is_a_distribution_over_real_steps(composed: Compose) -> None:
    built, model = build(composed, "")
    batch = batch_of(padding=2)
    with torch.no_grad(), recorded_weights(model.attention) as weights:
        features(built, batch)
    ((whole,),) = weights.values()
    torch.testing.assert_close(whole.sum(-1), torch.ones(4, 8))
    for row, length in enumerate(batch.lengths.tolist()):
        assert (whole[row, :, length:] == 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [("model.pooling=last", r"model\.pooling='last': must be left out"), ("model.num_heads=3", r"a divisor of")],
)
def test_errors(composed: Compose, options: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(composed, options)
