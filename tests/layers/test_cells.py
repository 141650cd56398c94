"""Every cell against its equation in float64, forward pass and gradients, and against torch's layers."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seqtrain.layers.cells import CandidateGRUCell, Cell, CellLayer, CoupledGRUCell, GRUCell
from seqtrain.layers.initialisation import initialise

D, H, B, T = 5, 4, 3, 6


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def gru(w: np.ndarray, u: np.ndarray, b: np.ndarray, x: np.ndarray) -> np.ndarray:
    (wz, wr, wh), (uz, ur, uh), (bz, br, bh) = w.reshape(3, H, D), u.reshape(3, H, H), b.reshape(3, H)
    h, out = np.zeros(H), []
    for x_t in x:
        z = sigmoid(wz @ x_t + uz @ h + bz)
        r = sigmoid(wr @ x_t + ur @ h + br)
        h = (1 - z) * h + z * np.tanh(wh @ x_t + uh @ (r * h) + bh)
        out.append(h)
    return np.array(out)


def candidate_gru(w: np.ndarray, u: np.ndarray, b: np.ndarray, x: np.ndarray) -> np.ndarray:
    (wz, wh), (uz, uh), (bz, bh) = w.reshape(2, H, D), u.reshape(2, H, H), b.reshape(2, H)
    h, candidate, out = np.zeros(H), np.zeros(H), []
    for x_t in x:
        z = sigmoid(wz @ x_t + uz @ h + bz)
        candidate = np.tanh(np.hstack([uh, wh]) @ np.concatenate([candidate, x_t]) + bh)
        h = (1 - z) * h + z * candidate
        out.append(h)
    return np.array(out)


def coupled_gru(w: np.ndarray, u: np.ndarray, b: np.ndarray, x: np.ndarray) -> np.ndarray:
    (wz, wr, wh), (uz, ur, uh), (bz, br, bh) = w.reshape(3, H, D), u.reshape(3, H, H), b.reshape(3, H)
    h, out = np.zeros(H), []
    for x_t in x:
        z = sigmoid(wz @ x_t + uz @ h + bz)
        r = sigmoid(wr @ x_t + ur @ h + br)
        h = (1 - z) * r * np.tanh(wh @ x_t + (1 - z) * (uh @ h) + bh) + z * h
        out.append(h)
    return np.array(out)


CASES = [(GRUCell, gru), (CandidateGRUCell, candidate_gru), (CoupledGRUCell, coupled_gru)]


def made(cell_class: type[Cell]) -> CellLayer:
    torch.manual_seed(0)
    layer = CellLayer(cell_class(D, H))
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.7)
    return layer


@pytest.mark.parametrize(("cell_class", "reference"), CASES)
def test_equation(cell_class: type[Cell], reference) -> None:  # type: ignore[no-untyped-def]
    """Forward pass, and the gradient of every parameter and input by central differences of the equation."""
    layer = made(cell_class)
    x = torch.randn(B, T, D, requires_grad=True)
    out, _ = layer(x)
    cell = layer.cell
    arrays = [p.detach().double().numpy() for p in (cell.weight_ih, cell.weight_hh, cell.bias)]
    inputs = x.detach().double().numpy()

    def run(arrays: list[np.ndarray], inputs: np.ndarray) -> np.ndarray:
        return np.stack([reference(*arrays, row) for row in inputs])

    np.testing.assert_allclose(out.detach().numpy(), run(arrays, inputs), atol=1e-5)
    weight = np.random.default_rng(0).normal(size=out.shape)
    (out * torch.from_numpy(weight).float()).sum().backward()
    for i, tensor in enumerate((cell.weight_ih, cell.weight_hh, cell.bias, x)):
        values = [*arrays, inputs]
        expected = np.zeros_like(values[i])
        for index in np.ndindex(*expected.shape):
            change = [value.copy() for value in values]
            change[i][index] += 1e-6
            up = run(change[:3], change[3])
            change[i][index] -= 2e-6
            expected[index] = ((up - run(change[:3], change[3])) * weight).sum() / 2e-6
        assert tensor.grad is not None
        np.testing.assert_allclose(tensor.grad.numpy(), expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("cell_class", [case[0] for case in CASES])
def test_split_with_carried_state_equals_whole(cell_class: type[Cell]) -> None:
    layer = made(cell_class)
    x = torch.randn(B, T, D)
    whole, _ = layer(x)
    first, state = layer(x[:, :2])
    second, _ = layer(x[:, 2:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)


def test_gru_equals_torch_where_the_two_forms_agree() -> None:
    """With r = 1 both forms are equal, up to z and 1 - z: the weights of z are negated."""
    layer, reference = made(GRUCell), nn.GRU(D, H, batch_first=True)
    cell = layer.cell
    with torch.no_grad():
        cell.weight_ih[H : 2 * H] = 0.0
        cell.weight_hh[H : 2 * H] = 0.0
        cell.bias[H : 2 * H] = 50.0

        def converted(parameter: Tensor) -> Tensor:
            z, r, candidate = parameter.split(H)
            return torch.cat([r, -z, candidate])

        weights = [converted(p) for p in (cell.weight_ih, cell.weight_hh, cell.bias)]
        for parameter, value in zip(reference.parameters(), [*weights, torch.zeros(3 * H)], strict=True):
            parameter.copy_(value)
    x = torch.randn(B, T, D)
    torch.testing.assert_close(layer(x)[0], reference(x)[0], atol=1e-6, rtol=1e-5)


def test_torch_gru_is_the_reset_after_form() -> None:
    """r * (U h + b_u) and h' = (1 - z) n + z h in float64, with torch's weights."""
    layer = nn.GRU(D, H, batch_first=True).double()
    x = torch.randn(1, T, D, dtype=torch.double)
    w, u, b, c = (p.detach().numpy() for p in layer.parameters())
    h, expected = np.zeros(H), []
    for x_t in x[0].numpy():
        i_r, i_z, i_n = np.split(w @ x_t + b, 3)
        h_r, h_z, h_n = np.split(u @ h + c, 3)
        z = sigmoid(i_z + h_z)
        h = (1 - z) * np.tanh(i_n + sigmoid(i_r + h_r) * h_n) + z * h
        expected.append(h)
    np.testing.assert_allclose(layer(x)[0][0].detach().numpy(), expected, atol=1e-12)


LAYERS = [lambda: nn.RNN(8, 6), lambda: nn.LSTM(8, 6), lambda: nn.GRU(8, 6), *(
    lambda cell=case[0]: CellLayer(cell(8, 6)) for case in CASES
)]  # fmt: skip


@pytest.mark.parametrize("make", LAYERS)
def test_initialisation(make) -> None:  # type: ignore[no-untyped-def]
    layer = make()
    initialise(layer)
    for name, parameter in layer.named_parameters():
        kind = name.removeprefix("cell.")
        if kind.startswith("bias"):
            is_forget = isinstance(layer, nn.LSTM) and kind == "bias_ih_l0"
            assert parameter.tolist() == ([0.0] * 6 + [1.0] * 6 + [0.0] * 12 if is_forget else [0.0] * len(parameter))
        for gate in parameter.split(6) if parameter.dim() == 2 else ():
            if kind.startswith("weight_hh"):
                torch.testing.assert_close(gate @ gate.T, torch.eye(6), atol=1e-5, rtol=0)
            else:
                assert 0.5 * (6 / 14) ** 0.5 < gate.abs().max() <= (6 / 14) ** 0.5
    initialise(layer, recurrent="uniform")
    assert all(p.abs().max() <= 6**-0.5 for p in layer.parameters() if p.dim() == 2)


def test_chrono_initialisation_keeps_the_state() -> None:
    """The gate that keeps the state starts at u / (1 + u) for u in [1, T - 1]: a step loses about 1/u of the state."""
    lstm, gru = nn.LSTM(3, 500), nn.GRU(3, 500)
    cell, coupled = CellLayer(GRUCell(3, 500)), CellLayer(CoupledGRUCell(3, 500))
    for layer in (lstm, gru, cell, coupled):
        initialise(layer, chrono=100)
    of_lstm, of_gru = (dict(layer.named_parameters())["bias_ih_l0"].split(500) for layer in (lstm, gru))
    of_cells = 1 - cell.cell.bias[:500].sigmoid(), coupled.cell.bias[:500].sigmoid()
    for keep in (of_lstm[1].sigmoid(), of_gru[1].sigmoid(), *of_cells):
        u = keep / (1 - keep)
        assert u.min() >= 0.99 and u.max() <= 99.1 and 40 < u.mean() < 60
    torch.testing.assert_close(of_lstm[0], -of_lstm[1])
