"""What each kind of dropout drops together, and what it keeps."""

import warnings
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from seqtrain.layers import recurrence
from seqtrain.layers.cells import CellLayer, GRUCell
from seqtrain.layers.dropout import Dropout, LockedDropout, WordDropout, dropout_factors, dropped_recurrent_weights
from seqtrain.layers.initialisation import initialise
from seqtrain.layers.recurrence import RecurrentStack


def cell_layer(input_size: int, hidden_size: int) -> nn.Module:
    layer = CellLayer(GRUCell(input_size, hidden_size))
    initialise(layer, "uniform", 1.0, None)
    return layer


MAKES: dict[str, Callable[[int, int], nn.Module]] = {
    "lstm": partial(nn.LSTM, batch_first=True),
    "gru": partial(nn.GRU, batch_first=True),
    "rnn": partial(nn.RNN, batch_first=True),
    "cell": cell_layer,
}
D, H, B, T = 6, 8, 3, 9
LENGTHS = torch.full((B,), T)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_drops_numbers_independently(p: float) -> None:
    torch.manual_seed(0)
    x = torch.full((400, 1003), 2.0, requires_grad=True)  # not a multiple of four
    dropped = Dropout(p)(x)
    zero = dropped == 0
    assert zero.double().mean().item() == pytest.approx(p, abs=0.003)
    assert dropped.mean().item() == pytest.approx(2, rel=0.02)
    assert dropped[~zero].unique().item() == pytest.approx(2 / (1 - p), rel=1e-4)
    dropped.sum().backward()
    assert x.grad is not None and torch.equal(x.grad, dropped.detach() / 2)
    # Factors made from the bits of one draw, and those of neighbouring rows, are independent.
    for shifted in (zero[:, 1:], zero[:, 2:], zero[:, 3:], zero[1:]):
        first = zero[: shifted.shape[0], : shifted.shape[1]]
        both = (first & shifted).double().mean().item()
        assert both == pytest.approx(p * p, abs=0.004)


def test_dropout_follows_the_generator_and_rests_in_evaluation() -> None:
    x, drop = torch.randn(30, 50), Dropout(0.3)
    results = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        results.append(drop(x))
    assert torch.equal(results[0], results[1]) and not torch.equal(results[0], results[2])
    assert drop.eval()(x) is x and Dropout(0.0)(x) is x
    assert dropout_factors((0, 3), 0.5, x).shape == (0, 3)
    assert (dropout_factors((1000,), 1 - 1e-9, x) >= 0).all()
    assert drop.train()(x.bfloat16()).dtype is torch.bfloat16


def test_locked_dropout_drops_a_feature_of_a_row_at_all_steps() -> None:
    torch.manual_seed(0)
    x = torch.randn(5, 7, 200)
    dropout = LockedDropout(0.3)
    factors = dropout(x) / x
    torch.testing.assert_close(factors, factors[:, :1].expand_as(factors))
    for factor in factors.unique():
        assert factor == 0 or factor.item() == pytest.approx(1 / 0.7, rel=1e-5)
    assert 0.25 < (factors == 0).float().mean() < 0.35
    assert len(torch.unique(factors[:, 0] > 0, dim=0)) == 5  # each row has its own mask
    assert LockedDropout(0.0)(x) is x and dropout.eval()(x) is x


def test_word_dropout_drops_all_occurrences_of_a_word() -> None:
    torch.manual_seed(0)
    tokens = torch.randint(50, (8, 40))
    dropout = WordDropout(0.4)
    factors = dropout(torch.ones(8, 40, 3), tokens, 50)
    seen = set()
    for word in tokens.unique():
        (factor,) = factors[tokens == word].unique()
        seen.add(round(factor.item(), 3))
    assert seen == {0.0, round(1 / 0.6, 3)}
    vectors = torch.randn(8, 40, 3)
    assert WordDropout(0.0)(vectors, tokens, 50) is vectors
    assert dropout.eval()(vectors, tokens, 50) is vectors


def test_word_dropout_keeps_the_mean_and_gives_no_gradient_to_what_it_dropped() -> None:
    torch.manual_seed(0)
    tokens = torch.arange(20_000)[None]
    vectors = torch.ones(1, 20_000, 1, requires_grad=True)
    dropped = WordDropout(0.25)(vectors, tokens, 20_000)
    assert dropped.mean().item() == pytest.approx(1, abs=0.02)
    dropped.sum().backward()
    assert vectors.grad is not None and torch.equal(vectors.grad, dropped.detach())


