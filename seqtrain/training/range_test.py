"""The learning-rate range test: the training loss while the learning rate rises from far too low to far too high.

Source: Smith 2017, "Cyclical learning rates for training neural networks", section 3.3. Unlike there, the rate rises
geometrically and the test ends when the loss diverges, as is usual today.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from seqtrain.config.trainer import Average, Schedule
from seqtrain.errors import RunError
from seqtrain.training.steps import make_steps
from seqtrain.training.trainer import Trainer

MEAN_DECAY = 0.9  # of the running mean of the loss, by which divergence is detected: about 10 steps
HALF_WINDOW = 5  # steps on each side that the median around a step includes
LEAST_FALL = 0.02  # share of the first loss; a smaller fall counts as none
DIVERGENCE_FACTOR = 4  # times the lowest mean loss


@dataclass
class RangeTest:
    """Result of a range test: the learning rates and losses of its N steps."""

    rates: NDArray[np.float64]
    """Learning rate of each step, (N,)."""
    losses: NDArray[np.float64]
    """Loss of each step, before its update, (N,)."""
    ended: str
    """Why the test ended."""

    @property
    def smoothed(self) -> NDArray[np.float64]:
        """Median of the losses of the 11 steps around each step, (N,): robust to single batches, and without lag."""
        around = (self.losses[max(i - HALF_WINDOW, 0) : i + HALF_WINDOW + 1] for i in range(len(self.losses)))
        return np.array([np.median(losses) for losses in around])

    @property
    def falls(self) -> bool:
        """Whether the smoothed loss falls by more than 2 % of its first value."""
        return bool(self.smoothed[0] - self.smoothed.min() > LEAST_FALL * abs(self.smoothed[0]))

    def lowest(self) -> float | None:
        """The learning rate at which the smoothed loss is lowest; None if it does not fall."""
        return float(self.rates[self.smoothed.argmin()]) if self.falls else None

    def steepest(self) -> float | None:
        """The learning rate at which the smoothed loss falls fastest on a log axis; None if it does not fall."""
        centres = np.arange(HALF_WINDOW, len(self.losses) - HALF_WINDOW)
        if not self.falls or len(centres) == 0:
            return None
        # Each fall is over the same ratio of rates.
        falls = self.smoothed[centres - HALF_WINDOW] - self.smoothed[centres + HALF_WINDOW]
        return float(self.rates[centres[falls.argmax()]])


def running_mean(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Exponential moving average of losses, (N,), corrected for its start at 0 (Kingma and Ba 2015)."""
    means, mean = np.zeros(len(losses)), 0.0
    for i, loss in enumerate(losses):
        mean = MEAN_DECAY * mean + (1 - MEAN_DECAY) * float(loss)
        means[i] = mean / (1 - MEAN_DECAY ** (i + 1))
    return means


def diverged(losses: list[float]) -> bool:
    """Whether the running mean of the loss has risen to 4 times its lowest value.

    If that is negative, the mean must rise by 3 times the size of the first loss instead.
    """
    means = running_mean(np.array(losses))
    best = means.min()
    rise = (DIVERGENCE_FACTOR - 1) * (best if best > 0 else abs(losses[0]))
    return bool(means[-1] > best + rise)


def range_test(trainer: Trainer, low: float, high: float, steps: int) -> RangeTest:
    """Train while the learning rate rises from ``low`` to ``high`` by a constant factor per step.

    Ends before ``high`` if the running mean of the loss has risen to 4 times its lowest value, or if a loss or gradient
    is not finite.

    Args:
        trainer: trainer of a fresh model, whose weights are useless afterwards. Its observers receive each step.
        low: learning rate of the first step.
        high: learning rate of the last step.
        steps: number of steps.

    Raises:
        RunError: if the first loss or its gradient is not finite.
    """
    rates = np.geomspace(low, high, steps)
    trainer.config = replace(
        trainer.config, schedule=Schedule.constant, warmup_steps=0, max_steps=steps, average=Average.none
    )
    losses: list[float] = []
    ended = "the highest rate was reached"
    made = make_steps(trainer, steps)
    for rate in rates:
        trainer.config.lr = float(rate)
        try:
            losses.append(next(made))
        except RunError:
            if not losses:
                raise
            ended = "the loss or its gradient was not finite"
            break
        trainer.tell({"train/loss": losses[-1], "train/learning_rate": float(rate)})
        if diverged(losses):
            ended = f"the mean loss had risen to {DIVERGENCE_FACTOR} times its lowest"
            break
    return RangeTest(rates[: len(losses)], np.array(losses), ended)
