"""What every model config must keep, whatever is in it."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from seqtrain.cli import conf_directory
from seqtrain.commands.build import Built, build_model
from seqtrain.config.model import RecurrentConfig
from seqtrain.config.root import Config
from seqtrain.data.base import Batch, DataSpec
from seqtrain.layers.attention import recorded_weights
from seqtrain.layers.recurrence import real_steps
from seqtrain.training.device import seed_everything

Compose = Callable[..., Config]

MODELS = sorted(path.stem for path in (conf_directory() / "model").glob("*.yaml"))
VARIANTS = [
    *(f"model={name}" for name in MODELS),
    *(f"model=gru model.pooling={pooling}" for pooling in ("mean", "max", "attention_max")),
    "model=lstm model.num_layers=2",
    "model=gru_attn model.bidirectional=false",
]
SPEC = DataSpec(vocab_size=50, pad_id=0, class_names=["a", "b", "c"], class_counts=[5, 5, 5])
LENGTHS = [9, 4, 1, 7]


@pytest.fixture(params=VARIANTS)
def config(request: pytest.FixtureRequest, composed: Compose) -> Config:
    sizes = ["model.embedding.embed_dim=8", "model.hidden_size=6", "device=cpu"]
    return composed(*request.param.split(), *sizes)


def build(config: Config, seed: int = 0) -> Built:
    seed_everything(seed)
    return build_model(config, SPEC)


def tokens(lengths: list[int] = LENGTHS, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(1, 50, (length,), generator=generator) for length in lengths]


def batch_of(rows: list[Tensor], extra_padding: int = 0) -> Batch:
    lengths = torch.tensor([len(row) for row in rows])
    inputs = torch.zeros(len(rows), int(lengths.max()) + extra_padding, dtype=torch.long)
    for i, row in enumerate(rows):
        inputs[i, : len(row)] = row
    return Batch(inputs, torch.arange(len(rows)) % 3, lengths, np.arange(len(rows)), int(lengths.sum()))


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
    built.model.eval()
    batch = batch_of(tokens())
    built.task.loss(built.head, built.model(batch)[0], batch).backward()
    for name, parameter in [*built.model.named_parameters(), *built.head.named_parameters()]:
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
        assert torch.isfinite(parameter.grad).all(), name


def test_padding_has_no_embedding_and_no_gradient(config: Config) -> None:
    built = build(config)
    batch = batch_of(tokens(), extra_padding=3)
    built.task.loss(built.head, built.model(batch)[0], batch).backward()
    weight = built.model.get_parameter("embedding.weight")
    assert weight.grad is not None
    assert (weight[0] == 0).all() and (weight.grad[0] == 0).all()


def test_one_batch_is_learned(config: Config) -> None:
    built = build(config)
    built.model.eval()  # without dropout
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
    built = build(config)
    built.model.eval()
    batch = batch_of(tokens())
    exact = logits(built, batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
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
    real = real_steps(batch.lengths, batch.inputs.shape[1])
    for calls in weights.values():
        torch.testing.assert_close(calls[0].sum(-1), torch.ones(4))
        assert (calls[0][~real] == 0).all()
    assert isinstance(config.model, RecurrentConfig)
    assert bool(weights) == ("attention" in config.model.pooling.value)
