"""The translator: its equations, padding, what a step sees, and that teacher forcing equals single steps."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seqtrain.commands.build import Built, build_model, check_model
from seqtrain.config.root import Config
from seqtrain.data.pairs.batch import PairBatch
from seqtrain.data.pairs.dataset import pair_batch
from seqtrain.data.pairs.vocabularies import END_ID
from seqtrain.data.spec import DataSpec
from seqtrain.errors import ConfigError
from seqtrain.kernels.machine import bf16_lstm
from seqtrain.layers.attention import recorded_weights
from seqtrain.layers.masks import real_steps
from seqtrain.models.translator import Translator
from seqtrain.training.device import seed_everything

Compose = Callable[..., Config]

V, W = 20, 15
SPEC = DataSpec(targets="translation", vocab_size=V, target_vocab_size=W, pad_id=0)
SIZES = ["data=pair_files", "model.hidden_size=8", "model.embedding.embed_dim=6", "device=cpu", "model.kernel=torch"]
OPTIONS = [
    "model=gru_translator",
    "model=lstm_translator",
    "model=gru_translator model.input_feeding=true model.attention.score=multihead model.num_layers=2",
    "model=lstm_translator model.input_feeding=false model.hidden_sizes=[8,5] model.locked_dropout=true",
    "model=gru_translator model.attention.score=none model.bidirectional=false model.cell=rnn task.tie_weights=false",
    "model=gru_translator model.attention.score=dot model.reset_after=false model.weight_drop=0.2",
    "model=gru_translator model.attention.score=none model.input_feeding=true model.cell=gru_candidate",
    "model=gru_translator model.attention.score=scaled_dot model.attention.project=true model.cell=gru_coupled",
]


def build(composed: Compose, options: str, *more: str) -> Built:
    seed_everything(0)
    built = build_model(composed(*options.split(), *SIZES, *more), SPEC)
    built.model.eval(), built.head.eval()
    return built


def rows_of(lengths: list[int], size: int, padding: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(len(lengths) + size)
    tokens = torch.zeros(len(lengths), max(lengths) + padding, dtype=torch.long)
    for row, length in enumerate(lengths):
        tokens[row, : length - 1] = torch.randint(4, size, (length - 1,), generator=generator)
        tokens[row, length - 1] = END_ID
    return tokens, torch.tensor(lengths)


def batch_of(padding: int = 0, index: list[int] | None = None) -> PairBatch:
    """Four pairs, or some of them."""
    source, target = rows_of([7, 3, 2, 5], V, padding), rows_of([4, 6, 2, 1], W, padding)
    batch = pair_batch(*source, *target, np.arange(4))
    return batch if index is None else batch.chosen(torch.tensor(index))


def features(built: Built, batch: PairBatch) -> Tensor:
    return built.task.features(built.model, built.head, batch, None)[0]


def check_learning(built: Built, lr: float) -> None:
    """All parameters have a gradient, and a batch is learned in a few steps."""
    batch = batch_of()
    built.model.train(), built.head.train()
    assert features(built, batch).shape == (4, 6, built.model.output_size)
    parameters = list(nn.ModuleList([built.model, built.head]).parameters())
    optimizer = torch.optim.Adam(parameters, lr=lr)
    losses: list[float] = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = built.task.loss(built.head, features(built, batch), batch) / built.task.count(batch)
        loss.backward()
        if not losses:
            for name, parameter in [*built.model.named_parameters(), *built.head.named_parameters()]:
                assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
                assert parameter.grad.abs().sum() > 0, name
        losses.append(loss.item())
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]


def check_padding(built: Built) -> None:
    """The features of a pair do not depend on padding, nor on the other pairs of its batch."""
    with torch.no_grad():
        together = features(built, batch_of(padding=3))
        for row in range(4):
            alone = features(built, batch_of(index=[row]))
            length = int(batch_of().target_lengths[row])
            torch.testing.assert_close(together[row, :length], alone[0, :length], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("options", OPTIONS)
def test_shapes_gradients_and_a_batch_that_is_learned(composed: Compose, options: str) -> None:
    check_learning(build(composed, options, "model.dropout=0", "model.embedding.dropout=0"), lr=0.03)


@pytest.mark.parametrize("options", OPTIONS)
def test_padding_and_batch_mates_change_nothing(composed: Compose, options: str) -> None:
    check_padding(build(composed, options))


@pytest.mark.parametrize("options", OPTIONS)
def test_teacher_forcing_equals_single_steps_and_ignores_the_future(composed: Compose, options: str) -> None:
    built, batch = build(composed, options), batch_of()
    model = cast(Translator, built.model)
    with torch.no_grad():
        whole = features(built, batch)
        memory, state = model.read(batch)
        for step in range(whole.shape[1]):
            one, state = model.step(batch.previous[:, step], memory, state)
            real = batch.target_lengths > step
            torch.testing.assert_close(one[real], whole[real, step], atol=1e-5, rtol=1e-5)
        changed = batch_of()
        changed.previous[1, 3] = changed.previous[1, 3] % (W - 1) + 1
        after = features(built, changed)
    torch.testing.assert_close(after[1, :3], whole[1, :3], atol=1e-6, rtol=1e-6)
    assert not torch.allclose(after[1, 3], whole[1, 3], atol=1e-6)


def array(module: Any, name: str) -> np.ndarray:
    weight = module.get_parameter(name).detach().double().numpy()
    assert isinstance(weight, np.ndarray)
    return weight


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


def gru_step(layer: nn.Module, x: np.ndarray, h: np.ndarray) -> np.ndarray:
    """A step of torch's GRU."""
    i = array(layer, "weight_ih_l0") @ x + array(layer, "bias_ih_l0")
    r = array(layer, "weight_hh_l0") @ h + array(layer, "bias_hh_l0")
    H = len(h)
    reset, update = sigmoid(i[:H] + r[:H]), sigmoid(i[H : 2 * H] + r[H : 2 * H])
    candidate = np.tanh(i[2 * H :] + reset * r[2 * H :])
    return np.asarray((1 - update) * candidate + update * h)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max())
    return np.asarray(e / e.sum())


