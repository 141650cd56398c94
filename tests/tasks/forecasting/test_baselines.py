import numpy as np
import pytest

from seqtrain.tasks.forecasting.baselines import RidgeWindows, last_value, seasonal_naive, window_mean


def windows(series: np.ndarray, lookback: int, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """All windows of a series (T, C), and what comes after them."""
    both = np.lib.stride_tricks.sliding_window_view(series, lookback + horizon, axis=0).transpose(0, 2, 1)
    return both[:, :lookback], both[:, lookback:]


def random_walks(length: int, variables: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(length, variables)).cumsum(axis=0)


def fitted(inputs: np.ndarray, targets: np.ndarray, batch: int = 16, **options: float) -> RidgeWindows:
    model = RidgeWindows(inputs.shape[1], targets.shape[1], **options)
    for start in range(0, len(inputs), batch):
        model.update(inputs[start : start + batch], targets[start : start + batch])
    model.solve()
    return model


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_last_value_and_mean_of_a_worked_example(dtype: type) -> None:
    inputs: np.ndarray = np.array([[[1, 10], [2, 40], [6, 10]]], dtype)
    last, mean = last_value(inputs, 2), window_mean(inputs, 2)
    assert last.tolist() == [[[6, 10], [6, 10]]]
    assert mean.tolist() == [[[3, 20], [3, 20]]]
    assert last.dtype == mean.dtype == dtype


@pytest.mark.parametrize("lookback, horizon, season", [(7, 20, 7), (10, 3, 7), (9, 8, 4), (5, 5, 1)])
def test_seasonal_naive_is_right_about_periodic_series(lookback: int, horizon: int, season: int) -> None:
    pattern = np.random.default_rng(0).normal(size=(season, 3))
    inputs, targets = windows(np.tile(pattern, (20, 1))[:60], lookback, horizon)
    assert np.array_equal(seasonal_naive(inputs, horizon, season), targets)


def test_seasonal_naive_of_season_one_is_the_last_value() -> None:
    inputs, _ = windows(random_walks(30), 6, 4)
    assert np.array_equal(seasonal_naive(inputs, 4, 1), last_value(inputs, 4))


def test_seasonal_naive_needs_a_season() -> None:
    with pytest.raises(ValueError, match="a window of 6 steps does not hold a season of 7"):
        seasonal_naive(np.zeros((1, 6, 1)), 3, 7)


@pytest.mark.parametrize("batch", [1, 16, 500])
def test_ridge_equals_least_squares_on_all_windows(batch: int) -> None:
    inputs, targets = windows(random_walks(400), 12, 5)
    last = inputs[:, -1:]
    features, futures = (np.moveaxis(x - last, 1, 2).reshape(-1, x.shape[1]) for x in (inputs, targets))
    features = np.column_stack([features[:, :-1], np.ones(len(features))])
    weights = np.linalg.lstsq(features, futures, rcond=None)[0]
    model = fitted(inputs, targets, batch, ridge=1e-14)
    assert model.weights == pytest.approx(weights, abs=1e-10)
    expected = (features @ weights).reshape(len(inputs), 2, 5).swapaxes(1, 2) + last
    assert model.forecast(inputs) == pytest.approx(expected, abs=1e-10)


def test_ridge_equals_least_squares_with_rows_for_the_penalty() -> None:
    inputs, targets = windows(random_walks(100, variables=1), 6, 3)
    features = (inputs - inputs[:, -1:])[:, :5, 0]
    penalty = 0.5 * (features**2).sum(axis=0).mean()
    rows = np.vstack([np.column_stack([features, np.ones(len(features))]), np.sqrt(penalty) * np.eye(6)[:5]])
    futures = np.vstack([(targets - inputs[:, -1:])[..., 0], np.zeros((5, 3))])
    weights = np.linalg.lstsq(rows, futures, rcond=None)[0]
    assert fitted(inputs, targets, ridge=0.5).weights == pytest.approx(weights, abs=1e-10)


def test_ridge_recovers_a_linear_process() -> None:
    """Two sines on a slope obey a linear recurrence, which 40 steps show in full."""
    t = np.arange(600)
    series = np.sin(t / 3) + 0.5 * np.cos(t / 11) + 0.01 * t
    inputs, targets = windows(np.stack([series, 3 - 2 * series], axis=1), 40, 25)
    model = fitted(inputs[:300], targets[:300])
    assert model.forecast(inputs[300:]) == pytest.approx(targets[300:], abs=1e-6)


def test_ridge_learns_an_intercept() -> None:
    inputs, targets = windows(np.arange(50.0)[:, None] * 0.3, 1, 4)
    model = fitted(inputs, targets)
    assert model.weights == pytest.approx(np.array([[0.3, 0.6, 0.9, 1.2]]))
    assert model.forecast(inputs[:1] + 100)[0, :, 0] == pytest.approx([100.3, 100.6, 100.9, 101.2])


def test_ridge_follows_a_change_of_units() -> None:
    inputs, targets = windows(random_walks(200), 10, 4)
    forecast = fitted(inputs, targets, ridge=0.1).forecast(inputs)
    changed = fitted(inputs * 50 - 3, targets * 50 - 3, ridge=0.1).forecast(inputs * 50 - 3)
    assert changed == pytest.approx(forecast * 50 - 3, rel=1e-8, abs=1e-8)


def test_ridge_takes_variables_apart_or_together() -> None:
    inputs, targets = windows(random_walks(80, variables=3), 8, 4)
    alone = [np.moveaxis(x, 2, 1).reshape(-1, x.shape[1], 1) for x in (inputs, targets)]
    assert fitted(alone[0], alone[1]).weights == pytest.approx(fitted(inputs, targets).weights, abs=1e-10)


@pytest.mark.parametrize("lookback", [1, 5])
def test_ridge_of_constant_windows_is_the_last_value(lookback: int) -> None:
    inputs, targets = np.full((4, lookback, 2), 7.0), np.full((4, 3, 2), 7.0)
    model = fitted(inputs, targets)
    assert np.array_equal(model.weights, np.zeros((lookback, 3)))
    other = np.random.default_rng(0).normal(size=(3, lookback, 2))
    assert model.forecast(other) == pytest.approx(last_value(other, 3))


def test_ridge_is_stable_with_fewer_windows_than_steps() -> None:
    inputs, targets = windows(random_walks(70), 60, 4)
    forecast = fitted(inputs, targets).forecast(inputs)
    assert np.abs(forecast - targets).max() < 1e-3


def test_ridge_takes_float32_and_keeps_it() -> None:
    inputs, targets = windows(random_walks(300), 12, 5)
    model = fitted(inputs.astype(np.float32), targets.astype(np.float32))
    assert model.squares.dtype == model.weights.dtype == np.float64
    forecast = model.forecast(inputs.astype(np.float32))
    assert forecast.dtype == np.float32
    assert forecast == pytest.approx(fitted(inputs, targets).forecast(inputs), abs=1e-4)


def test_ridge_needs_windows() -> None:
    with pytest.raises(ValueError, match="no windows"):
        RidgeWindows(4, 2).solve()
