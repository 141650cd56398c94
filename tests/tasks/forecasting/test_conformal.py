"""Intervals: conformal margins against plain ones and against what they promise, and the scores of any interval."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from seqtrain.config.task import ForecastingConfig, ForecastLoss
from seqtrain.data.series.batch import ForecastBatch
from seqtrain.tasks.forecasting.conformal import Conformal, IntervalSums, conformal_ranks, fewest_windows
from seqtrain.tasks.forecasting.distribution import Distribution, distribution_of

B, S, C = 40, 3, 2


def meaning(loss: ForecastLoss) -> Distribution:
    """What forecasts of a kind mean; of quantiles three levels."""
    return distribution_of(ForecastingConfig(loss=loss, quantiles=[0.1, 0.5, 0.9]))


def draws(seed: int = 0, windows: int = B) -> tuple[dict[ForecastLoss, torch.Tensor], torch.Tensor]:
    """Forecasts of each kind, and targets."""
    g = torch.Generator().manual_seed(seed)
    points = torch.randn(windows, S, C, 1, generator=g)
    deviations = torch.rand(windows, S, C, 1, generator=g) + 0.1
    quantiles = torch.randn(windows, S, C, 3, generator=g).sort(-1).values
    forecasts = {
        ForecastLoss.mae: points,
        ForecastLoss.gaussian: torch.cat([points, deviations], -1),
        ForecastLoss.quantile: quantiles,
    }
    return forecasts, torch.randn(windows, S, C, generator=g)


@pytest.mark.parametrize("level", [0.1, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99])
def test_ranks_are_the_least_that_cover(level: float) -> None:
    """In exact arithmetic: the rank of n + 1 exchangeable scores below which one falls with at least the level."""
    exact = Fraction(str(level))
    counts = np.arange(1, 400)
    expected = [math.ceil((count + 1) * exact) for count in counts.tolist()]
    assert conformal_ranks(counts, level).tolist() == expected
    enough = [count for count, rank in zip(counts.tolist(), expected, strict=True) if rank <= count]
    assert fewest_windows(level) == enough[0]


def test_worked_ranks() -> None:
    assert [fewest_windows(level) for level in (0.5, 0.8, 0.9, 0.95, 0.99, 0.999)] == [1, 4, 9, 19, 99, 999]
    assert conformal_ranks(np.array([9, 10, 99, 100]), 0.9).tolist() == [9, 10, 90, 91]


def test_margins_are_the_ranked_scores() -> None:
    """One by one, with missing targets, by plain sorting."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(50, S, C)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.3] = np.nan
    conformal = Conformal.of_scores(0.8, scores)
    for step in range(S):
        for variable in range(C):
            known = sorted(value for value in scores[:, step, variable].tolist() if not math.isnan(value))
            assert conformal.margins[step, variable] == known[math.ceil((len(known) + 1) * 0.8) - 1]
    assert conformal.windows == min(np.count_nonzero(~np.isnan(scores), axis=0).ravel())
    scores[8:, 1, 1] = np.nan
    with pytest.raises(ValueError, match="windows are too few for a level of 0.9"):
        Conformal.of_scores(0.9, scores)


@pytest.mark.parametrize("loss", [ForecastLoss.mae, ForecastLoss.gaussian, ForecastLoss.quantile])
def test_an_interval_holds_what_conforms(loss: ForecastLoss) -> None:
    """A target lies inside if and only if it is no worse than the margin, and the margin's own lies on an end."""
    forecasts, targets = draws()
    distribution = meaning(loss)
    scores = distribution.nonconformity(forecasts[loss], targets)
    conformal = distribution.conformal = Conformal.of_scores(0.8, scores.numpy())
    lower, upper = distribution.conformal_interval(forecasts[loss])
    inside = (lower - 1e-12 <= targets) & (targets <= upper + 1e-12)
    assert torch.equal(inside, scores <= conformal.margins)
    assert inside.sum(0).tolist() == [[33] * C] * S  # ceil(41 * 0.8), of 40
    ends = torch.minimum((lower - targets).abs(), (upper - targets).abs()).min(0).values
    assert (ends < 1e-9).all()
    if loss is ForecastLoss.mae:
        torch.testing.assert_close(upper - lower, 2 * conformal.margins.expand(B, S, C))


def test_scores_of_a_worked_example() -> None:
    target = torch.tensor([[[2.0]]])

    def score(loss: ForecastLoss, *forecast: float) -> float:
        return float(meaning(loss).nonconformity(torch.tensor(forecast).view(1, 1, 1, -1), target))

    assert score(ForecastLoss.huber, 5.0) == 3 and score(ForecastLoss.gaussian, 5.0, 2.0) == 1.5
    assert score(ForecastLoss.quantile, 0.0, 1.0, 5.0) == -2  # inside, 2 from the nearer end
    assert score(ForecastLoss.quantile, -1.0, 0.0, 1.5) == 0.5 and score(ForecastLoss.quantile, 3.0, 4.0) == 1


