"""The fused kernels against torch's layers in float32 and float64, row by row without padding."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqtrain.kernels.binding import Cell, Weights
from seqtrain.kernels.recurrence import recurrence
from seqtrain.layers.cells import CellLayer, GRUCell

SHORT = [4, 1, 9, 9, 2, 6, 1, 3, 8, 5]  # of 12 steps: the last three are padding in all rows
TOLERANCE = 1e-5  # of the largest number


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads for the kernels only; torch itself uses one, which is faster on such small tensors."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)


def make_layer(cell: Cell, input_size: int, hidden_size: int) -> nn.Module:
    if cell is Cell.gru_before:
        layer = CellLayer(GRUCell(input_size, hidden_size))
        for parameter in layer.parameters():
            nn.init.uniform_(parameter, -(hidden_size**-0.5), hidden_size**-0.5)
        return layer
    if cell is Cell.gru_after:
        return nn.GRU(input_size, hidden_size, batch_first=True)
    if cell is Cell.lstm:
        return nn.LSTM(input_size, hidden_size, batch_first=True)
    return nn.RNN(input_size, hidden_size, nonlinearity=cell.name.removeprefix("rnn_"), batch_first=True)


def weights_of(layer: nn.Module) -> Weights:
    parameters: list[Any] = [*layer.parameters(), None, None]
    return Weights(*parameters[:4])


def run(
    cell: Cell, x: Tensor, weights: Weights, h0: Tensor | None = None, lengths: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Run one direction, with states (B, H), or (B, 2 H) for an LSTM."""
    outputs, h_n = recurrence(cell, x, [weights], None if h0 is None else h0[None], lengths, [False])
    return outputs, h_n[0]


