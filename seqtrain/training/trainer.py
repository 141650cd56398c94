"""The training loop."""

import math
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seqtrain.config.trainer import TrainerConfig
from seqtrain.data.base import Batch, Dataset
from seqtrain.errors import Interrupted
from seqtrain.interruption import Interruption
from seqtrain.layers.memory import map_tensors
from seqtrain.runs.directory import RunDirectory, writing
from seqtrain.tasks.base import Task
from seqtrain.tasks.drawing import headed, heading
from seqtrain.training.averaging import Averaging
from seqtrain.training.checkpoint import save_checkpoint
from seqtrain.training.depth import depth_groups
from seqtrain.training.device import autocast, trim_memory
from seqtrain.training.evaluation import evaluate
from seqtrain.training.health import Health
from seqtrain.training.media import parameter_values
from seqtrain.training.nonfinite import nonfinite_error, unscored_error
from seqtrain.training.objective import Objective
from seqtrain.training.observers import Observer
from seqtrain.training.optimizers import build_optimizer, set_rates
from seqtrain.training.progress import Progress, load_progress, save_progress
from seqtrain.training.ranks import SOLO, Ranks
from seqtrain.training.schedules import learning_rate
from seqtrain.training.step_sums import StepSums
from seqtrain.training.unfreezing import Unfreezing
from seqtrain.training.utilisation import Utilisation

TRIM_STEPS = 100
"""Steps between two returns of freed memory to the system, which take 1 % of the time; evaluations return it too."""

MAX_SAVING_SHARE = 0.02
"""Largest share of the time that checkpoints between evaluations may take."""