def test_quantiles_that_shrink_past_their_middle_meet_there() -> None:
    margins = torch.full((1, 1), -2.0, dtype=torch.float64)
    forecasts = torch.tensor([[[[0.0, 1.0, 3.0]]], [[[0.0, 1.0, 9.0]]]])
    lower, upper = meaning(ForecastLoss.quantile).widened(forecasts, margins)
    assert lower.ravel().tolist() == [1.5, 2.0] and upper.ravel().tolist() == [1.5, 7.0]


@pytest.mark.parametrize(("count", "level"), [(19, 0.9), (24, 0.8), (30, 0.9)])
@pytest.mark.parametrize("loss", [ForecastLoss.mae, ForecastLoss.gaussian, ForecastLoss.quantile])
def test_exchangeable_windows_are_covered_as_promised(loss: ForecastLoss, count: int, level: float) -> None:
    """Over many draws, the next window is covered as often as its rank says: at least the level, hardly more."""
    trials = 20_000
    g = torch.Generator().manual_seed(1)
    forecasts = torch.randn(count + 1, 1, trials, 3, generator=g).sort(-1).values
    if loss is ForecastLoss.mae:
        forecasts = forecasts[..., :1]
    if loss is ForecastLoss.gaussian:
        forecasts = torch.stack([forecasts[..., 0], forecasts[..., 1].abs() + 0.1], -1)
    targets = 3 * torch.randn(count + 1, 1, trials, generator=g)
    distribution = meaning(loss)
    scores = distribution.nonconformity(forecasts[:-1], targets[:-1]).numpy()
    distribution.conformal = Conformal.of_scores(level, scores)
    lower, upper = distribution.conformal_interval(forecasts[-1:])
    covered = ((lower <= targets[-1:]) & (targets[-1:] <= upper)).double().mean()
    assert covered == pytest.approx(math.ceil((count + 1) * level) / (count + 1), abs=0.01)


def test_central_intervals() -> None:
    forecasts, targets = draws(windows=20_000)
    assert meaning(ForecastLoss.mae).interval(forecasts[ForecastLoss.mae]) is None
    ends = meaning(ForecastLoss.quantile).interval(forecasts[ForecastLoss.quantile])
    assert ends is not None and torch.equal(torch.stack(ends, -1), forecasts[ForecastLoss.quantile][..., [0, 2]])
    normal = torch.stack([torch.full_like(targets, 0.5), torch.full_like(targets, 2.0)], -1)
    ends = meaning(ForecastLoss.gaussian).interval(normal)
    assert ends is not None
    truth = 0.5 + 2 * targets
    assert ((ends[0] <= truth) & (truth <= ends[1])).double().mean() == pytest.approx(0.9, abs=0.005)


def batch(targets: torch.Tensor, observed: torch.Tensor | None) -> ForecastBatch:
    count = len(targets)
    scale = 2.0 ** (np.arange(count * C).reshape(count, C) % 9)
    return ForecastBatch(
        inputs=torch.zeros(count, 1, C), targets=targets, truth=targets.numpy() * scale[:, None],
        lengths=torch.ones(count, dtype=torch.long), rows=np.arange(count), num_tokens=count,
        future=torch.zeros(count, S, 0), observed=observed, series=torch.zeros(count, dtype=torch.long),
        first_step=torch.zeros(count, dtype=torch.long),
        centre=np.zeros((count, C)), scale=scale,
    )  # fmt: skip


@pytest.mark.parametrize("missing", [False, True])
def test_sums_of_intervals_equal_plain_ones(missing: bool) -> None:
    _, targets = draws()
    ends = torch.randn(2, B, S, C, generator=torch.Generator().manual_seed(2)).sort(0).values
    lower, upper = ends[0].double(), ends[1].double()
    observed = torch.rand(B, S, C, generator=torch.Generator().manual_seed(3)) < 0.7 if missing else None
    if observed is not None:
        targets = torch.where(observed, targets, math.nan)
    whole = batch(targets, observed)
    sums, parts = IntervalSums(S, C), [IntervalSums(S, C), IntervalSums(S, C)]
    sums.update((lower, upper), whole)
    for part, rows in zip(parts, (slice(0, 11), slice(11, B)), strict=True):
        piece = batch(targets[rows], None if observed is None else observed[rows])
        assert whole.truth is not None
        piece.scale, piece.truth = whole.scale[rows], whole.truth[rows]
        part.update((lower[rows], upper[rows]), piece)
    known = np.ones((B, S, C), dtype=bool) if observed is None else observed.numpy()
    inside = ((lower <= targets) & (targets <= upper)).numpy()
    width = (upper - lower).numpy()
    original = width * whole.scale[:, None]
    for axes, axis in (((0, 1, 2), None), ((0, 1), 0), ((0, 2), 1)):
        expected = {
            name: np.where(known, values, 0).sum(axes) / known.sum(axes)
            for name, values in {"coverage": inside, "width": width, "original_width": original}.items()
        }
        for found in (sums.means(axis), (parts[0] + parts[1]).means(axis)):
            assert found.keys() == expected.keys()
            for name, values in expected.items():
                np.testing.assert_allclose(found[name], values, rtol=1e-12)
