"""Spectra against torch's decompositions."""

import pytest
import torch
from torch import Tensor

from seqtrain.layers.recurrence import RecurrentStack
from seqtrain.probe import matrices
from seqtrain.probe.matrices import jacobian_norms, largest_singular_value, spectral_radius
from seqtrain.probe.recurrences import recorded_recurrences, unroll
from tests.probe.test_recurrences import CELLS, layer


@pytest.mark.parametrize("size", [1, 5, 40])
def test_spectra_of_random_matrices(size: int) -> None:
    torch.manual_seed(size)
    matrix = torch.randn(size, size, dtype=torch.double)
    assert spectral_radius(matrix) == pytest.approx(torch.linalg.eigvals(matrix).abs().max().item(), rel=2e-3)
    assert largest_singular_value(matrix) == pytest.approx(torch.linalg.matrix_norm(matrix, 2).item(), rel=2e-3)


def test_spectra_of_known_matrices() -> None:
    turn = torch.tensor([[0.0, -3.0], [3.0, 0.0]])  # eigenvalues +-3i
    assert spectral_radius(turn) == pytest.approx(3, rel=1e-3)
    shift = torch.tensor([[0.0, 7.0], [0.0, 0.0]])
    assert spectral_radius(shift) == 0
    assert largest_singular_value(shift) == pytest.approx(7, rel=1e-3)
    assert spectral_radius(torch.zeros(3, 3)) == 0


@pytest.mark.parametrize("name", CELLS)
def test_jacobian_norms_equal_those_of_the_whole_jacobian(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrices, "ITERATIONS", 300)
    torch.manual_seed(0)
    stack = RecurrentStack(lambda D, H: layer(name, D, H), 4, [3], False).double().eval()
    x, lengths = torch.randn(2, 4, 4, dtype=torch.double), torch.tensor([4, 2])
    with recorded_recurrences(stack) as directions:
        stack(x, lengths)
    unrolled = unroll(directions[0])
    unit = directions[0].unit
    expected = []
    for row, step in ((0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1)):
        projected = unit.project(x[row, step])[None]

        def run(state: Tensor, projected: Tensor = projected) -> Tensor:
            return torch.cat(unit.step(projected, state[None].split(3, 1))[0], 1)[0]

        before = torch.cat([part[row, step] for part in unrolled.before])
        jacobian = torch.autograd.functional.jacobian(run, before)
        expected.append(torch.linalg.matrix_norm(jacobian, 2))
    torch.testing.assert_close(jacobian_norms(directions[0], unrolled), torch.stack(expected), rtol=1e-3, atol=1e-9)


def test_of_many_steps_some_are_measured() -> None:
    stack = RecurrentStack(CELLS["gru"], 4, [3], False)
    with torch.no_grad(), recorded_recurrences(stack) as directions:
        stack(torch.randn(3, 50, 4), torch.tensor([50, 50, 50]))
    assert jacobian_norms(directions[0], unroll(directions[0])).shape == (matrices.MOST_STEPS,)