class Trainer:
    """Trains a model and its head on a dataset for a task, and saves the best and the last checkpoint.

    All results depend only on the config, the data and the seed. A run that is resumed from its last checkpoint makes
    exactly the steps that it would have made without the interruption.

    Args:
        config: the options.
        model: maps inputs to features.
        head: maps features to outputs.
        task: defines the loss and the metrics.
        data: yields the batches.
        run: directory for the checkpoints.
        device: device of model and head, on which to compute.
        ranks: the processes that train together. Each computes its rows of every batch.
    """

    def __init__(
        self,
        config: TrainerConfig,
        model: nn.Module,
        head: nn.Module,
        task: Task,
        data: Dataset,
        run: RunDirectory,
        device: torch.device,
        ranks: Ranks = SOLO,
    ):
        self.config, self.model, self.head, self.task, self.data = config, model, head, task, data
        self.run, self.device, self.ranks = run, device, ranks
        self.run_id = ranks.broadcast(lambda: run.id)
        self.observers: list[Observer] = []
        self.parameters = list(nn.ModuleList([model, head]).parameters())  # parameters shared by both are listed once
        self.objective = Objective(model, head, task)
        self.parallel = ranks.parallel(self.objective)
        self.averaging = Averaging(config, model, head, task.maximize)
        groups = depth_groups(model, head)
        self.unfreezing = Unfreezing(groups, config.unfreeze)
        self.health = Health(task, data, device, groups, enabled=config.probe and ranks.first)
        self.utilisation = Utilisation(device, config.precision, ranks.size, enabled=ranks.first)
        apart = config.layer_lr_decay < 1 or config.unfreeze is not None
        self.optimizer = build_optimizer(config, *([g.parameters for g in groups] if apart else [self.parameters]))
        self.total_steps = self.length(config)
        self.eval_every = config.eval_every
        if config.eval_every is None and config.evaluations is not None:
            self.eval_every = math.ceil(self.total_steps / config.evaluations)
        self.progress = Progress(best=-math.inf if task.maximize else math.inf)
        self.started = time.monotonic()
        self.next_save = self.started + (config.checkpoint_seconds or 0.0)
        self.interruption = Interruption()

    def steps_in(self, epoch: int) -> int:
        """Optimizer steps in a whole epoch."""
        return math.ceil(self.data.num_batches(epoch) / self.config.accumulate)

    def length(self, config: TrainerConfig) -> int:
        """Optimizer steps of a whole run with these options, if patience does not end it."""
        if config.max_steps is not None:
            return config.max_steps
        if config.epochs is not None:
            return self.steps_of(config.epochs)
        return max(config.min_steps or 1, self.steps_of(config.min_epochs))

    def steps_of(self, epochs: int) -> int:
        """Optimizer steps of so many epochs."""
        return sum(self.steps_in(epoch) for epoch in range(epochs))

    def lengthened(self) -> str | None:
        """Remark that ``min_steps`` makes the run longer than ``min_epochs``; None if it does not."""
        config = self.config
        if config.max_steps is not None or config.epochs is not None or config.min_steps is None:
            return None
        if (steps := self.steps_of(config.min_epochs)) >= config.min_steps:
            return None
        return (
            f"trainer.min_steps={config.min_steps}: more than the {steps} steps of trainer.min_epochs="
            f"{config.min_epochs}; trainer.epochs={config.min_epochs} trains for these alone"
        )

    @property
    def epochs_passed(self) -> float:
        """Epochs that the steps so far have made."""
        progress = self.progress
        return progress.epoch + progress.batch_index / self.data.num_batches(progress.epoch)

    def untrained(self, steps: int) -> list[str]:
        """Names of the depth groups that the first ``steps`` steps of a run leave frozen."""
        epoch, last = 0, steps - 1
        while last >= self.steps_in(epoch):
            epoch, last = epoch + 1, last - self.steps_in(epoch)
        return self.unfreezing.untrained(epoch + last * self.config.accumulate / self.data.num_batches(epoch))

    def precedes_panel(self, num_batches: int) -> bool:
        """Whether the next step, of so many batches, is followed by an evaluation with a health panel."""
        progress, every = self.progress, self.eval_every
        if not self.health.due(progress.watched, progress.step + 1):
            return False
        if progress.step + 1 == self.total_steps:
            return True
        if every is not None:
            return (progress.step + 1) % every == 0
        return progress.batch_index + num_batches == self.data.num_batches(progress.epoch)

    @property
    def at_evaluation(self) -> bool:
        """Whether the last step is followed by an evaluation, wherever the run ends."""
        progress, every = self.progress, self.eval_every
        return progress.batch_index == 0 if every is None else progress.step % every == 0

    @property
    def finished(self) -> bool:
        """Whether all steps have been made, or patience is exhausted."""
        progress = self.progress
        patience = self.config.patience
        return progress.step >= self.total_steps or (
            patience is not None and progress.evaluations_since_best >= patience
        )

    def fit(self) -> float:
        """Train to the end; returns the best value of the monitored metric on validation.

        Raises:
            RunError: if a loss or gradient is not finite (the weights are then those before that step), the monitored
                metric is never finite, or a checkpoint cannot be written.
            Interrupted: after SIGTERM or Ctrl-C. The current step is completed, or the current evaluation aborted, and
                a checkpoint is saved first.
        """
        progress = self.progress
        self.started = time.monotonic() - progress.seconds
        with Interruption() as self.interruption:
            try:
                while True:
                    if progress.evaluation_due:
                        self.validate()
                    self.poll()
                    if self.finished:
                        if not math.isfinite(progress.best):
                            raise unscored_error(self.run, monitor=f"val/{self.task.monitor}", step=progress.step)
                        return progress.best
                    for group in self.groups():
                        watching = self.health.watching(progress.watched, self.precedes_panel(len(group)))
                        with watching, self.utilisation.counting(sum(batch.num_tokens for batch in group)):
                            self.train_step(group)
                        self.advance(len(group))
                        if progress.step % self.config.log_every == 0 or progress.step == self.total_steps:
                            self.log()
                        save = self.poll()
                        if progress.evaluation_due or progress.batch_index == 0:
                            break
                        if save:
                            self.save()
            except Interrupted as error:
                if error.orderly:
                    self.save()
                    error.add(f"saved at step {progress.step}, resume by: seqtrain resume={self.run.path}")
                raise
            finally:
                self.unfreezing.finish()

    def poll(self) -> bool:
        """Raise Interrupted if any process has received a signal; return whether a checkpoint is due in any process."""
        stop, save = self.ranks.any(self.interruption.requested is not None, self.save_due())
        if stop:
            raise Interrupted(self.interruption.requested or signal.SIGTERM, orderly=True)
        return save

    def groups(self) -> Iterator[list[Batch]]:
        """The remaining batches of the epoch, in groups of ``accumulate``, each for one step."""
        batches = self.data.train_batches(self.progress.epoch, self.progress.batch_index)
        while group := list(islice(batches, self.config.accumulate)):
            yield [batch.shard(self.ranks.rank, self.ranks.size) for batch in group]

    def train_step(self, group: Sequence[Batch]) -> None:
        """Make one optimizer step on the mean loss over all batches of a group, in all processes."""
        progress = self.progress
        if self.unfreezing.advance(self.epochs_passed):
            self.parallel = self.ranks.parallel(self.objective)  # it expects gradients of all that it was made with
        self.model.train()
        self.head.train()
        self.task.begin_step(progress.step / self.total_steps)
        rate = learning_rate(self.config, progress.step, self.total_steps)
        set_rates(self.optimizer, rate * group[0].rate_scale, self.config.layer_lr_decay)
        self.optimizer.zero_grad(set_to_none=True)
        moved = [batch.to(self.device) for batch in group]
        total = self.ranks.sum(torch.stack([self.task.count(batch) * batch.weight for batch in moved]).sum())
        total += total == 0  # no targets, for example since all are missing: the loss is 0
        loss, before = torch.zeros((), device=self.device), progress.state
        regularisation = torch.zeros((), device=self.device)
        turns = list(product(moved, self.objective.turns))
        for number, (batch, turn) in enumerate(turns, 1):
            with self.ranks.gradient_sync(self.parallel, enabled=number == len(turns)):
                with autocast(self.device, self.config.precision):
                    part, penalised, state = self.parallel(batch, progress.state, turn)
                loss += part.detach() * batch.weight / total
                if self.objective.regularised:
                    regularisation += (penalised - part).detach() * batch.weight / total
                (penalised * (batch.weight * self.ranks.size / total)).backward()  # DDP averages over processes
            progress.state = map_tensors(state, Tensor.detach) if self.task.carries_state else None
        limit = math.inf if self.config.max_grad_norm is None else self.config.max_grad_norm
        norm = nn.utils.clip_grad_norm_(self.parameters, limit)
        # This is the only wait for the device in a step.
        mean_loss, grad_norm, weight, extra = torch.stack([loss, norm, total, regularisation]).tolist()
        if not math.isfinite(mean_loss + grad_norm):
            path = self.run.path / ("nonfinite.pt" if self.ranks.first else f"nonfinite-{self.ranks.rank}.pt")
            weights = self.weights(self.model, self.head)
            raise nonfinite_error(path, self.objective, group, before, weights, mean_loss)
        self.optimizer.step()
        self.averaging.update()
        progress.losses.add(mean_loss * self.ranks.size, progress.step)
        progress.step += 1
        progress.sums.add(mean_loss, extra, weight, grad_norm, limit, moved)

    def advance(self, num_batches: int) -> None:
        """Advance the position in the epoch after a step, and determine whether an evaluation is due."""
        progress = self.progress
        if progress.step % TRIM_STEPS == 0:
            trim_memory()
        progress.batch_index += num_batches
        if progress.batch_index == self.data.num_batches(progress.epoch):
            progress.epoch, progress.batch_index = progress.epoch + 1, 0
        progress.evaluation_due = self.at_evaluation or progress.step == self.total_steps

    def log(self) -> None:
        """Send the observers an entry about the steps since the last entry."""
        progress = self.progress
        rate = self.optimizer.param_groups[0]["lr"]
        entry = progress.sums.entry(progress.sums_started, self.ranks)
        entry |= self.utilisation.logged(entry["train/tokens_per_second"])
        entry |= self.health.logged(progress.watched, progress.sums)
        self.tell(entry | {"train/learning_rate": rate, "train/epoch": self.epochs_passed})
        progress.sums, progress.sums_started = StepSums(), time.monotonic()

    def tell(self, values: dict[str, float]) -> None:
        """Send scalars of the current step to the observers."""
        for observer in self.observers:
            observer.scalars(self.progress.step, values)

    def validate(self) -> None:
        """Score the model on validation, inform the observers, and save the last and (if better) best checkpoint."""
        progress = self.progress
        paused = time.monotonic()
        model, head = self.averaging.modules()
        batches = self.interruptible(self.data.eval_batches("validation"))
        precision = self.config.precision
        evaluation = evaluate(model, head, self.task, batches, self.device, precision, self.ranks)
        measured = self.health.evaluated(progress.watched, model, head, progress.step)
        self.tell({f"val/{name}": score for name, score in evaluation.metrics.items()} | measured)
        value = evaluation.metrics[self.task.monitor]
        loss = evaluation.metrics.get("loss", math.inf)
        better = progress.beaten_by(value, loss, self.task.maximize)
        if self.config.figures and self.ranks.first:
            figures = {f"val/{tag}": figure for tag, figure in self.task.figures(evaluation).items()}
            with torch.no_grad():
                drawn, texts = self.task.illustrate(model, head, self.data, self.device)
            remark = "best so far" if better else f"best at step {progress.best_step:,}"
            what = heading("validation", progress.step, self.task.monitor, value, remark)
            for observer in self.observers:
                observer.media(progress.step, headed(figures | drawn, what), texts)
        if self.config.histograms and self.ranks.first:
            values = parameter_values({"model": self.model, "head": self.head})
            for observer in self.observers:
                observer.histograms(progress.step, values)
        if math.isnan(value) and not math.isfinite(progress.best):
            self.save()
            raise unscored_error(self.run, monitor=f"val/{self.task.monitor}", value=value, step=progress.step)
        better = better and math.isfinite(value)
        surpassed = better and value != progress.best  # trainer.patience is of the metric, not of the loss
        progress.evaluations_since_best = 0 if surpassed else progress.evaluations_since_best + 1
        if better:
            progress.best, progress.best_loss, progress.best_step = value, loss, progress.step
            self.write("best", self.weights(model, head))
        self.averaging.observe(value)
        trim_memory()
        progress.evaluation_due = False
        progress.sums_started += time.monotonic() - paused
        self.save()

    def interruptible(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches of an evaluation. A signal aborts it between two batches; a resumed run repeats it."""
        for batch in batches:
            self.poll()
            yield batch

    def save_due(self) -> bool:
        """Whether enough time has passed since the last checkpoint."""
        return self.config.checkpoint_seconds is not None and time.monotonic() >= self.next_save

    def save(self) -> None:
        """Write the ``last`` checkpoint, and keep the one before it as ``previous``."""
        progress = self.progress
        start = time.monotonic()
        progress.seconds = start - self.started
        progress.sums.seconds = start - progress.sums_started
        content = self.weights(self.model, self.head)
        content |= save_progress(self.progress, self.optimizer, self.averaging, self.ranks)
        self.write("last", content, self.run.checkpoint_path("previous"))
        took = time.monotonic() - start
        progress.sums_started += took
        self.next_save = start + max(self.config.checkpoint_seconds or 0.0, took / MAX_SAVING_SHARE)

    def write(self, which: str, content: dict[str, Any], keep_as: Path | None = None) -> None:
        """Write a checkpoint; only the first process does so."""
        path = self.run.checkpoint_path(which)
        if self.ranks.first:
            with writing(path, self.run.path):
                save_checkpoint(path, content, keep_as)

    def weights(self, model: nn.Module, head: nn.Module) -> dict[str, Any]:
        """The content of a checkpoint that is needed for prediction."""
        return {
            "run_id": self.run_id,
            "step": self.progress.step,
            "model": model.state_dict(),
            "head": head.state_dict(),
        }

    def resume(self) -> None:
        """Restore training from the last checkpoint; see ``load_progress``."""
        self.progress = load_progress(
            self.run, self.model, self.head, self.optimizer, self.averaging, self.device, self.ranks
        )
