"""The fused kernels in place of torch's layers: the model computes the same either way."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from seqtrain.kernels import compile as compiling
from seqtrain.layers import fused
from seqtrain.layers.cells import CandidateGRUCell, CellLayer, GRUCell
from seqtrain.layers.fused import can_fuse
from seqtrain.layers.initialisation import initialise
from seqtrain.layers.masks import real_steps
from seqtrain.layers.memory import map_tensors
from seqtrain.layers.recurrence import RecurrentStack

LENGTHS = torch.tensor([7, 1, 4, 7, 2])


def cell_layer(input_size: int, hidden_size: int) -> nn.Module:
    layer = CellLayer(GRUCell(input_size, hidden_size))
    initialise(layer)
    return layer


MAKES: dict[str, Callable[[int, int], nn.Module]] = {
    "gru": partial(nn.GRU, batch_first=True),
    "gru_before": cell_layer,
    "lstm": partial(nn.LSTM, batch_first=True),
    "rnn": partial(nn.RNN, batch_first=True),
    "rnn_relu": partial(nn.RNN, batch_first=True, nonlinearity="relu"),
    "rnn_without_bias": partial(nn.RNN, batch_first=True, bias=False),
}


def pair(kind: str, bidirectional: bool, weight_drop: float = 0.0) -> tuple[RecurrentStack, RecurrentStack]:
    """A stack on the fused kernels, and its copy on torch's layers."""
    torch.manual_seed(0)
    ours, torchs = (
        RecurrentStack(MAKES[kind], 6, [5, 4], bidirectional, weight_drop=weight_drop, kernel=kernel)
        for kernel in ("auto", "torch")
    )
    torchs.load_state_dict(ours.state_dict())
    return ours, torchs


def assert_same_gradients(ours: RecurrentStack, torchs: RecurrentStack, x: Tensor, y: Tensor) -> None:
    torch.testing.assert_close(x.grad, y.grad, atol=1e-5, rtol=1e-5)
    for (name, a), b in zip(ours.named_parameters(), torchs.parameters(), strict=True):
        assert a.grad is not None and a.grad.abs().sum() > 0, name
        torch.testing.assert_close(a.grad, b.grad, atol=1e-5, rtol=1e-5, msg=name)


@pytest.mark.parametrize("weight_drop", [0.0, 0.4])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", MAKES)
def test_outputs_and_gradients(kind: str, bidirectional: bool, weight_drop: float) -> None:
    ours, torchs = pair(kind, bidirectional, weight_drop)
    mask = real_steps(LENGTHS, 7)[..., None]
    x = torch.randn(5, 7, 6).requires_grad_()
    y = x.detach().clone().requires_grad_()
    weight = torch.randn(5, 7, ours.output_size)
    assert can_fuse(ours.layers[0].forward_layer, x, "auto")  # type: ignore[arg-type]
    results = []
    for stack, inputs in ((ours, x), (torchs, y)):
        torch.manual_seed(1)  # so that the same weights are dropped
        outputs = stack(inputs, LENGTHS)[0] * mask
        (outputs * weight).sum().backward()
        results.append(outputs)
    torch.testing.assert_close(*results, atol=1e-5, rtol=1e-5)
    assert_same_gradients(ours, torchs, x, y)


@pytest.mark.parametrize("kind", MAKES)
def test_restarts_and_carried_states(kind: str) -> None:
    ours, torchs = pair(kind, bidirectional=False)
    restarts = torch.zeros(4, 9, dtype=torch.bool)
    restarts[0, 3] = restarts[1, 0] = restarts[2, 3] = restarts[2, 8] = True
    x = torch.randn(4, 18, 6).requires_grad_()
    y = x.detach().clone().requires_grad_()
    lengths = torch.full((4,), 9)
    assert can_fuse(ours.layers[0].forward_layer, x[:, :9], "auto")  # type: ignore[arg-type]
    results = []
    for stack, inputs in ((ours, x), (torchs, y)):
        first, state = stack(inputs[:, :9], lengths, None, restarts)
        second, state = stack(inputs[:, 9:], lengths, state)
        torch.cat([first, second]).square().sum().backward()
        results.append([first, second, *[part for layer in state for part in layer]])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
    assert_same_gradients(ours, torchs, x, y)


def test_the_state_is_that_of_the_last_real_step() -> None:
    ours, _ = pair("gru", bidirectional=False)
    x = torch.randn(5, 7, 6)
    outputs, (_, state) = ours(x, LENGTHS)
    torch.testing.assert_close(state[0], outputs[torch.arange(5), LENGTHS - 1])
    assert not outputs[~real_steps(LENGTHS, 7)].any()


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", sorted(MAKES))
def test_under_autocast_the_recurrence_stays_in_fp32(
    kind: str, bidirectional: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused, "bf16_lstm", lambda: False)
    ours, _ = pair(kind, bidirectional)
    half = torch.randn(5, 7, 6).bfloat16()  # what a preceding linear layer returns under autocast
    x, y = half.clone().requires_grad_(), half.float().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs, after = ours(x, LENGTHS)
        state = None if bidirectional else [map_tensors(h, Tensor.bfloat16) for h in after]
        again, _ = ours(x, LENGTHS, state)
    expected, _ = ours(y, LENGTHS)
    assert outputs.dtype is again.dtype is torch.float32
    assert torch.equal(outputs, expected)
    assert torch.equal(
        again, ours(y, LENGTHS, None if state is None else [map_tensors(h, Tensor.float) for h in state])[0]
    )
    for total in (outputs.square().sum(), expected.square().sum()):
        total.backward()
    assert x.grad is not None and y.grad is not None
    torch.testing.assert_close(x.grad, y.grad.bfloat16(), atol=1e-2, rtol=1e-2)


def test_where_it_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    gru, lstm, x = MAKES["gru"](6, 5), MAKES["lstm"](6, 5), torch.randn(4, 9, 6)
    assert can_fuse(gru, x, "auto") and can_fuse(lstm, x, "auto")
    assert not can_fuse(gru, x, "torch")
    assert not can_fuse(gru, x[:, :7], "auto") and can_fuse(gru, x[:, :7], "fused")
    assert not can_fuse(gru, x.double(), "fused")
    assert not can_fuse(nn.LSTM(6, 5, proj_size=2), x, "fused")
    assert not can_fuse(CellLayer(CandidateGRUCell(6, 5)), x, "fused")
    for has_one in (True, False):
        monkeypatch.setattr(fused, "bf16_lstm", lambda found=has_one: found)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert can_fuse(gru, x, "auto") and can_fuse(lstm, x, "fused")
            assert can_fuse(lstm, x, "auto") is not has_one
    monkeypatch.setattr(fused, "library", lambda unit: None)
    assert not can_fuse(gru, x, "fused")


def forget() -> None:
    for function in (compiling.library, compiling.build, compiling.warn_once):
        function.cache_clear()


def test_without_a_compiler_torch_computes(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    ours, torchs = pair("gru", bidirectional=True)
    x = torch.randn(5, 7, 6)
    monkeypatch.setattr(compiling, "compilers", list)
    forget()
    try:
        assert torch.equal(ours(x, LENGTHS)[0], torchs(x, LENGTHS)[0])
        ours(x, LENGTHS)
    finally:
        forget()
    assert len(caplog.records) == 1 and "no C++ compiler" in caplog.text
