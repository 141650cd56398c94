"""A step whose loss or gradient is not finite: kept for inspection, and named."""

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
    """Save a step before its update, if that can be, and make the error that says what is not finite in it.

    Args:
        path: where to save it: ``content``, the tensors of the batches (``batches``) and the ``state`` they began with.
        objective: with the gradients of the step.
        group: its batches.
        state: the recurrent state that they began with.
        content: weights and step.
        loss: of the step.
    """
    named = objective.named_parameters()
    bad = [name for name, p in named if p.grad is not None and not p.grad.isfinite().all()]
    batches = [{name: value for name, value in vars(b).items() if isinstance(value, Tensor)} for b in group]
    try:
        save_checkpoint(path, content | {"batches": batches, "state": state})
        kept = f"are in {path}"
    except OSError as error:
        kept = f"are lost, since {path} cannot be written ({error.strerror or error})"
    what = f"the gradient of {bad[0]}" if bad else "the loss"
    others = f" and {len(bad) - 1} other parameters" if bad[1:] else ""
    return RunError(
        f"step {content['step'] + 1}: {what}{others} is not finite (loss {loss:.4g}); stopped before the update, its "
        f"batch and weights {kept}. Lower trainer.lr or trainer.max_grad_norm, or use trainer.precision=fp32"
    )
