"""Steps of a trainer and nothing else: no evaluation, no checkpoint, no end before the last one asked for."""

from collections.abc import Iterator
from itertools import islice

from seqtrain.training.step_sums import StepSums
from seqtrain.training.trainer import Trainer


def make_steps(trainer: Trainer, count: int) -> Iterator[float]:
    """Make the next ``count`` steps, epoch after epoch, each as its loss is asked for.

    Args:
        trainer: makes them; its ``config.lr`` may be changed between them.
        count: of steps.

    Yields:
        The loss of each step, before its update.

    Raises:
        RunError: if a loss or gradient is not finite; the weights are those before that step.
    """
    last = trainer.progress.step + count
    while trainer.progress.step < last:
        for group in islice(trainer.groups(), last - trainer.progress.step):
            trainer.progress.sums = StepSums()
            trainer.train_step(group)
            trainer.advance(len(group))
            yield trainer.progress.sums.loss / trainer.progress.sums.weight