@pytest.mark.parametrize("kind", MAKES)
def test_only_recurrent_matrices_are_dropped_and_all_lie_in_one_buffer(kind: str) -> None:
    torch.manual_seed(0)
    layer = MAKES[kind](D, H)
    weights = dropped_recurrent_weights(layer, 0.5)
    originals = dict(layer.named_parameters())
    assert list(weights) == list(originals)
    recurrent = [name for name in weights if "weight_hh" in name]
    assert len(recurrent) == 1
    for name, weight in weights.items():
        if name in recurrent:
            zero = weight == 0
            assert torch.equal(weight[~zero], 2 * originals[name][~zero]) and 0.3 < zero.float().mean() < 0.7
        else:
            assert torch.equal(weight, originals[name])
    offset = 0
    for weight in weights.values():
        assert weight.untyped_storage().data_ptr() == next(iter(weights.values())).untyped_storage().data_ptr()
        assert weight.storage_offset() == offset and weight.is_contiguous()
        offset += weight.numel()


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Tensor]]]:
    """The weights with which each direction was run; warnings are errors inside functional_call too."""
    seen: list[dict[str, Tensor]] = []

    def record(layer: nn.Module, p: float) -> dict[str, Tensor]:
        seen.append(dropped_recurrent_weights(layer, p))
        return seen[-1]

    monkeypatch.setattr(recurrence, "dropped_recurrent_weights", record)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield seen


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", MAKES)
def test_gradient_reaches_the_parameters_but_for_the_dropped_numbers(
    kind: str, bidirectional: bool, kept: list[dict[str, Tensor]]
) -> None:
    torch.manual_seed(0)
    stack = RecurrentStack(MAKES[kind], D, [H, H], bidirectional, weight_drop=0.5)
    plain = RecurrentStack(MAKES[kind], D, [H, H], bidirectional)
    assert stack.state_dict().keys() == plain.state_dict().keys()
    before = {name: weight.clone() for name, weight in stack.state_dict().items()}
    x = torch.randn(B, T, D)
    outputs, _ = stack(x, LENGTHS)
    outputs.square().sum().backward()
    layers: list[nn.Module] = []
    for part in stack.layers:
        layers += [part.forward_layer, part.backward_layer] if bidirectional else [part.forward_layer]  # type: ignore[list-item]
    assert len(kept) == len(layers)
    for layer, weights in zip(layers, kept, strict=True):
        for name, parameter in layer.named_parameters():
            assert parameter.is_leaf and parameter.grad is not None
            dropped = weights[name] == 0 if "weight_hh" in name else torch.zeros_like(parameter, dtype=torch.bool)
            assert (parameter.grad[dropped] == 0).all() and (parameter.grad[~dropped] != 0).all()
    for name, weight in stack.state_dict().items():
        assert torch.equal(weight, before[name])


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", MAKES)
def test_dropped_weights_are_used_in_training_and_the_whole_ones_in_evaluation(
    kind: str, bidirectional: bool, kept: list[dict[str, Tensor]]
) -> None:
    """In training the outputs equal those of a layer with the dropped weights; evaluation runs before and after."""
    torch.manual_seed(0)
    stack = RecurrentStack(MAKES[kind], D, [H], bidirectional, weight_drop=0.5)
    plain = RecurrentStack(MAKES[kind], D, [H], bidirectional)
    plain.load_state_dict(stack.state_dict())
    x = torch.randn(B, T, D)
    expected = plain(x, LENGTHS)[0]
    assert torch.equal(stack.eval()(x, LENGTHS)[0], expected)
    first, second = (stack.train()(x, LENGTHS)[0] for _ in range(2))
    assert not torch.allclose(first, second) and not torch.allclose(first, expected)
    assert torch.equal(stack.eval()(x, LENGTHS)[0], expected)
    directions = ("forward_layer", "backward_layer") if bidirectional else ("forward_layer",)
    dropped = {
        f"layers.0.{direction}.{name}": weight.detach()
        for direction, weights in zip(directions, kept, strict=False)
        for name, weight in weights.items()
    }
    plain.load_state_dict(dropped)
    torch.testing.assert_close(plain(x, LENGTHS)[0], first)


@pytest.mark.parametrize("kind", MAKES)
def test_pieces_between_restarts_have_the_same_weights(kind: str, kept: list[dict[str, Tensor]]) -> None:
    torch.manual_seed(0)
    stack = RecurrentStack(MAKES[kind], D, [H], bidirectional=False, weight_drop=0.5)
    piece = torch.randn(B, 3, D)
    x = piece.repeat(1, 3, 1)
    restarts = torch.zeros(B, T, dtype=torch.bool)
    restarts[:, [3, 6]] = True
    outputs, _ = stack(x, LENGTHS, restarts=restarts)
    assert len(kept) == 1
    for start in (3, 6):
        torch.testing.assert_close(outputs[:, start : start + 3], outputs[:, :3])
    outputs.sum().backward()
    for weight in stack.parameters():
        assert weight.grad is not None


def test_training_with_dropped_weights_updates_the_weights_that_evaluation_has() -> None:
    torch.manual_seed(0)
    stack = RecurrentStack(MAKES["lstm"], D, [H], bidirectional=False, weight_drop=0.5)
    plain = RecurrentStack(MAKES["lstm"], D, [H], bidirectional=False)
    x = torch.randn(B, T, D)
    optimizer = torch.optim.SGD(stack.parameters(), lr=0.1)
    for _ in range(3):
        with torch.inference_mode():
            stack.eval()(x, LENGTHS)
        optimizer.zero_grad()
        stack.train()(x, LENGTHS)[0].square().sum().backward()
        optimizer.step()
        plain.load_state_dict(stack.state_dict())
        assert torch.equal(stack.eval()(x, LENGTHS)[0], plain(x, LENGTHS)[0])
