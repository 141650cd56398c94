"""Errors of values that are not finite: of a step, which is saved, and of the metric that chooses the checkpoint."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from seqtrain.data.base import Batch
from seqtrain.errors import RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.training.checkpoint import save_checkpoint


def nonfinite_error(
    path: Path, objective: nn.Module, group: Sequence[Batch], state: Any, content: dict[str, Any], loss: float
) -> RunError:
    """The error that says what is not finite in a step; the step, as it was before its update, is saved if possible.

    Args:
        path: file to write: ``content``, the tensors of the batches (``batches``), and their initial ``state``.
        objective: holds the gradients of the step.
        group: batches of the step.
        state: recurrent state before the first of the batches.
        content: weights and step number.
        loss: loss of the step.
    """
    named = objective.named_parameters()
    bad = [name for name, p in named if p.grad is not None and not p.grad.isfinite().all()]
    batches = [{name: value for name, value in vars(b).items() if isinstance(value, Tensor)} for b in group]
    try:
        save_checkpoint(path, content | {"batches": batches, "state": state})
        kept = f"are in {path}"
    except OSError as error:
        kept = f"were not saved, since {path} cannot be written ({error.strerror or error})"
    what = f"the gradient of {bad[0]}" if bad else "the loss"
    others = f" and {len(bad) - 1} other parameters" if bad[1:] else ""
    return RunError(
        f"step {content['step'] + 1}: {what}{others} is not finite (loss {loss:.4g}); stopped before the update, its "
        f"batch and weights {kept}. Lower trainer.lr or trainer.max_grad_norm, or use trainer.precision=fp32"
    )


def unscored_error(run: RunDirectory, monitor: str, step: int, value: float = math.inf) -> RunError:
    """The error of a run that has no best checkpoint, since the monitored metric was not finite at any evaluation.

    Args:
        run: the run, whose last checkpoint is saved.
        monitor: tag of the metric.
        step: the last step.
        value: the metric there. NaN ends the run at once, since it comes from the data, or from a model that is beyond
            repair; an infinite one may still become finite.
    """
    when = f"is {value}" if math.isnan(value) else "was not finite at any evaluation"
    return RunError(
        f"step {step}: {monitor} {when}, so that it cannot choose the best checkpoint (the weights are in "
        f"{run.checkpoint_path('last')}). Look in the validation rows for values that are not finite or very large, "
        "lower trainer.lr, or use trainer.precision=fp32"
    )
