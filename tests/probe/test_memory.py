"""Gradients by lag against central differences in fp64, and the memory of networks where it is known."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seqtrain.commands.build import Built
from seqtrain.data.base import Batch
from seqtrain.data.series.batch import ForecastBatch
from seqtrain.data.spec import DataSpec
from seqtrain.layers.recurrence import RecurrentLayer, RecurrentStack
from seqtrain.probe.memory import by_lag, effective_memory, growth, state_gradients
from seqtrain.probe.passes import probe_pass
from seqtrain.probe.recurrences import recorded_recurrences, unroll
from seqtrain.tasks.classification import task
from seqtrain.tasks.classification.weights import class_weights
from tests.probe.networks import LABELS, SPEC, Compose, network, tokens

LENGTHS = [4, 2]
FORECAST = DataSpec(
    targets="future",
    num_features=1,
    lookback=4,
    horizon=3,
    num_targets=1,
    num_future=0,
    naive_errors=[[[1.0]], [[1.0]]],
)


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks compute their losses in fp32; here it is fp64."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    monkeypatch.setattr(task, "class_weights", lambda *of: class_weights(*of).double())


class Moved(nn.Module):
    """A recurrent layer with something added to h after one step of its first call."""

    def __init__(self, layer: nn.Module, step: int, added: Tensor):
        super().__init__()
        self.layer, self.step, self.added, self.calls = layer, step, added, 0

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        self.calls += 1
        if self.calls > 1:
            result: tuple[Tensor, Any] = self.layer(x, state)
            return result
        outputs, state = self.layer(x[:, : self.step + 1], state)
        outputs = torch.cat([outputs[:, :-1], outputs[:, -1:] + self.added[:, None]], 1)
        tuples = isinstance(state, tuple)
        state = (state[0] + self.added, *state[1:]) if tuples else state + self.added
        if self.step + 1 == x.shape[1]:
            return outputs, state
        rest, state = self.layer(x[:, self.step + 1 :], state)
        return torch.cat([outputs, rest], 1), state


def differences(built: Built, batch: Batch, layer: RecurrentLayer, side: str, hidden_size: int) -> Tensor:
    """Central differences of the loss of the last prediction by each h_t of one direction, (B, T, H)."""
    inner = getattr(layer, side)
    B, T = batch.inputs.shape[:2]
    gradient = torch.zeros(B, T, hidden_size, dtype=torch.double)
    for row, step, unit in np.ndindex(*gradient.shape):
        losses = []
        for sign in (1, -1):
            added = torch.zeros(B, hidden_size, dtype=torch.double)
            added[row, unit] = sign * 1e-5
            setattr(layer, side, Moved(inner, step, added))
            features, _ = built.task.features(built.model, built.head, batch, None)
            losses.append(built.task.last_loss(built.head, features, batch).item())
        gradient[row, step, unit] = (losses[0] - losses[1]) / 2e-5
    setattr(layer, side, inner)
    return gradient


@pytest.mark.parametrize(
    "model, spec",
    [
        ("model=gru", SPEC),
        ("model=lstm model.num_layers=2", SPEC),
        ("model=rnn model.pooling=mean", SPEC),
        ("model=gru model.reset_after=false", SPEC),
        ("model=gru_candidate", SPEC),
        ("model=gru_attn", SPEC),
        ("model=lstm task=sequence_labelling", LABELS),
    ],
    ids=str,
)
@pytest.mark.usefixtures("exact")
@torch.no_grad()
def test_gradients_of_states_equal_central_differences(composed: Compose, model: str, spec: DataSpec) -> None:
    built = network(composed, *model.split(), spec=spec)
    labels = torch.arange(8).view(2, 4) % 3 if spec is LABELS else None
    batch = tokens(LENGTHS, labels)
    found = probe_pass(built.task, built.model, built.head, batch)
    encoder = built.model.get_submodule("encoder")
    assert isinstance(encoder, RecurrentStack)
    assert len(found.directions) == 2 * len(encoder.layers)
    for number, direction in enumerate(found.directions):
        if number >= 2:
            break  # of several layers, the first depends on all
        gradients = state_gradients(direction, unroll(direction), found.direct[number], found.after[number])
        layer = encoder.layers[0]
        assert isinstance(layer, RecurrentLayer)
        expected = differences(built, batch, layer, ("forward_layer", "backward_layer")[number], 3).norm(dim=-1)
        np.testing.assert_allclose(gradients.total, expected, rtol=1e-5, atol=1e-8)
    assert all(p.grad is None for p in built.model.parameters())


@pytest.mark.parametrize(
    "model",
    [
        "model=gru_seq2seq_attn model.reset_after=false",
        "model=lstm_seq2seq",
        "model=lstm task.strategy=recursive model.bidirectional=null",
        "model=gru model.bidirectional=false",
    ],
)
@pytest.mark.usefixtures("exact")
@torch.no_grad()
def test_gradients_of_states_that_are_handed_on(composed: Compose, model: str) -> None:
    """The decoder of a forecaster, and its own next steps, start from the last state of the window."""
    data = ["data=sine", "data.lookback=4", "data.horizon=3"]
    built = network(composed, *model.split(), *data, spec=FORECAST)
    built.model.double()
    generator = torch.Generator().manual_seed(0)
    batch = ForecastBatch(
        inputs=torch.randn(2, 4, 1, generator=generator, dtype=torch.double),
        targets=torch.randn(2, 3, 1, generator=generator, dtype=torch.double),
        lengths=torch.full((2,), 4),
        rows=np.arange(2),
        num_tokens=8,
        future=torch.zeros(2, 3, 0, dtype=torch.double),
        observed=None,
        series=torch.zeros(2, dtype=torch.long),
        first_step=torch.zeros(2, dtype=torch.long),
        centre=np.zeros((2, 1)),
        scale=np.ones((2, 1)),
    )
    found = probe_pass(built.task, built.model, built.head, batch)
    encoder = built.model.get_submodule("encoder")
    assert isinstance(encoder, RecurrentStack)
    layer = encoder.layers[0]
    assert isinstance(layer, RecurrentLayer)
    gradients = state_gradients(found.directions[0], unroll(found.directions[0]), found.direct[0], found.after[0])
    expected = differences(built, batch, layer, "forward_layer", 3).norm(dim=-1)
    assert expected.min() > 0
    np.testing.assert_allclose(gradients.total, expected, rtol=2e-5, atol=1e-7)


def scaled(factor: float, size: int = 3) -> RecurrentStack:
    """A linear recurrence h' = factor * h + x."""
    stack = RecurrentStack(
        lambda D, H: nn.RNN(D, H, nonlinearity="relu", batch_first=True), size, [size], False
    ).double()
    weights = stack.layers[0].forward_layer
    assert isinstance(weights, nn.RNN)
    with torch.no_grad():
        for parameter in weights.parameters():
            parameter.zero_()
        weights.get_parameter("weight_ih_l0").copy_(torch.eye(size, dtype=torch.double))
        weights.get_parameter("weight_hh_l0").copy_(factor * torch.eye(size, dtype=torch.double))
    return stack


