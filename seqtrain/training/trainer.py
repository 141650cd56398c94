"""The training loop."""

import math
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seqtrain.config.trainer import TrainerConfig
from seqtrain.data.base import Batch, Dataset
from seqtrain.errors import Interrupted, RunError
from seqtrain.interruption import Interruption
from seqtrain.layers.memory import map_tensors
from seqtrain.run_directory import RunDirectory, writing
from seqtrain.tasks.base import Task
from seqtrain.training.averaging import Averaging
from seqtrain.training.checkpoint import last_checkpoint, load_weights, save_checkpoint
from seqtrain.training.device import autocast, give_back_freed_memory, random_state, restore_random_state
from seqtrain.training.evaluation import evaluate
from seqtrain.training.nonfinite import nonfinite_error
from seqtrain.training.objective import Objective
from seqtrain.training.observers import Observer
from seqtrain.training.optimizers import build_optimizer
from seqtrain.training.ranks import SOLO, Ranks
from seqtrain.training.schedules import learning_rate
from seqtrain.training.window import Window

POSITION = (
    *("epoch", "batch_index", "evaluation_due", "seconds"),
    *("best", "best_step", "evaluations_since_best"),
)
"""Attributes of the trainer that a checkpoint keeps, beside ``step``."""

TIDY_STEPS = 100
"""Between times when freed memory is given back, which take 1 % of the time; evaluations do so too."""

SAVING_SHARE = 0.02
"""The most of the time that checkpoints between evaluations may take."""


