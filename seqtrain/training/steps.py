"""Bare steps of a trainer: without evaluation, checkpoints or early stopping."""

from collections.abc import Iterator
from itertools import islice

from seqtrain.training.step_sums import StepSums
from seqtrain.training.trainer import Trainer


def make_steps(trainer: Trainer, count: int) -> Iterator[float]:
    """Make the next ``count`` steps lazily, each when its loss is requested.

    Args:
        trainer: makes the steps; its ``config.lr`` may be changed between them.
        count: number of steps.

    Yields:
        The loss of each step, before its update.

    Raises:
        RunError: if a loss or gradient is not finite; the weights are then those before that step.
    """
    last = trainer.progress.step + count
    while trainer.progress.step < last:
        for group in islice(trainer.groups(), last - trainer.progress.step):
            trainer.progress.sums = StepSums()
            trainer.train_step(group)
            trainer.advance(len(group))
            yield trainer.progress.sums.loss / trainer.progress.sums.weight
