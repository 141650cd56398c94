"""The encoder-decoder forecaster: equations, what each step sees, independent variables, and errors."""

from collections.abc import Callable
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seqtrain.commands.build import Built, build_model
from seqtrain.config.root import Config
from seqtrain.config.window import Channels
from seqtrain.data.series.batch import ForecastBatch
from seqtrain.data.spec import DataSpec
from seqtrain.errors import ConfigError
from seqtrain.kernels.machine import bf16_lstm
from seqtrain.layers.attention import recorded_weights
from seqtrain.models.encoder_decoder import EncoderDecoderModel
from seqtrain.tasks.forecasting.head import ForecastHead
from seqtrain.training.device import seed_everything

Compose = Callable[..., Config]

B, L, S, C, H, D = 4, 11, 5, 3, 8, 6
SCORES = ["additive", "dot", "general", "multihead"]
CELLS = {"rnn": nn.RNNCell, "lstm": nn.LSTMCell, "gru": nn.GRUCell}


def spec_of(num_future: int = 2, num_targets: int = C) -> DataSpec:
    return DataSpec(
        targets="future", num_features=num_targets + num_future, lookback=L, horizon=S, num_targets=num_targets,
        num_future=num_future, naive_errors=[[[1.0] * num_targets], [[1.0] * num_targets]],
        target_names=[f"v{i}" for i in range(num_targets)],
    )  # fmt: skip


def windows(num_future: int = 2) -> ForecastBatch:
    g = torch.Generator().manual_seed(0)
    return ForecastBatch(
        inputs=torch.randn(B, L, C + num_future, generator=g),
        targets=torch.randn(B, S, C, generator=g),
        lengths=torch.full((B,), L),
        rows=np.arange(B),
        num_tokens=B * L,
        future=torch.randn(B, S, num_future, generator=g),
        observed=None,
        series=torch.zeros(B, dtype=torch.long),
        first_step=torch.zeros(B, dtype=torch.long),
        centre=np.zeros((B, C)),
        scale=np.ones((B, C)),
    )


@pytest.fixture
def config(composed: Compose) -> Compose:
    def composer(*overrides: str) -> Config:
        sizes = [f"model.hidden_size={H}", f"model.embedding.embed_dim={D}", "device=cpu", "data=sine"]
        model = [] if any(each.startswith("model=") for each in overrides) else ["model=gru_seq2seq_attn"]
        return composed(*model, *sizes, *overrides)

    return composer


def build(config: Config, spec: DataSpec) -> Built:
    seed_everything(0)
    built = build_model(config, spec)
    built.model.eval(), built.head.eval()
    return built


def forecast(built: Built, batch: ForecastBatch) -> Tensor:
    """Forecasts (B, S, C)."""
    return built.head(built.task.features(built.model, built.head, batch, None)[0], batch)[..., 0]


