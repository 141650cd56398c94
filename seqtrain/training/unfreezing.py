"""Gradual unfreezing: which depth groups of a model train, as epochs pass.

Source: Howard and Ruder 2018, "Universal language model fine-tuning for text classification", section 3.3, where a
period is one epoch.
"""

from collections.abc import Sequence

from seqtrain.training.depth import DepthGroup

ROUNDING = 1e-9
"""More than the rounding error of a number of periods: 0.3 epochs are three periods of 0.1."""


class Unfreezing:
    """Lets the top depth group train at first, and one more from the top after each period.

    Gradients of the other groups are not computed, and the optimizer leaves them as they are. What trains follows from
    the place in training alone, so that a checkpoint need not store it.

    Args:
        groups: all groups, from the top.
        every: epochs of a period; None lets all groups train from the start.
    """

    def __init__(self, groups: Sequence[DepthGroup], every: float | None):
        self.groups, self.every = groups, every
        self.num_training = len(groups)

    def num_reached(self, epochs: float) -> int:
        """Number of groups that train in a step before which so many epochs have passed."""
        if self.every is None:
            return len(self.groups)
        return min(1 + int(epochs / self.every + ROUNDING), len(self.groups))

    def advance(self, epochs: float) -> bool:
        """Let the groups train that are reached after so many epochs; returns whether this changes which train."""
        count = self.num_reached(epochs)
        if count == self.num_training:
            return False
        self.num_training = count
        for i, group in enumerate(self.groups):
            group.let_train(i < count)
        return True

    def finish(self) -> None:
        """Mark all groups as trained ones again, once training has ended."""
        for group in self.groups:
            group.let_train(True)

    def untrained(self, epochs: float) -> list[str]:
        """Names of the groups that no step has trained, if so many epochs had passed before the last one."""
        return [group.name for group in self.groups[self.num_reached(epochs) :]]

    def plan(self) -> str:
        """When each group begins to train, for the log."""
        assert self.every is not None
        later = [f"{group.name} after {i * self.every:g}" for i, group in enumerate(self.groups) if i]
        return ", ".join([f"{self.groups[0].name} trains from the start", *later]) + (" epochs" if later else "")
