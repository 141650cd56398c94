from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seqtrain.layers.dropout import LockedDropout
from seqtrain.layers.masks import real_steps
from seqtrain.layers.recurrence import RecurrentLayer, RecurrentStack, reversal_index
from seqtrain.layers.restarts import MoveSteps

LAYERS: dict[str, Callable[..., nn.Module]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
GRU = partial(nn.GRU, batch_first=True)
LENGTHS = torch.tensor([7, 1, 4, 7, 2])


def padded(size: int, fill: float = 0.0) -> Tensor:
    x = torch.randn(len(LENGTHS), 7, size)
    return torch.where(real_steps(LENGTHS, 7)[..., None], x, torch.full_like(x, fill))


def test_reversal_is_its_own_inverse_and_leaves_padding() -> None:
    index = reversal_index(LENGTHS, 7)
    steps = torch.arange(5 * 7).view(5, 7, 1).float()
    turned = MoveSteps.apply(steps, index, index)
    assert turned[2, :, 0].tolist() == [17, 16, 15, 14, 18, 19, 20]
    assert turned[1, :, 0].tolist() == list(range(7, 14))
    torch.testing.assert_close(MoveSteps.apply(turned, index, index), steps)


@pytest.mark.parametrize("cell", LAYERS)
def test_bidirectional_equals_torch_on_packed_input(cell: str) -> None:
    """Outputs on real steps, and gradients of inputs and parameters; padding does not matter."""
    layer = RecurrentLayer(partial(LAYERS[cell], batch_first=True), 6, 5, bidirectional=True)
    reference = LAYERS[cell](6, 5, batch_first=True, bidirectional=True)
    assert layer.backward_layer is not None
    forward, backward = dict(layer.forward_layer.named_parameters()), dict(layer.backward_layer.named_parameters())
    with torch.no_grad():
        for name, parameter in reference.named_parameters():
            source = backward[name.removesuffix("_reverse")] if name.endswith("_reverse") else forward[name]
            parameter.copy_(source)
    x = padded(6, fill=3.0).requires_grad_()
    y = x.detach().clone().requires_grad_()
    weight = torch.randn(5, 7, 10) * real_steps(LENGTHS, 7)[..., None]

    outputs, state = layer(x, LENGTHS)
    packed = pack_padded_sequence(y, LENGTHS, batch_first=True, enforce_sorted=False)
    expected, _ = pad_packed_sequence(reference(packed)[0], batch_first=True)
    assert state is None
    torch.testing.assert_close(outputs * (weight != 0), expected * (weight != 0), atol=1e-5, rtol=1e-5)
    (outputs * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(x.grad, y.grad, atol=1e-5, rtol=1e-5)
    for name, parameter in reference.named_parameters():
        own = backward[name.removesuffix("_reverse")] if name.endswith("_reverse") else forward[name]
        torch.testing.assert_close(own.grad, parameter.grad, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("cell", LAYERS)
def test_split_with_carried_state_equals_whole(cell: str) -> None:
    stack = RecurrentStack(partial(LAYERS[cell], batch_first=True), 6, [5, 4], bidirectional=False)
    x, lengths = torch.randn(3, 9, 6), torch.full((3,), 9)
    whole, end = stack(x, lengths)
    first, state = stack(x[:, :4], lengths - 5)
    second, state = stack(x[:, 4:], lengths - 4, state)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole)
    for carried, expected in zip(state, end, strict=True):
        torch.testing.assert_close(carried, expected)


def test_dropout_stands_between_layers_only() -> None:
    lengths = torch.full((2,), 5)
    x = torch.randn(2, 5, 6)
    single = RecurrentStack(GRU, 6, [4], bidirectional=False, dropout=0.9)
    torch.testing.assert_close(single.train()(x, lengths)[0], single.eval()(x, lengths)[0])
    double = RecurrentStack(GRU, 6, [4, 4], bidirectional=False, dropout=0.9)
    assert not torch.allclose(double.train()(x, lengths)[0], double.eval()(x, lengths)[0])


def test_locked_dropout_has_one_mask_for_all_steps() -> None:
    torch.manual_seed(0)
    dropout = LockedDropout(0.5)
    x = torch.ones(4, 7, 50)
    dropped = dropout(x)
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert 0.3 < (dropped == 0).float().mean() < 0.7
    assert not torch.equal(dropped[0], dropped[1])
    assert torch.equal(dropout.eval()(x), x)


def test_layer_norm_and_residual() -> None:
    x, lengths = torch.randn(2, 5, 4), torch.full((2,), 5)
    normed = RecurrentStack(GRU, 4, [4], bidirectional=False, layer_norm=True)
    torch.testing.assert_close(normed(x, lengths)[0].mean(-1), torch.zeros(2, 5), atol=1e-6, rtol=0)
    stack = RecurrentStack(GRU, 4, [4, 4, 3], bidirectional=False, residual=True)
    first, second, third = stack.layers
    h = first(x, lengths)[0]  # the first layer has no residual connection
    h = h + second(h, lengths)[0]
    torch.testing.assert_close(stack(x, lengths)[0], third(h, lengths)[0])  # nor has a layer that changes the size
