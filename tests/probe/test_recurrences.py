"""The recomputed recurrence equals the layer, and its gates those of the definition."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from seqtrain.layers.cells import CandidateGRUCell, CellLayer, CoupledGRUCell, GRUCell
from seqtrain.layers.initialisation import initialise
from seqtrain.layers.masks import real_steps
from seqtrain.layers.recurrence import RecurrentStack
from seqtrain.probe.cells import CANDIDATE, KEEP, unit_of
from seqtrain.probe.recurrences import BACKWARD, recorded_recurrences, unroll

Make = Callable[[int, int], nn.Module]

CELLS: dict[str, Make] = {
    "rnn": lambda D, H: nn.RNN(D, H, batch_first=True),
    "relu": lambda D, H: nn.RNN(D, H, nonlinearity="relu", batch_first=True),
    "lstm": lambda D, H: nn.LSTM(D, H, batch_first=True),
    "gru": lambda D, H: nn.GRU(D, H, batch_first=True),
    "gru_before": lambda D, H: CellLayer(GRUCell(D, H)),
    "gru_candidate": lambda D, H: CellLayer(CandidateGRUCell(D, H)),
    "gru_coupled": lambda D, H: CellLayer(CoupledGRUCell(D, H)),
}
LENGTHS = torch.tensor([7, 3, 1, 7])


def layer(name: str, D: int = 4, H: int = 3) -> nn.Module:
    """A layer with all weights and both biases random, in fp64."""
    made = CELLS[name](D, H)
    initialise(made)
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.6)
    return made.double()


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_the_states_are_those_of_the_layers(name: str, bidirectional: bool) -> None:
    torch.manual_seed(0)
    stack = RecurrentStack(lambda D, H: layer(name, D, H), 4, [3, 3], bidirectional).double().eval()
    x = torch.randn(4, 7, 4, dtype=torch.double)
    with recorded_recurrences(nn.ModuleDict({"encoder": stack})) as directions:
        stack(x, LENGTHS)
    sides = ["", BACKWARD] if bidirectional else [""]
    assert [d.name for d in directions] == [f"encoder{number}{side}" for number in (1, 2) for side in sides]
    real = real_steps(LENGTHS, 7)
    for direction in directions:
        torch.testing.assert_close(unroll(direction).states[0][real], direction.own[real])


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", "gru_candidate"])
def test_states_are_carried_and_reset_as_in_the_layer(name: str) -> None:
    torch.manual_seed(0)
    stack = RecurrentStack(lambda D, H: layer(name, D, H), 4, [3], False).double().eval()
    x, full = torch.randn(2, 6, 4, dtype=torch.double), torch.full((2,), 6)
    restarts = torch.zeros(2, 6, dtype=torch.bool)
    restarts[1, 2] = restarts[0, 0] = True
    _, state = stack(x, full)
    with recorded_recurrences(stack) as directions:
        outputs, after = stack(x, full, state, restarts)
    unrolled = unroll(directions[0])
    torch.testing.assert_close(unrolled.states[0], outputs)
    assert len(directions[0].after) == len(unrolled.states)
    for own, part in zip(unrolled.states, directions[0].after, strict=True):
        torch.testing.assert_close(own[:, -1], part.view_as(own[:, -1]))


def test_only_the_first_call_is_recorded_and_the_hooks_are_removed() -> None:
    stack = RecurrentStack(CELLS["gru"], 4, [3], False)
    with recorded_recurrences(stack) as directions:
        for size in (5, 2):
            stack(torch.randn(1, size, 4), torch.tensor([size]))
    assert [d.inputs.shape[1] for d in directions] == [5]
    assert not any(module._forward_hooks for module in stack.modules())


def test_gates_of_an_lstm() -> None:
    torch.manual_seed(0)
    lstm = layer("lstm")
    assert isinstance(lstm, nn.LSTM)
    x, h, c = (torch.randn(5, size, dtype=torch.double) for size in (4, 3, 3))
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    W, U, *biases = (lstm.get_parameter(name) for name in names)
    stacked = x @ W.T + h @ U.T + biases[0] + biases[1]
    unit = unit_of(lstm)
    (after, cells), gates, _ = unit.step(unit.project(x), (h, c))
    i, f, g, o = stacked.split(3, 1)
    torch.testing.assert_close(gates[KEEP], f.sigmoid())
    torch.testing.assert_close(gates["input"], i.sigmoid())
    torch.testing.assert_close(gates["output"], o.sigmoid())
    torch.testing.assert_close(gates[CANDIDATE], g.tanh())
    expected = nn.LSTMCell(4, 3).double()
    expected.load_state_dict({name.removesuffix("_l0"): value for name, value in lstm.state_dict().items()})
    torch.testing.assert_close((after, cells), expected(x, (h, c)))
    torch.testing.assert_close(unit.matrix, U[6:9])


@pytest.mark.parametrize("name", ["gru", "gru_before", "gru_candidate", "gru_coupled"])
def test_the_keeping_gate_says_what_stays_of_the_state(name: str) -> None:
    """d h' / d h is the keeping gate where the candidate and the other gates do not depend on h."""
    unit = unit_of(layer(name))
    H = unit.hidden_size
    unit.weight_hh.data.zero_()
    state = tuple(torch.randn(5, H, dtype=torch.double) for _ in range(unit.parts))
    projected = unit.project(torch.randn(5, 4, dtype=torch.double))
    _, gates, _ = unit.step(projected, state)
    moved, _, _ = unit.step(projected, (state[0] + 1, *state[1:]))
    kept, _, _ = unit.step(projected, state)
    torch.testing.assert_close(moved[0] - kept[0], gates[KEEP])


def test_a_layer_of_another_kind_is_left_out() -> None:
    stack = RecurrentStack(lambda D, H: nn.Linear(D, H), 4, [3], False)
    with pytest.raises(TypeError, match="Linear"):
        unit_of(stack.layers[0].forward_layer)  # type: ignore[arg-type]
    with recorded_recurrences(stack) as directions:
        pass
    assert directions == []