def context_of(score: str, attention: nn.Module, h: np.ndarray, memory: np.ndarray) -> np.ndarray:
    """What the attention of a state h returns, from the equations of the papers."""
    if score == "additive":
        hidden = np.tanh(
            array(attention, "query.weight") @ h
            + memory @ array(attention, "key.weight").T
            + array(attention, "key.bias")
        )
        return np.asarray(softmax(hidden @ array(attention, "score.weight")[0]) @ memory)
    if score == "general":
        return np.asarray(softmax(memory @ (array(attention, "query.weight") @ h)) @ memory)
    q, k, v = (
        x @ array(attention, f"{name}.weight").T for name, x in (("query", h), ("key", memory), ("value", memory))
    )
    parts = []
    for head in np.split(np.arange(len(q)), 4):
        parts.append(softmax(k[:, head] @ q[head] / len(head) ** 0.5) @ v[:, head])
    return np.asarray(array(attention, "output.weight") @ np.concatenate(parts))


@pytest.mark.parametrize("feeding", [False, True])
@pytest.mark.parametrize("score", ["additive", "general", "multihead", "none"])
def test_equations(composed: Compose, score: str, feeding: bool) -> None:
    """Against float64, row by row and step by step."""
    flags = [f"model.attention.score={score}", f"model.input_feeding={str(feeding).lower()}"]
    built, batch = build(composed, "model=gru_translator", *flags), batch_of()
    model = cast(Translator, built.model)
    (encoder,), (decoder,) = model.encoder.layers, model.decoder.layers
    with torch.no_grad():
        found = features(built, batch).double().numpy()
    for row in range(4):
        source = batch.inputs[row, : batch.lengths[row]].numpy()
        vectors = array(model, "embedding.weight")[source]
        forward: list[np.ndarray] = []
        backward: list[np.ndarray] = []
        h = np.zeros(8)
        for x in vectors:
            h = gru_step(encoder.get_submodule("forward_layer"), x, h)
            forward.append(h)
        h = np.zeros(8)
        for x in vectors[::-1]:
            h = gru_step(encoder.get_submodule("backward_layer"), x, h)
            backward.insert(0, h)
        memory = np.concatenate([forward, backward], axis=1)
        last = np.concatenate([forward[-1], backward[0]])
        h = np.tanh(array(model, "bridge.weight") @ last + array(model, "bridge.bias"))
        fed = np.zeros(8)
        for step in range(int(batch.target_lengths[row])):
            x = array(model, "target_embedding.weight")[batch.previous[row, step]]
            h = gru_step(decoder.get_submodule("forward_layer"), np.concatenate([x, fed]) if feeding else x, h)
            fed = h
            if score != "none":
                assert model.attention is not None
                context = context_of(score, model.attention, h, memory)
                fed = np.tanh(array(model, "joined.weight") @ np.concatenate([context, h]))
            np.testing.assert_allclose(found[row, step], fed, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("options", ["model=gru_translator", "model=lstm_translator"])
def test_recorded_weights_are_a_distribution_over_real_steps(composed: Compose, options: str) -> None:
    built, batch = build(composed, options), batch_of(padding=2)
    with torch.no_grad(), recorded_weights(built.model) as weights:
        features(built, batch)
    (calls,) = weights.values()
    whole = torch.cat(calls, dim=1)
    assert whole.shape == (4, 8, 9)
    torch.testing.assert_close(whole.sum(-1), torch.ones(4, 8))
    for row, length in enumerate(batch.lengths.tolist()):
        assert (whole[row, :, length:] == 0).all()


@pytest.mark.parametrize("options", OPTIONS)
def test_bf16_stays_close(composed: Compose, options: str) -> None:
    if "lstm" in options and not bf16_lstm():
        pytest.skip("needs a CPU with an LSTM in bf16")
    built, batch = build(composed, options), batch_of()
    with torch.no_grad():
        exact = features(built, batch)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = features(built, batch)
    for row, length in enumerate(batch.target_lengths.tolist()):
        torch.testing.assert_close(rough[row, :length].float(), exact[row, :length], atol=0.05, rtol=0.05)


@pytest.mark.parametrize("score", ["additive", "none"])
def test_fused_kernels_compute_the_same(composed: Compose, score: str) -> None:
    """The decoder is started from a given state, and reads all target steps in one call."""
    options = f"model=gru_translator model.attention.score={score}"
    built, fused = (build(composed, options, f"model.kernel={kernel}") for kernel in ("torch", "fused"))
    batch, found = batch_of(padding=3), []
    calls: list[nn.Module] = []
    for each in (built, fused):
        each.model.get_submodule("decoder").register_forward_hook(lambda module, *_: calls.append(module))
        made = features(each, batch)
        real = real_steps(batch.target_lengths, made.shape[1])
        loss = each.task.loss(each.head, made, batch)
        loss.backward()
        found.append((made[real], each.model.get_parameter("bridge.weight").grad))
    assert len(calls) == 2
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


ERRORS = {
    "model=gru_translator model.pooling=mean": r"model\.pooling='mean': must be left out",
    "model=gru_translator model.output_attention.score=dot": r"must be none .* model\.attention",
    "model=gru_translator model.attention.memory=inputs": r"model\.attention\.memory='inputs': must be left out",
    "model=gru_translator model.attention.residual=false": r"model\.attention\.residual=False: must be left out",
    "model=lstm_translator model.weight_drop=0.1": r"model\.weight_drop=0\.1: must be 0\.0 with model\.input_feeding",
    "model=lstm_translator model.locked_dropout=true": r"model\.locked_dropout=True: must be False with",
    "model=gru_translator model.attention.score=none task.coverage_penalty=0.2": r"coverage_penalty=0\.2: must be 0",
    "model=gru_translator model.attention.score=multihead model.attention.num_heads=3": r"num_heads=3: must divide 16",
}


@pytest.mark.parametrize("options", ERRORS)
def test_errors(composed: Compose, options: str) -> None:
    with pytest.raises(ConfigError, match=ERRORS[options]):
        build(composed, options)


def test_a_coverage_penalty_without_attention_is_refused_before_the_data_is_read(composed: Compose) -> None:
    options = (
        "model=gru_translator model.attention.score=none task.coverage_penalty=0.2 data=pair_files data.path=nowhere"
    )
    with pytest.raises(ConfigError, match=r"coverage_penalty=0\.2: must be 0"):
        check_model(composed(*options.split(), *SIZES))
