import numpy as np
import pytest
from scipy.integrate import solve_ivp

from seqtrain.data.series.processes import lorenz, mackey_glass, sine


def lorenz_slope(_: float, state: np.ndarray) -> list[float]:
    x, y, z = state
    return [10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z]


def test_lorenz_follows_its_equations() -> None:
    path = lorenz(300)
    for row in range(0, 299, 7):
        exact = solve_ivp(lorenz_slope, (0, 0.05), path[row], method="DOP853", rtol=1e-12, atol=1e-12).y[:, -1]
        np.testing.assert_allclose(path[row + 1], exact, atol=2e-4)  # of values up to 40: the fourth order of 0.01


def test_lorenz_begins_on_the_attractor() -> None:
    np.testing.assert_array_equal(lorenz(3, transient=0)[0], [1, 1, 1])
    np.testing.assert_array_equal(lorenz(50)[:20], lorenz(20))
    path = lorenz(4000)
    # Both lobes, as often; the mean of z is that of the literature, 23.55.
    assert 0.4 < (path[:, 0] > 0).mean() < 0.6 and abs(path[:, 2].mean() - 23.55) < 0.3
    assert np.abs(path[:, 0]).max() < 21 and path[:, 2].min() > 0


def test_mackey_glass_against_the_method_of_steps() -> None:
    path = mackey_glass(35, transient=0)[:, 0]
    time = np.arange(18)
    rest = 0.2 * 1.2 / (1 + 1.2**10) / 0.1  # while the past is 1.2, x falls to this

    def first(t: np.ndarray) -> np.ndarray:
        return rest + (1.2 - rest) * np.exp(-0.1 * t)

    np.testing.assert_allclose(path[:18], first(time), rtol=1e-9)

    def second(t: float, x: np.ndarray) -> np.ndarray:
        past = first(np.array(t - 17))
        return 0.2 * past / (1 + past**10) - 0.1 * x

    exact = solve_ivp(second, (17, 34), [path[17]], rtol=1e-11, atol=1e-11, t_eval=np.arange(17, 35)).y[0]
    np.testing.assert_allclose(path[17:], exact, rtol=1e-7)


def test_mackey_glass_begins_after_its_transient() -> None:
    np.testing.assert_array_equal(mackey_glass(10), mackey_glass(1010, transient=0)[1000:])
    path = mackey_glass(2000)
    assert path.shape == (2000, 1) and 0.2 < path.min() < 0.5 and 1.2 < path.max() < 1.4


def test_sine_repeats_after_a_week() -> None:
    path = sine(400)
    np.testing.assert_allclose(path[168:], path[:-168], atol=1e-12)
    assert path[6, 0] == pytest.approx(1 + 0.5 * np.sin(2 * np.pi * 6 / 168))
