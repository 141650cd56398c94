"""The progress of training, and how it is saved and restored, so that a resumed run makes exactly the same steps."""

import math
import time
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from seqtrain.errors import RunError
from seqtrain.layers.memory import map_tensors
from seqtrain.runs.directory import RunDirectory
from seqtrain.training.averaging import Averaging
from seqtrain.training.checkpoint import last_checkpoint, load_weights
from seqtrain.training.device import random_state, restore_random_state
from seqtrain.training.health import Watched
from seqtrain.training.loss_course import LossCourse
from seqtrain.training.ranks import Ranks
from seqtrain.training.step_sums import StepSums


@dataclass
class Progress:
    """All that changes from step to step, besides weights, optimizer and averaging."""

    best: float
    """Best value of the monitored metric on validation so far."""
    best_loss: float = math.inf
    """Loss of that evaluation; infinite if the task has none."""
    step: int = 0
    """Number of steps made."""
    epoch: int = 0
    batch_index: int = 0
    """Index in the epoch of the next batch."""
    evaluation_due: bool = False
    best_step: int = 0
    evaluations_since_best: int = 0
    seconds: float = 0.0
    """Time spent on training so far, without the time between interruptions."""
    state: Any = None
    """Recurrent state before the next batch, of this process's rows."""
    losses: LossCourse = field(default_factory=LossCourse)
    """Of the first process's rows once the run is resumed."""
    watched: Watched = field(default_factory=Watched)
    """For the health panel; only in the first process."""
    sums: StepSums = field(default_factory=StepSums)
    """Sums over this process's steps since the last log entry."""
    sums_started: float = field(default_factory=time.monotonic)
    """When ``sums`` started, on the monotonic clock."""

    def beaten_by(self, value: float, loss: float, maximize: bool) -> bool:
        """Whether an evaluation is better than the best so far: by the monitored metric, at equal values by the loss.

        A few rows are soon all right; the loss tells which weights are surer of that.
        """
        if value == self.best:
            return loss < self.best_loss
        return value > self.best if maximize else value < self.best


PER_RANK = {"state", "sums", "sums_started"}
"""Fields whose values differ between processes."""
SHARED = [f.name for f in fields(Progress) if f.name not in PER_RANK | {"losses", "watched"}]


def save_progress(progress: Progress, optimizer: Optimizer, averaging: Averaging, ranks: Ranks) -> dict[str, Any]:
    """All that a checkpoint stores besides the weights; to be called by all processes."""
    own = {
        "state": map_tensors(progress.state, Tensor.cpu),
        "random": random_state(),
        "window": asdict(progress.sums),
    }
    return {name: getattr(progress, name) for name in SHARED} | {
        "optimizer": optimizer.state_dict(),
        "averaging": averaging.state_dict(),
        "losses": asdict(progress.losses),
        "watched": asdict(progress.watched),
        "ranks": ranks.gather(own),
    }


def load_progress(
    run: RunDirectory,
    model: nn.Module,
    head: nn.Module,
    optimizer: Optimizer,
    averaging: Averaging,
    device: torch.device,
    ranks: Ranks,
) -> Progress:
    """Restore training from a run's last checkpoint or, if that is damaged, from the one before.

    Weights, optimizer, averaging and random generators are set in place; the recurrent state is moved to the device.

    Raises:
        RunError: if no checkpoint can be used, or it was saved by a different number of processes.
    """
    saved = {"best_loss": math.inf} | ranks.broadcast(lambda: last_checkpoint(run))  # earlier versions did not save it
    check_progress(run, saved)
    if len(saved["ranks"]) != ranks.size:
        raise RunError(
            f"{run.path}: was trained by {len(saved['ranks'])} processes, not {ranks.size}; resume it by "
            f"torchrun --nproc-per-node={len(saved['ranks'])} -m seqtrain resume={run.path}"
        )
    load_weights(model, head, saved)
    try:
        optimizer.load_state_dict(saved["optimizer"])
        averaging.load_state_dict(saved["averaging"])
        own = saved["ranks"][ranks.rank]
        sums = StepSums(**own["window"])
        restore_random_state(own["random"])
        state = map_tensors(own["state"], lambda tensor: tensor.to(device))
        losses = LossCourse.restored(saved.get("losses", {}))  # earlier versions did not save these
        watched = Watched.restored(saved.get("watched", {}))
    except torch.OutOfMemoryError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise RunError(f"{run.path}: its last checkpoint does not fit ({reason}); train again") from error
    return Progress(
        **{name: saved[name] for name in SHARED},
        losses=losses,
        watched=watched,
        state=state,
        sums=sums,
        sums_started=time.monotonic() - sums.seconds,
    )


def check_progress(run: RunDirectory, saved: dict[str, Any]) -> None:
    """Raise RunError unless a checkpoint has all that a run is resumed from, and numbers where they belong."""
    parts = {"ranks": list, "optimizer": dict, "averaging": dict}
    kinds = {name: type(getattr(Progress(0.0), name)) for name in SHARED} | parts
    for name, kind in kinds.items():
        if not isinstance(saved.get(name), int | float if kind is float else kind):
            raise RunError(f"{run.path}: its last checkpoint has no valid {name!r}; train again")