class Trainer:
    """Trains a model and its head on a dataset for a task, and keeps the best and the last checkpoint.

    The order of steps, and with it every number, depends only on the config, the data and the seed; a run that goes on
    from its last checkpoint makes the steps that it would have made.

    Args:
        config: the options.
        model: inputs to features.
        head: features to outputs.
        task: loss and metrics.
        data: batches.
        run: where checkpoints go.
        device: where to compute; model and head are there already.
        ranks: the processes that train together. Each takes its rows of every batch.
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
        self.run_id = ranks.share(lambda: run.id)
        self.observers: list[Observer] = []
        self.parameters = list(nn.ModuleList([model, head]).parameters())  # those that both share once
        self.objective = Objective(model, head, task)
        self.parallel = ranks.parallel(self.objective)
        self.averaging = Averaging(config, model, head, task.maximize)
        self.optimizer = build_optimizer(config, self.parameters)
        self.total_steps = config.max_steps or sum(self.steps_in(epoch) for epoch in range(config.epochs))
        self.step = 0
        self.epoch = 0
        self.batch_index = 0  # of the next batch in the epoch
        self.evaluation_due = False
        self.state: Any = None  # recurrent state to start the next batch from
        self.best = -math.inf if task.maximize else math.inf
        self.best_step = 0
        self.evaluations_since_best = 0
        self.seconds = 0.0  # spent so far, in all sittings
        self.window, self.window_started = Window(), time.monotonic()
        self.started = self.window_started
        self.next_save = self.started + (config.checkpoint_seconds or 0.0)
        self.interruption = Interruption()

    def steps_in(self, epoch: int) -> int:
        """Optimizer steps in a whole epoch."""
        return math.ceil(self.data.num_batches(epoch) / self.config.accumulate)

    @property
    def finished(self) -> bool:
        """Whether the last step has been made, or patience has run out."""
        patience = self.config.patience
        return self.step >= self.total_steps or (patience is not None and self.evaluations_since_best >= patience)

    def fit(self) -> float:
        """Train to the end; returns the best value of the monitored metric.

        Raises:
            RunError: if a loss or gradient is not finite (the weights are those before that step), or a checkpoint
                cannot be written.
            Interrupted: after SIGTERM or Ctrl-C, once the step is made, or an evaluation given up, and all is saved.
        """
        self.started = time.monotonic() - self.seconds
        with Interruption() as self.interruption:
            try:
                while True:
                    if self.evaluation_due:
                        self.validate()
                    self.agree()
                    if self.finished:
                        return self.best
                    for group in self.groups():
                        self.train_step(group)
                        self.advance(len(group))
                        if self.step % self.config.log_every == 0 or self.step == self.total_steps:
                            self.log()
                        save = self.agree()
                        if self.evaluation_due or self.batch_index == 0:
                            break
                        if save:
                            self.save()
            except Interrupted as error:
                if error.orderly:
                    self.save()
                    error.add(f"saved at step {self.step}, go on by: seqtrain resume={self.run.path}")
                raise

    def agree(self) -> bool:
        """End in order if a signal has come to any process; returns whether it is time for a checkpoint in any."""
        stop, save = self.ranks.any(self.interruption.requested is not None, self.save_due())
        if stop:
            raise Interrupted(self.interruption.requested or signal.SIGTERM, orderly=True)
        return save

    def groups(self) -> Iterator[list[Batch]]:
        """The rest of the epoch's batches, in the groups that make up a step."""
        batches = self.data.train_batches(self.epoch, self.batch_index)
        while group := list(islice(batches, self.config.accumulate)):
            yield [batch.part(self.ranks.rank, self.ranks.size) for batch in group]

    def train_step(self, group: Sequence[Batch]) -> None:
        """One optimizer step on the mean loss over all batches of the group, and over those of all processes."""
        self.model.train()
        self.head.train()
        rate = learning_rate(self.config, self.step, self.total_steps)
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = rate * group[0].rate_scale
        self.optimizer.zero_grad(set_to_none=True)
        moved = [batch.to(self.device) for batch in group]
        total = self.ranks.sum(torch.stack([self.task.count(batch) * batch.weight for batch in moved]).sum())
        total += total == 0  # nothing to learn from, of missing targets say: a loss of 0
        loss, before = torch.zeros((), device=self.device), self.state
        for number, batch in enumerate(moved, 1):
            with self.ranks.summing(self.parallel, now=number == len(moved)):
                with autocast(self.device, self.config.precision):
                    part, penalised, state = self.parallel(batch, self.state)
                loss += part.detach() * batch.weight / total
                (penalised * (batch.weight * self.ranks.size / total)).backward()  # the processes' mean is taken
            self.state = map_tensors(state, Tensor.detach) if self.task.carries_state else None
        limit = math.inf if self.config.max_grad_norm is None else self.config.max_grad_norm
        norm = nn.utils.clip_grad_norm_(self.parameters, limit)
        mean_loss, grad_norm, weight = torch.stack([loss, norm, total]).tolist()  # the one wait for the device
        if not math.isfinite(mean_loss + grad_norm):
            path = self.run.path / ("nonfinite.pt" if self.ranks.first else f"nonfinite-{self.ranks.rank}.pt")
            weights = self.weights(self.model, self.head)
            raise nonfinite_error(path, self.objective, group, before, weights, mean_loss)
        self.optimizer.step()
        self.averaging.update()
        self.step += 1
        self.window.add(mean_loss, weight, grad_norm, moved)

    def advance(self, num_batches: int) -> None:
        """Move on in the epoch after a step, tidy up, and see whether an evaluation is due."""
        if self.step % TIDY_STEPS == 0:
            give_back_freed_memory()
        self.batch_index += num_batches
        epoch_ended = self.batch_index == self.data.num_batches(self.epoch)
        if epoch_ended:
            self.epoch, self.batch_index = self.epoch + 1, 0
        every = self.config.eval_every
        due = epoch_ended if every is None else self.step % every == 0
        self.evaluation_due = due or self.step == self.total_steps

    def log(self) -> None:
        """Tell the observers of the steps since the last entry."""
        epoch = self.epoch + self.batch_index / self.data.num_batches(self.epoch)
        rate = self.optimizer.param_groups[0]["lr"]
        entry = self.window.entry(self.window_started, self.ranks)
        self.tell(entry | {"train/learning_rate": rate, "train/epoch": epoch})
        self.window, self.window_started = Window(), time.monotonic()

    def tell(self, values: dict[str, float]) -> None:
        """Pass scalars of this step to the observers."""
        for observer in self.observers:
            observer.scalars(self.step, values)

    def validate(self) -> None:
        """Score the model on validation, tell the observers, and save it as the last and, if so, the best."""
        paused = time.monotonic()
        model, head = self.averaging.modules()
        batches = self.uninterrupted(self.data.eval_batches("validation"))
        precision = self.config.precision
        evaluation = evaluate(model, head, self.task, batches, self.device, precision, self.ranks)
        self.tell({f"val/{name}": score for name, score in evaluation.metrics.items()})
        if self.config.figures and self.ranks.first:
            figures = {f"val/{tag}": figure for tag, figure in self.task.figures(evaluation).items()}
            with torch.no_grad():
                drawn, texts = self.task.illustrate(model, head, self.data, self.device)
            for observer in self.observers:
                observer.media(self.step, figures | drawn, texts)
        value = evaluation.metrics[self.task.monitor]
        if value > self.best if self.task.maximize else value < self.best:
            self.best, self.best_step, self.evaluations_since_best = value, self.step, 0
            self.write("best", self.weights(model, head))
        else:
            self.evaluations_since_best += 1
        self.averaging.observe(value)
        give_back_freed_memory()
        self.evaluation_due = False
        self.window_started += time.monotonic() - paused
        self.save()

    def uninterrupted(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches of an evaluation, which a signal ends at once; it is made anew when the run goes on."""
        for batch in batches:
            self.agree()
            yield batch

    def save_due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return self.config.checkpoint_seconds is not None and time.monotonic() >= self.next_save

    def save(self) -> None:
        """Write the last checkpoint, and keep the one before it."""
        began = time.monotonic()
        self.seconds = began - self.started
        self.window.seconds = began - self.window_started
        content = self.weights(self.model, self.head) | self.progress()
        self.write("last", content, self.run.checkpoint_path("previous"))
        took = time.monotonic() - began
        self.window_started += took
        self.next_save = began + max(self.config.checkpoint_seconds or 0.0, took / SAVING_SHARE)

    def write(self, which: str, content: dict[str, Any], keep_as: Path | None = None) -> None:
        """Write a checkpoint, from the first process."""
        path = self.run.checkpoint_path(which)
        if self.ranks.first:
            with writing(path, self.run.path):
                save_checkpoint(path, content, keep_as)

    def weights(self, model: nn.Module, head: nn.Module) -> dict[str, Any]:
        """What prediction needs, as a checkpoint."""
        return {
            "run_id": self.run_id,
            "step": self.step,
            "model": model.state_dict(),
            "head": head.state_dict(),
        }

    def progress(self) -> dict[str, Any]:
        """What going on needs besides the weights."""
        own = {"state": map_tensors(self.state, Tensor.cpu), "random": random_state(), "window": asdict(self.window)}
        return {name: getattr(self, name) for name in POSITION} | {
            "optimizer": self.optimizer.state_dict(),
            "averaging": self.averaging.state_dict(),
            "ranks": self.ranks.gather(own),
        }

    def resume(self) -> None:
        """Go back to where the last checkpoint was saved, or where that is damaged, to the one before.

        Raises:
            RunError: if there is none that can be used, or it was saved by another number of processes.
        """
        saved = self.ranks.share(lambda: last_checkpoint(self.run))
        if len(saved["ranks"]) != self.ranks.size:
            raise RunError(
                f"{self.run.path}: was trained by {len(saved['ranks'])} processes, not {self.ranks.size}; go on by "
                f" torchrun --nproc-per-node={len(saved['ranks'])} -m seqtrain resume={self.run.path}"
            )
        load_weights(self.model, self.head, saved)
        self.optimizer.load_state_dict(saved["optimizer"])
        self.averaging.load_state_dict(saved["averaging"])
        for name in ("step", *POSITION):
            setattr(self, name, saved[name])
        own = saved["ranks"][self.ranks.rank]
        self.window = Window(**own["window"])
        self.window_started = time.monotonic() - self.window.seconds
        self.state = map_tensors(own["state"], lambda tensor: tensor.to(self.device))
        restore_random_state(own["random"])