def reference(
    layers: list[nn.Module], x: Tensor, h0: Tensor, lengths: Tensor, reverse: list[bool]
) -> tuple[Tensor, Tensor]:
    """Run each row's real steps separately, in each direction; an LSTM's h and c are concatenated."""
    outputs, states = [], []

    def run(layer: nn.Module, steps: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        if not isinstance(layer, nn.LSTM):
            return layer(steps[None], state[None] if isinstance(layer, CellLayer) else state[None, None])
        out, after = layer(steps[None], tuple(half.contiguous() for half in state[None, None].chunk(2, dim=-1)))
        return out, torch.cat(after, dim=-1)

    for layer, start, back in zip(layers, h0, reverse, strict=True):
        rows, ends = [], []
        for row, state, length in zip(x, start, lengths.tolist(), strict=True):
            if length == 0:
                rows.append(row.new_zeros(x.shape[1], layer.hidden_size))
                ends.append(state)
                continue
            steps = row[:length].flip(0) if back else row[:length]
            out, end = run(layer, steps, state)
            out = out[0].flip(0) if back else out[0]
            rows.append(nn.functional.pad(out, (0, 0, 0, x.shape[1] - length)))
            ends.append(end.flatten())
        outputs.append(torch.stack(rows))
        states.append(torch.stack(ends))
    return torch.cat(outputs, dim=-1), torch.stack(states)


def assert_close(found: Tensor | None, expected: Tensor | None, name: str, tolerance: float = TOLERANCE) -> None:
    assert found is not None and expected is not None, name
    assert found.shape == expected.shape, name
    error = (found.double() - expected.double()).abs().max() / expected.double().abs().max().clamp_min(1e-30)
    assert error <= tolerance, f"{name}: {error:.1e}"


def compare(
    cell: Cell, input_size: int, hidden_size: int, lengths: list[int], steps: int, reverse: list[bool], seed: int = 0
) -> None:
    """Compare outputs, final states and all gradients with the reference in float64 and in float32."""
    torch.manual_seed(seed)
    layers = [make_layer(cell, input_size, hidden_size) for _ in reverse]
    rows, real = len(lengths), torch.tensor(lengths)
    x = torch.randn(rows, steps, input_size)
    h0 = torch.randn(len(reverse), rows, cell.num_states * hidden_size)
    by_output, by_state = torch.randn(rows, steps, len(reverse) * hidden_size), torch.randn_like(h0)

    def gradients(outputs: Tensor, h_n: Tensor, inputs: list[Tensor]) -> list[Tensor]:
        total = (outputs * by_output.to(outputs)).sum() + (h_n * by_state.to(h_n)).sum()
        return list(torch.autograd.grad(total, inputs))

    results = {}
    for kind in (torch.float64, torch.float32):
        of_kind = [layer.to(kind) for layer in layers]
        inputs = [t.to(kind).requires_grad_() for t in (x, h0)]
        outputs, h_n = reference(of_kind, *inputs, real, reverse)  # type: ignore[call-arg, arg-type]
        parameters = [p for layer in of_kind for p in layer.parameters()]
        results[kind] = [outputs, h_n, *gradients(outputs, h_n, [*inputs, *parameters])]
    x.requires_grad_()
    h0.requires_grad_()
    outputs, h_n = recurrence(cell, x, [weights_of(layer) for layer in layers], h0, real, reverse)
    found = [outputs, h_n, *gradients(outputs, h_n, [x, h0, *parameters])]
    names = ["outputs", "h_n", "x", "h0", *(n for layer in layers for n, _ in layer.named_parameters())]
    for kind, expected in results.items():
        for name, a, b in zip(names, found, expected, strict=True):
            assert_close(a, b, f"{name} ({kind})")


@pytest.mark.parametrize("cell", Cell)
@pytest.mark.parametrize("hidden_size, input_size", [(1, 1), (7, 5), (33, 128), (100, 1), (48, 16)])
def test_sizes_and_unequal_lengths(cell: Cell, hidden_size: int, input_size: int) -> None:
    compare(cell, input_size, hidden_size, SHORT, 12, reverse=[False])
    compare(cell, input_size, hidden_size, SHORT, 12, reverse=[True])


@pytest.mark.parametrize("cell", Cell)
def test_a_large_layer(cell: Cell) -> None:
    compare(cell, 128, 650, [3, 5, 5, 1], 5, reverse=[False])


@pytest.mark.parametrize("cell", Cell)
def test_both_directions(cell: Cell, two_threads: None) -> None:
    """With few rows each direction has its own thread; with many rows a thread runs both directions in turn."""
    compare(cell, 5, 33, [4, 1, 7], 7, reverse=[False, True])
    compare(cell, 5, 20, [1 + i % 6 for i in range(37)], 7, reverse=[False, True])


@pytest.mark.parametrize("cell", Cell)
@pytest.mark.parametrize("lengths, steps", [([1], 1), ([5], 5), ([1, 1, 1], 4), ([0, 3, 0], 3), ([0, 0], 2)])
def test_extreme_lengths(cell: Cell, lengths: list[int], steps: int) -> None:
    if max(lengths):
        compare(cell, 3, 7, lengths, steps, reverse=[True])
        return
    x, h0 = torch.randn(2, 2, 3), torch.randn(1, 2, cell.num_states * 7)
    outputs, h_n = recurrence(cell, x, [weights_of(make_layer(cell, 3, 7))], h0, torch.tensor(lengths), [False])
    assert not outputs.any() and torch.equal(h_n, h0)


@pytest.mark.parametrize("cell", Cell)
@pytest.mark.filterwarnings("ignore:Input #:UserWarning")  # gradcheck expects float64, which the kernels do not have
def test_gradients_are_differences(cell: Cell) -> None:
    torch.manual_seed(0)
    layers, lengths = [make_layer(cell, 2, 3), make_layer(cell, 2, 3)], torch.tensor([3, 1])
    weights = [weights_of(layer) for layer in layers]

    def run(x: Tensor, h0: Tensor, *w_hh: Tensor) -> tuple[Tensor, Tensor]:
        own = [w._replace(w_hh=w_hh[i]) for i, w in enumerate(weights)]
        return recurrence(cell, x, own, h0, lengths)

    inputs = [torch.randn(2, 3, 2), torch.randn(2, 2, cell.num_states * 3), *(w.w_hh.detach().clone() for w in weights)]
    assert torch.autograd.gradcheck(run, [t.requires_grad_() for t in inputs], eps=2e-3, atol=2e-3, rtol=1e-2)


@pytest.mark.parametrize("cell", Cell)
def test_many_rows_and_many_steps(cell: Cell) -> None:
    """More rows than a block and more steps than a chunk."""
    compare(cell, 2, 5, [1 + i % 3 for i in range(150)], 3, reverse=[False])
    compare(cell, 3, 9, [300, 210, 299], 300, reverse=[True])


@pytest.mark.parametrize("cell", Cell)
def test_thread_counts_agree(cell: Cell, two_threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, lengths = make_layer(cell, 6, 40), torch.tensor([9, 3, 7, 7, 1, 8, 9, 2, 4] * 3)
    x = torch.randn(len(lengths), 9, 6, requires_grad=True)

    def run() -> list[Tensor]:
        outputs, h_n = recurrence(cell, x, [weights_of(layer)], None, lengths, [False])
        return [outputs, h_n, *torch.autograd.grad(outputs.square().sum() + h_n.sum(), [x, *layer.parameters()])]

    two = run()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    for i, (a, b) in enumerate(zip(run(), two, strict=True)):
        assert_close(a, b, str(i), 1e-6)


def test_rows_that_are_not_contiguous() -> None:
    layer = nn.GRU(6, 8, batch_first=True)
    weights = weights_of(layer)
    wide = torch.randn(5, 9, 14)
    turned = torch.randn(6, 9, 5).permute(2, 1, 0)
    for x in (wide[:, 2:7, 4:10], wide.transpose(0, 1)[..., :6], turned, torch.randn(1, 1, 6).expand(4, 3, 6)):
        found, expected = run(Cell.gru_after, x, weights), layer(x)
        assert_close(found[0], expected[0], "outputs")
        ours, torchs = (torch.autograd.grad(out[0].sum(), weights.w_hh)[0] for out in (found, expected))
        assert_close(ours, torchs, "weight_hh")
    transposed = torch.empty(8, 24).copy_(weights.w_hh.t()).t()
    outputs, _ = run(Cell.gru_after, wide[..., :6], weights._replace(w_hh=transposed))
    assert_close(outputs, layer(wide[..., :6])[0], "outputs")


def test_gradients_that_are_not_needed() -> None:
    layer = nn.RNN(4, 6, batch_first=True)
    weights = weights_of(layer)
    x = torch.randn(3, 5, 4)
    run(Cell.rnn_tanh, x, weights)[1].sum().backward()  # through the final state only, without a gradient of x
    found = [parameter.grad for parameter in layer.parameters()]
    layer.zero_grad()
    layer(x)[1].sum().backward()
    for parameter, grad in zip(layer.parameters(), found, strict=True):
        assert_close(grad, parameter.grad, "parameter")
    x.requires_grad_()
    fixed = Weights(*(weight.detach() for weight in weights))  # type: ignore[union-attr]
    (only_x,) = torch.autograd.grad(run(Cell.rnn_tanh, x, fixed)[0].square().sum(), x)
    assert_close(only_x, torch.autograd.grad(layer(x)[0].square().sum(), x)[0], "x")


LAYERS = {nn.GRU: Cell.gru_after, nn.LSTM: Cell.lstm, nn.RNN: Cell.rnn_tanh}


@pytest.mark.parametrize("kind", LAYERS)
def test_without_biases_and_without_gradients(kind: Any) -> None:
    layer, x = kind(4, 6, bias=False, batch_first=True), torch.randn(3, 5, 4)
    with torch.no_grad():
        outputs, after = run(LAYERS[kind], x, weights_of(layer))
    expected, state = layer(x)
    assert not outputs.requires_grad
    assert_close(outputs, expected, "outputs")
    assert_close(run(LAYERS[kind], x, weights_of(layer))[0], outputs, "with gradients")
    assert_close(after, (torch.cat(state, -1) if kind is nn.LSTM else state)[0], "state")


def test_the_state_of_an_lstm() -> None:
    layer, x = nn.LSTM(4, 6, batch_first=True), torch.randn(3, 5, 4)
    h, c = torch.randn(2, 3, 6).unbind()
    outputs, after = run(Cell.lstm, x, weights_of(layer), torch.cat([h, c], -1))
    expected, state = layer(x, (h[None], c[None]))
    assert_close(outputs, expected, "outputs")
    for name, found, wanted in zip("hc", after.chunk(2, -1), state, strict=True):
        assert_close(found, wanted[0], name)


@pytest.mark.parametrize("kind", LAYERS)
def test_saturated_and_non_finite_numbers(kind: Any) -> None:
    layer = kind(3, 5, batch_first=True)
    x = torch.randn(2, 4, 3) * torch.tensor([[[1e3]], [[1e30]]])
    x.requires_grad_()
    outputs = run(LAYERS[kind], x, weights_of(layer))[0]
    assert_close(outputs, layer(x)[0], "outputs")
    assert torch.isfinite(torch.autograd.grad(outputs.sum(), x)[0]).all()
    x = torch.randn(2, 4, 3)
    x[0, 1, 0] = torch.nan
    outputs, after = run(LAYERS[kind], x, weights_of(layer))
    assert after[0].isnan().all() and after[1].isfinite().all()
    assert outputs[0, 1:].isnan().all()
    assert outputs[0, 0].isfinite().all() and outputs[1].isfinite().all()


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("hidden_size", [5, 33])
def test_an_infinite_input_stays_where_it_is(kind: Any, hidden_size: int) -> None:
    """Padding units of a vector have zero weights, and infinity times zero is NaN."""
    torch.manual_seed(0)
    layer = kind(3, hidden_size, batch_first=True)
    x = torch.randn(2, 6, 3)
    x[0, 1, 0] = torch.inf
    outputs, expected = run(LAYERS[kind], x, weights_of(layer))[0], layer(x)[0]
    assert expected.isfinite().all()
    assert_close(outputs, expected, "outputs")
    ours, torchs = (torch.autograd.grad(out.sum(), layer.weight_hh_l0)[0] for out in (outputs, expected))
    assert torchs.isfinite().all()
    assert_close(ours, torchs, "weight_hh")


def test_wrong_shapes_and_dtypes_are_refused() -> None:
    layer = nn.GRU(3, 5, batch_first=True)
    x, weights = torch.randn(2, 4, 3), weights_of(layer)
    with pytest.raises(ValueError, match="w_ih: must have the shape"):
        run(Cell.gru_after, x[..., :2], weights)
    with pytest.raises(ValueError, match="x: must be float32 on the CPU, got torch.float64"):
        run(Cell.gru_after, x.double(), weights)
    with pytest.raises(ValueError, match="lengths: must be 2 numbers from 0 to 4"):
        run(Cell.gru_after, x, weights, lengths=torch.tensor([5, 1]))
    with pytest.raises(ValueError, match="h0: must have the shape"):
        run(Cell.gru_after, x, weights, h0=torch.zeros(3, 5))
