"""Whether the training loss ended above where it began, which a run that diverges but stays finite would not say."""

from dataclasses import dataclass, field
from statistics import median
from typing import Any

LAST = 20
"""Steps at the end that are compared with the first; in runs of fewer than twice as many, half of all."""
LEAST = 5
"""Fewer are too few to tell a rise from noise."""
MARGIN = 0.1
"""How far above the first loss the last ones must lie at least, as a share of it."""


@dataclass
class LossCourse:
    """The training loss of the first step and of the last ones, each over this process's rows."""

    first: float | None = None
    """Of the initial weights. None if the run was begun by a version that did not keep it."""
    last: list[float] = field(default_factory=list)

    @classmethod
    def restored(cls, saved: dict[str, Any]) -> "LossCourse":
        """The losses that a checkpoint holds; raises TypeError or ValueError if it holds anything else."""
        course = cls(**saved)
        return cls(None if course.first is None else float(course.first), [float(loss) for loss in course.last])

    def add(self, loss: float, step: int) -> None:
        """Add the loss of a step; steps count from 0."""
        if step == 0:
            self.first = loss
        self.last = [*self.last[1 - LAST :], loss]

    def risen(self, steps: int) -> str | None:
        """What to say of a run of so many steps whose loss ended above where it began; None of any other.

        One batch differs from the next. So each of the last steps must have a higher loss than the first step had, and
        their median must be twice as high. In runs of at least 40 steps a tenth higher is enough, if the median is also
        twice as far from the first loss as from the lowest of the last.
        """
        last = self.last[-min(LAST, steps // 2) :]
        if self.first is None or len(last) < LEAST or min(last) <= self.first:
            return None
        ended, rise = median(last), median(last) - self.first
        clear = len(last) == LAST and rise > MARGIN * abs(self.first) and rise > 2 * (ended - min(last))
        if not clear and rise <= abs(self.first):
            return None
        return (
            f"the loss ended at {ended:.4g} (median of the last {len(last)} steps), above the {self.first:.4g} of the "
            "first step; lower trainer.lr, or look for it by seqtrain lr-find"
        )
