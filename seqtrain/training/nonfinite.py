"""Saves a step whose loss or gradient is not finite, and reports which value is not."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from seqtrain.data.base import Batch
from seqtrain.errors import RunError
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
