"""The training loop."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from seqtrain.config.trainer import TrainerConfig
from seqtrain.data.base import Batch, Dataset
from seqtrain.errors import RunError
from seqtrain.layers.memory import map_tensors
from seqtrain.run_directory import RunDirectory
from seqtrain.tasks.base import Task
from seqtrain.training.averaging import Averaging
from seqtrain.training.checkpoint import load_checkpoint, load_weights, save_checkpoint
from seqtrain.training.device import autocast, random_state, restore_random_state
from seqtrain.training.evaluation import evaluate
from seqtrain.training.observers import Observer
from seqtrain.training.optimizers import build_optimizer
from seqtrain.training.schedules import learning_rate


@dataclass
class Window:
    """Sums over the steps since the last log entry."""

    loss: float = 0.0
    weight: float = 0.0
    grad_norm: float = 0.0
    """The largest."""
    tokens: int = 0
    places: int = 0
    """Tokens and padding."""
    seconds: float = 0.0
    """Spent before the last checkpoint."""


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
    ):
        self.config, self.model, self.head, self.task, self.data = config, model, head, task, data
        self.run, self.run_id, self.device = run, run.id, device
        self.observers: list[Observer] = []
        self.parameters = list(nn.ModuleList([model, head]).parameters())  # those that both share once
        self.averaging = Averaging(config, model, head, task.maximize)
        self.optimizer = build_optimizer(config, self.parameters)
        self.total_steps = config.max_steps or sum(self.steps_in(epoch) for epoch in range(config.epochs))
        self.step = 0
        self.epoch = 0
        self.batch_index = 0  # of the next batch in the epoch
        self.state: Any = None  # recurrent state to start the next batch from
        self.best = -math.inf if task.maximize else math.inf
        self.best_step = 0
        self.evaluations_since_best = 0
        self.seconds = 0.0  # spent so far, in all sittings
        self.window, self.window_started = Window(), time.monotonic()

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
            RunError: if a loss or gradient is not finite; the weights are those before that step.
        """
        started = time.monotonic() - self.seconds
        while not self.finished:
            for group in self.groups():
                self.train_step(group)
                self.batch_index += len(group)
                epoch_ended = self.batch_index == self.data.num_batches(self.epoch)
                if epoch_ended:
                    self.epoch, self.batch_index = self.epoch + 1, 0
                if self.step % self.config.log_every == 0 or self.step == self.total_steps:
                    self.log()
                every = self.config.eval_every
                if self.step == self.total_steps or (epoch_ended if every is None else self.step % every == 0):
                    self.seconds = time.monotonic() - started
                    self.validate_and_save()
                if epoch_ended or self.finished:
                    break
        return self.best

    def groups(self) -> Iterator[list[Batch]]:
        """The rest of the epoch's batches, in the groups that make up a step."""
        batches = self.data.train_batches(self.epoch, self.batch_index)
        while group := list(islice(batches, self.config.accumulate)):
            yield group

    def train_step(self, group: Sequence[Batch]) -> None:
        """One optimizer step on the mean loss over all batches of the group."""
        self.model.train()
        self.head.train()
        rate = learning_rate(self.config, self.step, self.total_steps)
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = rate * group[0].rate_scale
        self.optimizer.zero_grad(set_to_none=True)
        moved = [batch.to(self.device) for batch in group]
        total = torch.stack([self.task.count(batch) for batch in moved]).sum()
        loss = torch.zeros((), device=self.device)
        for batch in moved:
            with autocast(self.device, self.config.precision):
                features, state = self.task.features(self.model, self.head, batch, self.state)
                part = self.task.loss(self.head, features, batch) / total
            loss += part.detach()
            if (penalty := getattr(self.model, "penalty", None)) is not None:
                part = part + penalty * self.task.count(batch) / total
            part.backward()
            self.state = map_tensors(state, Tensor.detach) if self.task.carries_state else None
        limit = math.inf if self.config.max_grad_norm is None else self.config.max_grad_norm
        norm = nn.utils.clip_grad_norm_(self.parameters, limit)
        mean_loss, grad_norm, weight = torch.stack([loss, norm, total]).tolist()  # the one wait for the device
        if not math.isfinite(mean_loss + grad_norm):
            raise RunError(
                f"step {self.step + 1}: loss is {mean_loss} and gradient norm {grad_norm}; stopped before the update. "
                "Lower trainer.lr or trainer.max_grad_norm, or use trainer.precision=fp32"
            )
        self.optimizer.step()
        self.averaging.update()
        self.step += 1
        self.window.loss += mean_loss * weight
        self.window.weight += weight
        self.window.grad_norm = max(self.window.grad_norm, grad_norm)
        self.window.tokens += sum(batch.num_tokens for batch in group)
        self.window.places += sum(batch.inputs.shape[0] * batch.inputs.shape[1] for batch in group)

    def log(self) -> None:
        """Tell the observers of the steps since the last entry."""
        window = self.window
        self.tell(
            {
                "train/loss": window.loss / window.weight,
                "train/learning_rate": self.optimizer.param_groups[0]["lr"],
                "train/grad_norm": window.grad_norm,
                "train/tokens_per_second": window.tokens / (time.monotonic() - self.window_started),
                "train/padding_waste": 1 - window.tokens / window.places,
                "train/epoch": self.epoch + self.batch_index / self.data.num_batches(self.epoch),
            }
        )
        self.window, self.window_started = Window(), time.monotonic()

    def tell(self, values: dict[str, float]) -> None:
        """Pass scalars of this step to the observers."""
        for observer in self.observers:
            observer.scalars(self.step, values)

    def validate_and_save(self) -> None:
        """Score the model on validation, tell the observers, and save it as the last and, if so, the best."""
        paused = time.monotonic()
        self.window.seconds = paused - self.window_started
        model, head = self.averaging.modules()
        batches = self.data.eval_batches("validation")
        evaluation = evaluate(model, head, self.task, batches, self.device, self.config.precision)
        self.tell({f"val/{name}": score for name, score in evaluation.metrics.items()})
        if self.config.figures:
            figures = {f"val/{tag}": figure for tag, figure in self.task.figures(evaluation).items()}
            with torch.no_grad():
                drawn, texts = self.task.illustrate(model, head, self.data, self.device)
            for observer in self.observers:
                observer.media(self.step, figures | drawn, texts)
        value = evaluation.metrics[self.task.monitor]
        if value > self.best if self.task.maximize else value < self.best:
            self.best, self.best_step, self.evaluations_since_best = value, self.step, 0
            save_checkpoint(self.run.checkpoint_path("best"), self.weights(model, head))
        else:
            self.evaluations_since_best += 1
        self.averaging.observe(value)
        save_checkpoint(self.run.checkpoint_path("last"), self.weights(self.model, self.head) | self.progress())
        self.window_started += time.monotonic() - paused

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
        return {
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "batch_index": self.batch_index,
            "state": self.state,
            "best": self.best,
            "best_step": self.best_step,
            "evaluations_since_best": self.evaluations_since_best,
            "seconds": self.seconds,
            "window": asdict(self.window),
            "averaging": self.averaging.state_dict(),
            "random": random_state(),
        }

    def resume(self) -> None:
        """Go back to where the last checkpoint was saved; raises RunError if it cannot be used."""
        saved = load_checkpoint(self.run.checkpoint_path("last"), self.run_id)
        load_weights(self.model, self.head, saved)
        self.optimizer.load_state_dict(saved["optimizer"])
        self.averaging.load_state_dict(saved["averaging"])
        for name in ("step", "epoch", "batch_index", "best", "best_step", "evaluations_since_best", "seconds"):
            setattr(self, name, saved[name])
        self.window = Window(**saved["window"])
        self.window_started = time.monotonic() - self.window.seconds
        self.state = map_tensors(saved["state"], lambda tensor: tensor.to(self.device))
        restore_random_state(saved["random"])
