"""Baselines of forecasting: what a model must beat to be worth its training.

Each makes forecasts (B, S, C) from windows (B, L, C), scaled or not, each variable from its own past. Missing values
are the caller's to fill: a NaN in a window makes its forecasts NaN, and one that is fitted on spoils the fit.

Shapes: B windows of a batch, L lookback, S horizon steps, C variables.
"""

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating]
Floats = NDArray[np.float64]


def last_value(inputs: Values, horizon: int) -> Values:
    """The last value of each variable, at all S steps, (B, S, C)."""
    return np.repeat(inputs[:, -1:], horizon, axis=1)


def window_mean(inputs: Values, horizon: int) -> Values:
    """The mean of each variable over the window, at all S steps, (B, S, C)."""
    mean = inputs.mean(axis=1, dtype=np.float64, keepdims=True).astype(inputs.dtype)
    return np.repeat(mean, horizon, axis=1)


def seasonal_naive(inputs: Values, horizon: int, season: int) -> Values:
    """The last season of the window over and over, (B, S, C).

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
    """One linear map from the window of a variable to its future, shared by all variables, fitted in closed form.

    The last value of the window is subtracted before and added after, so the last of the L inputs is always 0; a
    constant 1, for the intercept, takes its place. Least squares are solved from the normal equations, summed batch by
    batch in float64: memory does not grow with the number of windows, and an update takes 2 B C L (L + S) operations.
    The penalty is ``ridge`` times the inputs' mean sum of squares, and none on the intercept, so forecasts of shifted
    and stretched series are the shifted and stretched forecasts.

    Where targets are missing, leave out those windows; each variable stands alone, so windows (B C, L, 1) serve too.

    Args:
        lookback: number L of steps of a window.
        horizon: number S of steps to forecast.
        ridge: weight of the penalty, above 0; 1e-10 keeps the solution stable for inputs that nearly determine each
            other, and changes nothing visible for noisy ones.

    Source: NLinear of Zeng et al. 2023, fitted in closed form as in Toner and Darlow 2024.
    """

    weights: Values
    """(L, S), the intercepts in the last row; there after ``solve``."""

    def __init__(self, lookback: int, horizon: int, ridge: float = 1e-10):
        self.ridge = ridge
        self.squares = np.zeros((lookback, lookback))
        self.products = np.zeros((lookback, horizon))

    def update(self, inputs: Values, targets: Values) -> None:
        """Take in windows (B, L, C) and what came after them, (B, S, C)."""
        rows, last = centred_rows(inputs)
        futures = np.moveaxis(targets, 1, 2).astype(np.float64) - last
        flat = rows.reshape(-1, rows.shape[-1])
        self.squares += flat.T @ flat
        self.products += flat.T @ futures.reshape(-1, futures.shape[-1])

    @property
    def num_windows(self) -> int:
        """Windows taken in, those of each variable counted apart."""
        return int(self.squares[-1, -1])  # of the constant 1

    def solve(self) -> None:
        """Fit the map to all that was taken in.

        Raises:
            ValueError: if that is nothing.
        """
        if not self.num_windows:
            raise ValueError("there are no windows to fit on")
        matrix = self.squares.copy()
        inputs = np.diagonal(matrix)[:-1]
        # Windows that are all constant leave their weights open: any penalty makes them 0.
        penalty = self.ridge * inputs.mean() if inputs.any() else 1.0
        matrix[np.diag_indices(len(inputs))] += penalty
        self.weights = np.linalg.solve(matrix, self.products)

    def forecast(self, inputs: Values) -> Values:
        """Forecasts (B, S, C) of windows (B, L, C)."""
        rows, last = centred_rows(inputs)
        return np.moveaxis(rows @ self.weights + last, 2, 1).astype(inputs.dtype)


def centred_rows(inputs: Values) -> tuple[Floats, Floats]:
    """Windows (B, L, C) less their last value, which a 1 replaces, as (B, C, L), and the last value, (B, C, 1)."""
    rows = np.moveaxis(inputs, 1, 2).astype(np.float64, order="C")
    last = rows[..., -1:].copy()
    rows -= last
    rows[..., -1] = 1
    return rows, last
