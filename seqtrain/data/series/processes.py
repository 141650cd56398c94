"""Series that are computed: two chaotic systems, and one that can be predicted exactly.

The chaotic ones use only sums, products and quotients, in a fixed order, so that they are the same on every machine.

Shapes: T steps.
"""

import numpy as np

LORENZ_SAMPLE = 5  # solver steps per row: 0.05 units of time, about 15 rows for one orbit of a lobe
LORENZ_TRANSIENT = 2000  # solver steps (20 units of time) that are dropped, until the path is on the attractor
MACKEY_GLASS_SAMPLE = 10  # solver steps per row: 1 unit of time
MACKEY_GLASS_TRANSIENT = 10_000  # solver steps that are dropped (1,000 units of time, about 20 orbits)


def lorenz(length: int, transient: int = LORENZ_TRANSIENT) -> np.ndarray:
    """The Lorenz system x' = sigma (y - x), y' = x (rho - z) - y, z' = x y - beta z; sigma 10, rho 28, beta 8/3.

    It starts from (1, 1, 1) and is integrated by the classical Runge-Kutta method in steps of 0.01; a row is 0.05 units
    of time. An error grows by a factor of e in 1.1 units (22 rows), which limits every forecast.

    Returns:
        x, y and z, (T, 3).

    Source: Lorenz 1963.
    """
    path = np.empty((length, 3))
    state, h = (1.0, 1.0, 1.0), 0.01
    for _ in range(transient):
        state = lorenz_step(state, h)
    for row in range(length):
        path[row] = state
        for _ in range(LORENZ_SAMPLE):
            state = lorenz_step(state, h)
    return path


Point = tuple[float, float, float]


def lorenz_step(state: Point, h: float) -> Point:
    """One step of the classical Runge-Kutta method for the Lorenz system."""

    def slope(x: float, y: float, z: float) -> Point:
        return 10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z

    x, y, z = state
    a, b, c = slope(x, y, z)
    d, e, f = slope(x + h / 2 * a, y + h / 2 * b, z + h / 2 * c)
    g, i, j = slope(x + h / 2 * d, y + h / 2 * e, z + h / 2 * f)
    k, m, n = slope(x + h * g, y + h * i, z + h * j)
    return (
        x + h / 6 * (a + 2 * d + 2 * g + k),
        y + h / 6 * (b + 2 * e + 2 * i + m),
        z + h / 6 * (c + 2 * f + 2 * j + n),
    )


def mackey_glass(length: int, transient: int = MACKEY_GLASS_TRANSIENT) -> np.ndarray:
    """The Mackey-Glass equation x'(t) = 0.2 x(t - 17) / (1 + x(t - 17)^10) - 0.1 x(t), which is weakly chaotic.

    x is 1.2 until time 0. It is integrated by the classical Runge-Kutta method in steps of 0.1; a row is 1 unit of
    time. Halfway between two steps, the past is the cubic with the values and slopes of both.

    Returns:
        x, (T, 1).

    Source: Mackey and Glass 1977.
    """
    h, delay = 0.1, 170  # steps
    steps = transient + (length - 1) * MACKEY_GLASS_SAMPLE
    values = [1.2] * (delay + 1)  # from time -17 to 0
    slopes = [0.0] * delay  # slopes of all values but the last

    def feedback(past: float) -> float:
        square = past * past
        fourth = square * square
        return 0.2 * past / (1.0 + fourth * fourth * square)

    for now in range(delay, delay + steps):
        x, past = values[now], now - delay
        before, after = values[past], values[past + 1]
        start, end = feedback(before), feedback(after)
        a = start - 0.1 * x
        slopes.append(a)
        bend = slopes[past] - slopes[past + 1] if past >= delay else 0.0  # the past is constant until time 0
        middle = feedback((before + after) / 2 + h / 8 * bend)
        b = middle - 0.1 * (x + h / 2 * a)
        c = middle - 0.1 * (x + h / 2 * b)
        d = end - 0.1 * (x + h * c)
        values.append(x + h / 6 * (a + 2 * b + 2 * c + d))
    return np.array(values[delay + transient :: MACKEY_GLASS_SAMPLE])[:, None]


def sine(length: int) -> np.ndarray:
    """The sum of a daily sine (24 steps) and a weekly one (168 steps) of half the amplitude, without noise.

    Returns:
        sin(2 pi t / 24) + sin(2 pi t / 168) / 2, (T, 1).
    """
    time = np.arange(length)[:, None]
    return np.sin(2 * np.pi / 24 * time) + 0.5 * np.sin(2 * np.pi / (24 * 7) * time)