OPTIONS = [
    "",
    "model.cell=lstm model.num_layers=2 model.weight_drop=0.2",
    "model.cell=gru_candidate",
    "model.reset_after=false model.hidden_sizes=[8,4] model.locked_dropout=true model.layer_norm=true",
    "task.loss=quantile model.attention.score=none",
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("channels", Channels)
@pytest.mark.parametrize("num_future", [0, 2])
def test_shapes_and_gradients(config: Compose, options: str, channels: Channels, num_future: int) -> None:
    built = build(config(*options.split(), f"model.window.channels={channels.value}"), spec_of(num_future))
    batch = windows(num_future)
    features, state = built.task.features(built.model, built.head, batch, None)
    rows = B * C if channels is Channels.independent else B
    assert features.shape == (rows, S, built.model.output_size) and state is None
    assert forecast(built, batch).shape == (B, S, C)
    built.model.train()
    features = built.task.features(built.model, built.head, batch, None)[0]
    built.task.loss(built.head, features, batch).backward()
    for name, parameter in [*built.model.named_parameters(), *built.head.named_parameters()]:
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
        assert torch.isfinite(parameter.grad).all(), name


def run_cells(stack: nn.Module, cell: str, x: Tensor, states: list[list[Tensor]]) -> tuple[Tensor, list[list[Tensor]]]:
    """Outputs (T, H) of a stack for one row x (T, D), computed cell by cell and step by step."""
    outputs = []
    cells = []
    for layer in cast(nn.ModuleList, stack.layers):
        named = cast(nn.Module, layer.forward_layer).state_dict()
        weights = {name.removesuffix("_l0"): weight for name, weight in named.items()}
        made = CELLS[cell](weights["weight_ih"].shape[1], weights["weight_hh"].shape[1]).double()
        made.load_state_dict(weights)
        cells.append(made)
    states = [list(each) for each in states]
    for step in x:
        for made, state in zip(cells, states, strict=True):
            if cell == "lstm":
                state[:] = made(step, (state[0], state[1]))
            else:
                state[:] = [made(step, state[0])]
            step = state[0]
        outputs.append(step)
    return torch.stack(outputs), states


def attended(model: EncoderDecoderModel, score: str, query: Tensor, memory: Tensor) -> Tensor:
    """Query (H,) plus the result of its attention to the memory (T, H), written out."""
    attention = {name: weight.double() for name, weight in cast(nn.Module, model.output_attention).state_dict().items()}
    if score == "multihead":
        contexts = []
        q, k, v = (attention[f"attention.{name}.weight"] @ x for name, x in
                   (("query", query[:, None]), ("key", memory.T), ("value", memory.T)))  # fmt: skip
        for head in torch.arange(H).chunk(4):
            weights = (q[head].T @ k[head] / len(head) ** 0.5).softmax(-1)[0]
            contexts.append(v[head] @ weights)
        return query + attention["attention.output.weight"] @ torch.cat(contexts)
    if score == "additive":
        hidden = attention["attention.query.weight"] @ query + memory @ attention["attention.key.weight"].T
        scores = torch.tanh(hidden + attention["attention.key.bias"]) @ attention["attention.score.weight"][0]
    elif score == "general":
        scores = memory @ (attention["attention.query.weight"] @ query)
    else:
        scores = memory @ query
    return query + scores.softmax(0) @ memory


@pytest.mark.parametrize("score", [*SCORES, "none"])
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("num_future", [0, 2])
def test_equations(config: Compose, score: str, cell: str, num_future: int) -> None:
    """Two layers against a computation in float64, row by row and step by step."""
    built = build(
        config(f"model.attention.score={score}", f"model.cell={cell}", "model.num_layers=2"), spec_of(num_future)
    )
    model, batch = cast(EncoderDecoderModel, built.model), windows(num_future)
    with torch.no_grad():
        features = model(batch)[0]
        for row in range(B):
            zeros = [[torch.zeros(H).double()] * (2 if cell == "lstm" else 1) for _ in range(2)]
            embedding = cast(nn.Linear, model.embedding)
            vectors = batch.inputs[row].double() @ embedding.weight.double().T + embedding.bias.double()
            memory, last = run_cells(model.encoder, cell, vectors, zeros)
            places = model.position_embedding.double()
            if num_future:
                assert model.future_projection is not None
                known = (
                    batch.future[row].double() @ model.future_projection.weight.double().T
                    + model.future_projection.bias.double()
                )
                places = torch.cat([places, known], -1)
            decoded, _ = run_cells(model.decoder, cell, places, last)
            if score != "none":
                decoded = torch.stack([attended(model, score, query, memory) for query in decoded])
            torch.testing.assert_close(features[row].double(), decoded, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("channels", Channels)
def test_a_step_sees_the_future_up_to_itself(config: Compose, channels: Channels) -> None:
    built = build(config(f"model.window.channels={channels.value}", "model.window.norm=revin"), spec_of())
    batch = windows()
    with torch.no_grad():
        before = forecast(built, batch)
        batch.targets += 100
        assert torch.equal(forecast(built, batch), before)
        for step in range(S):
            changed = windows()
            changed.future[2, step] += 1
            after = forecast(built, changed)
            others = [row for row in range(B) if row != 2]
            torch.testing.assert_close(after[others], before[others])
            torch.testing.assert_close(after[2, :step], before[2, :step])
            moved = (after[2, step:] - before[2, step:]).abs()
            assert (moved.amax(-1) > 1e-6).all()  # not only the head but the model reads it: later steps change too


def test_independent_channels_are_each_variable_alone(config: Compose) -> None:
    options = config("model.window.channels=independent", "model.window.norm=subtract_last", "model.cell=lstm")
    built, batch = build(options, spec_of()), windows()
    single = build(options, spec_of(num_targets=1))
    single.model.load_state_dict(built.model.state_dict())
    single.head.load_state_dict(built.head.state_dict())
    with torch.no_grad():
        together = forecast(built, batch)
        for v in range(C):
            alone = windows()
            alone.inputs = torch.cat([batch.inputs[:, :, v : v + 1], batch.inputs[:, :, C:]], dim=-1)
            torch.testing.assert_close(forecast(single, alone), together[:, :, v : v + 1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("score", SCORES)
def test_recorded_weights(config: Compose, score: str) -> None:
    built = build(config(f"model.attention.score={score}", "model.window.channels=independent"), spec_of())
    head, batch = cast(ForecastHead, built.head), windows()
    encoded = head.encode(batch)
    encoded.lengths = encoded.lengths - 3  # the last steps of the lookback are masked
    with torch.no_grad(), recorded_weights(built.model) as weights:
        built.model(encoded)
    assert list(weights) == ["output_attention.attention"]
    (call,) = weights["output_attention.attention"]
    assert call.shape == (B * C, S, L) and (call[:, :, -3:] == 0).all()
    torch.testing.assert_close(call.sum(-1), torch.ones(B * C, S))


def test_bf16_stays_close(config: Compose) -> None:
    for cell in CELLS:
        if cell == "lstm" and not bf16_lstm():  # torch computes the decoder's single steps
            continue
        built, batch = build(config(f"model.cell={cell}"), spec_of()), windows()
        with torch.no_grad():
            exact = forecast(built, batch)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                rough = forecast(built, batch)
        torch.testing.assert_close(rough.float(), exact, atol=0.1, rtol=0.1)


def test_penalties_of_activations(config: Compose) -> None:
    options = ["model.activation_penalty=2", "model.change_penalty=1", "model.dropout=0"]
    built, batch = build(config(*options), spec_of()), windows()
    built.model.train()
    features, _ = built.model(batch)
    expected = 2 * features.square().mean() + (features[:, 1:] - features[:, :-1]).square().mean()
    torch.testing.assert_close(built.model.penalty, expected)


ERRORS = {
    "model.bidirectional=true": r"model\.bidirectional=True: must be false or null for this model",
    "model.pooling=mean": r"model\.pooling='mean': must be left out",
    "model.output_attention.score=dot": r"model\.output_attention\.score='dot': must be none .* model\.attention",
    "model.input_attention.score=dot": r"model\.input_attention\.score='dot': must be none",
    "model.attention.memory=inputs": r"model\.attention\.memory='inputs': must be left out",
    "model.attention.project=true": r"model\.attention\.project=True: must be false",
    "model.attention.score=multihead model.attention.num_heads=3": r"model\.attention\.num_heads=3: must divide 8",
    "task.strategy=recursive": r"task\.strategy=recursive: .*decodes all steps at once; use task\.strategy=direct",
}


@pytest.mark.parametrize("options", ERRORS)
def test_errors(config: Compose, options: str) -> None:
    with pytest.raises(ConfigError, match=ERRORS[options]):
        build(config(*options.split()), spec_of())


def test_only_series_are_forecast(composed: Compose) -> None:
    words = DataSpec(targets="class", vocab_size=50, pad_id=0, class_names=["a", "b"], class_counts=[5, 5])
    with pytest.raises(ConfigError, match="model=gru_seq2seq_attn: predicts the future only"):
        build_model(composed("model=gru_seq2seq_attn", "device=cpu"), words)