@pytest.mark.parametrize("factor, memory", [(0.5, 7), (0.2, 3), (0.0, 1), (1.1, 20)])
def test_the_memory_of_a_known_recurrence(factor: float, memory: int) -> None:
    """0.5 ** 7 and 0.2 ** 3 are the first powers below 1 %."""
    stack = scaled(factor)
    with recorded_recurrences(stack) as directions:
        stack(torch.ones(2, 20, 3, dtype=torch.double), torch.tensor([20, 12]))
    direct = torch.zeros(2, 20, 3, dtype=torch.double)
    direct[0, 19] = direct[1, 11] = 1
    unrolled = unroll(directions[0])
    gradients = state_gradients(directions[0], unrolled, direct, ())
    np.testing.assert_allclose(gradients.total, gradients.carried)
    curve = by_lag(gradients.carried, directions[0].lengths)
    np.testing.assert_allclose(curve, math.sqrt(3) * factor ** np.arange(20.0), atol=1e-15)
    assert effective_memory(curve) == memory
    assert unrolled.gates == {}
    if factor:
        assert growth(curve) == pytest.approx(math.log(factor))
    else:
        assert math.isnan(growth(curve))


def test_what_only_the_recurrence_carries() -> None:
    """With mean pooling the loss reads every state, and a recurrence that forgets at once does not show in it."""
    stack = scaled(0.0)
    with recorded_recurrences(stack) as directions:
        stack(torch.ones(1, 10, 3, dtype=torch.double), torch.tensor([10]))
    gradients = state_gradients(directions[0], unroll(directions[0]), torch.ones(1, 10, 3, dtype=torch.double), ())
    assert effective_memory(by_lag(gradients.total, torch.tensor([10]))) == 10
    assert effective_memory(by_lag(gradients.carried, torch.tensor([10]))) == 1


