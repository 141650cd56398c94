"""Activation penalties and dropout of a model with one prediction per step."""

from collections.abc import Callable
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seqtrain.config.recurrent import RecurrentConfig
from seqtrain.config.root import Config
from seqtrain.data.base import Batch
from seqtrain.data.spec import DataSpec
from seqtrain.errors import ConfigError
from seqtrain.layers.dropout import LockedDropout
from seqtrain.models.recurrent import RecurrentModel

Compose = Callable[..., Config]

V, B, T, H = 30, 4, 12, 16
NO_DROPOUT = ("model.dropout=0", "model.embedding.dropout=0")


def build(composed: Compose, *overrides: str, pooled: bool = False) -> RecurrentModel:
    torch.manual_seed(0)
    sizes = ["model=gru", f"model.hidden_size={H}", "model.embedding.embed_dim=16"]
    config = cast(RecurrentConfig, composed(*sizes, *overrides).model)
    return RecurrentModel.from_config(config, DataSpec(vocab_size=V), causal=not pooled, pooled=pooled)


def batch(steps: int = T) -> Batch:
    torch.manual_seed(1)
    inputs = torch.randint(V, (B, steps))
    return Batch(inputs, inputs, torch.full((B,), steps), np.arange(B), B * steps)


def recorded(model: RecurrentModel) -> list[Tensor]:
    """A list to which each call appends the features before the last dropout."""
    seen: list[Tensor] = []
    model.dropout.register_forward_hook(lambda module, args, output: seen.append(args[0]))
    return seen


@pytest.mark.parametrize(("alpha", "beta"), [(2.0, 0.0), (0.0, 1.5), (2.0, 1.5)])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_penalties_equal_their_equations(composed: Compose, alpha: float, beta: float, dropout: float) -> None:
    """Penalty in float64: of the activations after dropout, of their change before dropout."""
    model = build(
        composed,
        *NO_DROPOUT,
        f"model.output_dropout={dropout}",
        f"model.activation_penalty={alpha}",
        f"model.change_penalty={beta}",
    )
    seen = recorded(model)
    dropped, _ = model(batch())
    assert model.penalty is not None and model.penalty.shape == ()
    features = seen[0].detach().double().numpy()
    assert torch.equal(seen[0], dropped) == (dropout == 0)
    expected = alpha * np.square(dropped.detach().double().numpy()).mean()
    expected += beta * np.square(np.diff(features, axis=1)).mean()
    assert model.penalty.item() == pytest.approx(expected, rel=1e-5)
    model.penalty.backward()
    weight = model.get_parameter("embedding.weight")
    assert weight.grad is not None and weight.grad.abs().sum() > 0


def test_no_penalty_where_none_is_asked_for_or_trained(composed: Compose) -> None:
    plain = build(composed)
    assert plain.penalty is None
    plain(batch())
    assert plain.penalty is None
    model = build(composed, "model.activation_penalty=1", "model.change_penalty=1")
    model(batch())
    assert model.penalty is not None
    model.eval()(batch())
    assert model.penalty is None
    model = build(composed, "model.change_penalty=1")
    model(batch(steps=1))
    assert model.penalty is None  # a single step has no change


@pytest.mark.parametrize("attention", ["none", "general"])
@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_penalty_of_pooled_features(composed: Compose, pooling: str, attention: str) -> None:
    """The features may be pooled before or after the output attention."""
    options = [f"model.pooling={pooling}", f"model.output_attention.score={attention}", "model.activation_penalty=3"]
    model = build(composed, *options, pooled=True)
    features, _ = model(batch())
    assert features.dim() == 2 and model.penalty is not None
    assert model.penalty.item() == pytest.approx(3 * features.detach().double().square().mean().item(), rel=1e-5)


def test_penalties_below_zero_are_refused(composed: Compose) -> None:
    for name in ("activation_penalty", "change_penalty"):
        with pytest.raises(ConfigError, match=rf"model\.{name}=-1\.0: must be at least 0"):
            composed("model=gru", f"model.{name}=-1")


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize(("option", "p"), [("null", 0.3), ("0", 0.0), ("0.6", 0.6)])
def test_output_dropout_overrides_dropout_on_the_features_alone(
    composed: Compose, option: str, p: float, pooled: bool
) -> None:
    model = build(
        composed,
        "model.dropout=0.3",
        f"model.output_dropout={option}",
        "model.embedding.dropout=0",
        "model.num_layers=2",
        pooled=pooled,
    )
    assert model.dropout.p == p and cast(nn.Dropout, model.encoder.dropout).p == 0.3
    seen = recorded(model)
    dropped = model(batch())[0]
    zero = dropped == 0
    assert not (seen[0] == 0).any()
    if p == 0:
        assert torch.equal(dropped, seen[0])
    else:
        assert zero.float().mean().item() == pytest.approx(p, abs=0.2)
        torch.testing.assert_close(dropped[~zero], seen[0][~zero] / (1 - p))


def test_locked_dropout_has_one_mask_for_all_steps_of_the_features(composed: Compose) -> None:
    options = ("model.embedding.dropout=0", "model.dropout=0", "model.output_dropout=0.5")
    for locked in (True, False):
        model = build(composed, *options, f"model.locked_dropout={str(locked).lower()}")
        zero = model(batch())[0] == 0
        assert zero.any() and torch.equal(zero, zero[:, :1].expand_as(zero)) == locked
    model = build(composed, *options, "model.locked_dropout=true", pooled=True)
    assert isinstance(model.dropout, nn.Dropout)  # one vector per row
    assert isinstance(model.embedding_dropout, LockedDropout)
    assert (model(batch())[0] == 0).any()


def test_word_dropout_by_config(composed: Compose) -> None:
    """A dropped word is zero wherever it occurs, in the input of the recurrence."""
    model = build(composed, *NO_DROPOUT, "model.embedding.word_dropout=0.4")
    read: list[Tensor] = []
    model.encoder.register_forward_pre_hook(lambda module, args: read.append(args[0]))
    one = batch()
    model(one)
    vectors = model.get_parameter("embedding.weight").detach()
    factors = read[0].detach() / vectors[one.inputs]
    for word in one.inputs.unique():
        ratio = factors[one.inputs == word].mean().item()
        torch.testing.assert_close(factors[one.inputs == word], torch.full_like(factors[one.inputs == word], ratio))
        assert ratio == 0 or ratio == pytest.approx(1 / 0.6, rel=1e-4)
    assert 0.1 < (factors == 0).float().mean() < 0.7
    model.eval()(one)
    assert torch.equal(read[1], vectors[one.inputs])


def test_weight_drop_by_config(composed: Compose) -> None:
    model = build(composed, *NO_DROPOUT, "model.weight_drop=0.5", "model.num_layers=2")
    plain = build(composed, *NO_DROPOUT, "model.num_layers=2")
    assert model.state_dict().keys() == plain.state_dict().keys()
    one = batch()
    assert not torch.allclose(model(one)[0], model(one)[0])
    torch.testing.assert_close(model.eval()(one)[0], plain.eval()(one)[0])
    with pytest.raises(ConfigError, match=r"model\.weight_drop=1\.0: must be in \[0, 1\)"):
        composed("model=gru", "model.weight_drop=1")
