"""Baselines of forecasting: simple methods that a model must beat to be worth its training.

Each makes forecasts (B, S, C) from windows (B, L, C), scaled or not, of each variable from its own past. Missing values
must be filled before: a NaN in a window makes its forecasts NaN, and a NaN in a training window spoils the fit.

Shapes: B windows of a batch, L lookback, S horizon steps, C variables.
"""

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating]
Floats = NDArray[np.float64]


def last_value(inputs: Values, horizon: int) -> Values:
    """Forecast the last value of each variable at all S steps, (B, S, C)."""
    return np.repeat(inputs[:, -1:], horizon, axis=1)


def window_mean(inputs: Values, horizon: int) -> Values:
    """Forecast the mean of each variable over the window at all S steps, (B, S, C)."""
    mean = inputs.mean(axis=1, dtype=np.float64, keepdims=True).astype(inputs.dtype)
    return np.repeat(mean, horizon, axis=1)


def seasonal_naive(inputs: Values, horizon: int, season: int) -> Values:
    """Forecast the last season of the window, repeated, (B, S, C).

    Args:
        inputs: windows, (B, L, C).
        horizon: number S of steps.
        season: number of steps of a season, at least 1.

    Returns:
        The forecasts.

    Raises:
        ValueError: if the window is shorter than a season.
    """
    lookback = inputs.shape[1]
    if lookback < season:
        raise ValueError(f"a window of {lookback} steps does not hold a season of {season}")
    return inputs[:, lookback - season + np.arange(horizon) % season]


class RidgeWindows:
    """A linear map from the window of a variable to its future, shared by all variables and fitted in closed form.

    The last value of a window is subtracted before the map and added after it. The last of the L inputs would then be
    0; a constant 1, for the intercept, replaces it. Least squares are solved from the normal equations, summed batch by
    batch in float64: memory does not grow with the number of windows, and an update takes 2 B C L (L + S) operations.
    The penalty is ``ridge`` times the mean sum of squares of the inputs, without the intercept, so that shifted and
    scaled series have shifted and scaled forecasts.

    Leave out windows with missing targets. Variables are independent, so that windows (B C, L, 1) work too.

    Args:
        lookback: number L of steps of a window.
        horizon: number S of steps to forecast.
        ridge: weight of the penalty, above 0; 1e-10 keeps the solution stable for nearly collinear inputs, and has no
            visible effect on noisy ones.

    Source: NLinear of Zeng et al. 2023, fitted in closed form as in Toner and Darlow 2024.
    """

    weights: Values
    """Weights of the map, with the intercepts in the last row, (L, S); set by ``solve``."""

    def __init__(self, lookback: int, horizon: int, ridge: float = 1e-10):
        self.ridge = ridge
        self.squares = np.zeros((lookback, lookback))
        self.products = np.zeros((lookback, horizon))

    def update(self, inputs: Values, targets: Values) -> None:
        """Add windows (B, L, C) and the values that followed them, (B, S, C)."""
        rows, last = centred_rows(inputs)
        futures = np.moveaxis(targets, 1, 2).astype(np.float64) - last
        flat = rows.reshape(-1, rows.shape[-1])
        self.squares += flat.T @ flat
        self.products += flat.T @ futures.reshape(-1, futures.shape[-1])

    @property
    def num_windows(self) -> int:
        """Number of windows that were added, counted for each variable separately."""
        return int(self.squares[-1, -1])  # the square sum of the constant 1

    def solve(self) -> None:
        """Fit the map to all windows that were added.

        Raises:
            ValueError: if there are none.
        """
        if not self.num_windows:
            raise ValueError("there are no windows to fit on")
        matrix = self.squares.copy()
        inputs = np.diagonal(matrix)[:-1]
        # If all windows are constant, weights are not determined; any penalty makes them 0.
        penalty = self.ridge * inputs.mean() if inputs.any() else 1.0
        matrix[np.diag_indices(len(inputs))] += penalty
        self.weights = np.linalg.solve(matrix, self.products)

    def forecast(self, inputs: Values) -> Values:
        """Forecasts (B, S, C) of windows (B, L, C)."""
        rows, last = centred_rows(inputs)
        return np.moveaxis(rows @ self.weights + last, 2, 1).astype(inputs.dtype)


def centred_rows(inputs: Values) -> tuple[Floats, Floats]:
    """Windows (B, L, C) minus their last value, with a 1 in its place, (B, C, L); and the last value, (B, C, 1)."""
    rows = np.moveaxis(inputs, 1, 2).astype(np.float64, order="C")
    last = rows[..., -1:].copy()
    rows -= last
    rows[..., -1] = 1
    return rows, last
