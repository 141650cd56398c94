from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from seqtrain.layers import recurrence
from seqtrain.layers.recurrence import RecurrentLayer
from seqtrain.layers.restarts import MoveSteps, Pieces, Restarts

B, T = 3, 6
LENGTHS = torch.tensor([6, 6, 4])
MASK = torch.zeros(B, T, dtype=torch.bool)
MASK[0, [0, 2, 3]] = MASK[2, [3, 5]] = True


def test_the_pieces_between_restarts() -> None:
    pieces = Pieces.of(MASK, LENGTHS)
    assert pieces.rows.tolist() == [0, 0, 0, 1, 2, 2, 2] and pieces.last.tolist() == [2, 3, 6]
    assert pieces.lengths.tolist() == [2, 1, 3, 6, 3, 1, 0]  # the last row has two steps of padding
    assert pieces.fresh.tolist() == [True, True, True, False, False, True, True]
    steps = torch.arange(B * T).view(B, T, 1).float()
    cut = pieces.cut(steps)
    assert [row[:length, 0].tolist() for row, length in zip(cut, pieces.lengths.tolist(), strict=True)] == [
        [0, 1], [2], [3, 4, 5], [6, 7, 8, 9, 10, 11], [12, 13, 14], [15], []]  # fmt: skip
    torch.testing.assert_close(pieces.joined(cut), steps)
    state = torch.arange(1.0, 4.0).view(1, B, 1)
    assert pieces.before((state, state))[1].flatten().tolist() == [0, 0, 0, 2, 3, 0, 0]
    assert pieces.after([torch.arange(7.0).view(7, 1)])[0].flatten().tolist() == [2, 3, 6]
    assert pieces.before(None) is None


def test_the_gradient_of_moved_steps_is_a_gather() -> None:
    x = torch.randn(B, T, 2, dtype=torch.double, requires_grad=True)
    pieces = Pieces.of(MASK, torch.full((B,), T))
    real = (torch.arange(pieces.steps.shape[1]) < pieces.lengths[:, None])[..., None]
    assert torch.autograd.gradcheck(lambda x: MoveSteps.apply(x, pieces.steps, pieces.places) * real, x)


def test_only_restarts_within_the_batch_cut_it() -> None:
    first = torch.zeros(B, T, dtype=torch.bool)
    assert not Restarts(first, LENGTHS).within
    first[:2, 0] = True
    assert not Restarts(first, LENGTHS).within and Restarts(MASK, LENGTHS).within


@pytest.mark.parametrize("make", [nn.GRU, nn.LSTM, nn.RNN])
def test_the_fused_kernels_run_all_pieces_at_once(make: type[nn.RNNBase], monkeypatch: pytest.MonkeyPatch) -> None:
    """Outputs, state and all gradients equal those of torch's layer, which runs the steps between restarts in turn."""
    layer = RecurrentLayer(partial(make, batch_first=True), 4, 5, bidirectional=False, kernel="fused")
    if not recurrence.can_fuse(layer.forward_layer, torch.zeros(B, T, 4), "fused"):
        pytest.skip("no compiler")
    mask = MASK.clone()
    mask[2] = False
    mask[2, [1, 2]] = True
    calls = []
    fused = recurrence.run_fused

    def counted(*args: Any) -> Any:
        calls.append(1)
        return fused(*args)

    monkeypatch.setattr(recurrence, "run_fused", counted)
    x, state = torch.randn(B, T, 4), torch.randn(1, B, 5)
    results = []
    for kernel in ("fused", "torch"):
        layer.kernel = kernel
        layer.zero_grad()
        inputs, before = x.clone().requires_grad_(), state.clone().requires_grad_()
        lengths = torch.full((B,), T)
        outputs, after = layer(
            inputs, lengths, (before, before) if make is nn.LSTM else before, Restarts(mask, lengths)
        )
        states = after if make is nn.LSTM else (after,)
        (outputs.square().sum() + sum(part.cos().sum() for part in states)).backward()
        results.append(
            [outputs, *states, inputs.grad, before.grad, *(parameter.grad.clone() for parameter in layer.parameters())]  # type: ignore[union-attr]
        )
    assert len(calls) == 1
    torch.testing.assert_close(*results, atol=1e-5, rtol=1e-4)
