"""A run that ended above its first loss is told from one that only has noisy batches."""

import numpy as np
import pytest

from seqtrain.training.loss_course import LossCourse


def risen(losses: list[float]) -> str | None:
    course = LossCourse()
    for step, loss in enumerate(losses):
        course.add(loss, step)
    return course.risen(len(losses))


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ([0.7, *[1e12] * 100], "ended at 1e+12 (median of the last 20 steps), above the 0.7 of the first"),
        ([0.7, *[1e13] * 5, 1e11, 1e12, 1e11, 1e11], "ended at 1e+11 (median of the last 5 steps)"),
        ([9.2, *[8.0] * 30, *[10.5] * 20], "ended at 10.5"),  # fell, then rose by more than a tenth
        ([-1.0, *[-0.8] * 50], "ended at -0.8"),
        ([0.7, *np.linspace(0.7, 0.1, 50)], None),
        ([0.7, 1e12, *np.linspace(0.7, 0.6, 50)], None),  # recovered
        ([0.7, *[1.3] * 10], None),  # too short to tell from noise
        ([0.7, *[1e12] * 8], None),
        ([0.7, *[0.75] * 50], None),
        ([0.7, *[1e12] * 60, 0.6, *[1e12] * 10], None),  # one of the last steps is below
    ],
)
def test_what_is_said(losses: list[float], said: str | None) -> None:
    found = risen(losses)
    assert found is None if said is None else found is not None and said in found


@pytest.mark.parametrize("steps", [10, 20, 40, 100])
@pytest.mark.parametrize("spread", [0.02, 0.1, 0.3])
def test_batches_that_differ_are_no_alarm(steps: int, spread: float) -> None:
    """Of a model that learns nothing, with losses of equal distribution throughout."""
    rng = np.random.default_rng(0)
    alarms = sum(risen(list(rng.lognormal(0.0, spread, steps))) is not None for _ in range(1000))
    assert alarms <= 20


def test_a_run_begun_by_an_earlier_version_says_nothing() -> None:
    course = LossCourse()
    for step in range(50, 100):
        course.add(1e12, step)
    assert course.risen(100) is None