def test_the_state_that_is_handed_on_counts() -> None:
    stack = scaled(0.5)
    with recorded_recurrences(stack) as directions:
        stack(torch.ones(1, 4, 3, dtype=torch.double), torch.tensor([4]))
    after = (torch.ones(1, 3, dtype=torch.double),)
    gradients = state_gradients(directions[0], unroll(directions[0]), torch.zeros(1, 4, 3, dtype=torch.double), after)
    curve = math.sqrt(3) * np.array([0.125, 0.25, 0.5, 1])
    np.testing.assert_allclose(gradients.total[0], curve)
    np.testing.assert_allclose(gradients.carried[0], curve)


def test_no_gradient_passes_a_restart() -> None:
    stack = scaled(0.5)
    restarts = torch.zeros(2, 6, dtype=torch.bool)
    restarts[1, 3] = True
    with recorded_recurrences(stack) as directions:
        stack(torch.ones(2, 6, 3, dtype=torch.double), torch.tensor([6, 6]), None, restarts)
    direct = torch.zeros(2, 6, 3, dtype=torch.double)
    direct[:, 5, 0] = 1
    gradients = state_gradients(directions[0], unroll(directions[0]), direct, ())
    np.testing.assert_allclose(gradients.carried[0], 0.5 ** np.arange(5.0, -1, -1))
    np.testing.assert_allclose(gradients.carried[1], [0, 0, 0, 0.25, 0.5, 1])


def test_lags_count_from_the_last_real_step() -> None:
    norms = torch.tensor([[1.0, 2.0, 3.0, 9.0], [4.0, 5.0, 6.0, 7.0]])
    assert by_lag(norms, torch.tensor([3, 2])).tolist() == [(3 + 5) / 2, (2 + 4) / 2, 1]


@pytest.mark.parametrize(
    "curve, memory",
    [([], 0), ([0, 0], 0), ([1], 1), ([1, 0.5, 0.009], 2), ([1, 0.001, 0.02], 3), ([0.5, 100, 0.9, 0.9], 2)],
)
def test_effective_memory(curve: list[float], memory: int) -> None:
    assert effective_memory(np.array(curve, float)) == memory


def test_growth_ends_where_the_gradient_is_gone() -> None:
    assert growth(np.array([1, 0.5, 0.25, 0, 0])) == pytest.approx(math.log(0.5))
    assert math.isnan(growth(np.array([0.0, 1])))
    assert math.isnan(growth(np.array([1.0])))


@pytest.mark.usefixtures("exact")
def test_gradients_of_inputs_equal_central_differences(composed: Compose) -> None:
    for model in ("model=gru_attn", "model=self_attn"):
        built = network(composed, model)
        batch = tokens(LENGTHS)
        found = probe_pass(built.task, built.model, built.head, batch)
        embedding = built.model.get_submodule("embedding")
        vectors = embedding(batch.inputs).detach()

        def loss(moved: Tensor, built: Built = built, embedding: nn.Module = embedding, batch: Batch = batch) -> float:
            handle = embedding.register_forward_hook(lambda *_: moved)
            features, _ = built.model(batch)
            handle.remove()
            return built.task.loss(built.head, features, batch).item()

        expected = torch.zeros_like(vectors)
        with torch.no_grad():
            for index in np.ndindex(*vectors.shape):
                step = torch.zeros_like(vectors)
                step[index] = 1e-5
                expected[index] = (loss(vectors + step) - loss(vectors - step)) / 2e-5
        assert found.inputs is not None
        torch.testing.assert_close(found.inputs, expected, rtol=1e-5, atol=1e-8)
