"""This tool as a contestant: its trainer, as in a run, and a bare loop over the same model and batches."""

import tempfile
from collections.abc import Callable, Iterator
from copy import copy
from pathlib import Path
from typing import Any, cast

from hydra import compose, initialize_config_dir
from torch import Tensor, nn

from benchmarking.rows import load_rows
from benchmarking.turns import Turn, Work
from seqtrain.cli.hydra_setup import conf_directory, store_schemas
from seqtrain.commands.build import build_data, build_model
from seqtrain.config.data import Truncate
from seqtrain.config.loading import to_config
from seqtrain.config.root import Config
from seqtrain.data.base import Batch, Dataset
from seqtrain.data.rows.tokens import TokenRows
from seqtrain.data.text.classification import TextClassification
from seqtrain.layers.memory import map_tensors
from seqtrain.runs.directory import RunDirectory
from seqtrain.training.device import autocast, seed_everything
from seqtrain.training.events import TensorBoard
from seqtrain.training.objective import Objective
from seqtrain.training.observers import JsonLines
from seqtrain.training.optimizers import build_optimizer
from seqtrain.training.ranks import init_ranks
from seqtrain.training.trainer import Trainer


def composed(overrides: list[str]) -> Config:
    """The configuration of a command line, without checkpoints between evaluations, since the others write none."""
    store_schemas()
    with initialize_config_dir(str(conf_directory()), version_base="1.3"):
        return to_config(compose("train", overrides=[*overrides, "trainer.checkpoint_seconds=null"]))


class Counted:
    """A dataset whose batches are counted while they are read.

    Args:
        data: the dataset.
        rows: file of rows to train on instead of the dataset's own, see ``save_rows``.
    """

    def __init__(self, data: Dataset, rows: str | None):
        self.work = Work()
        if rows is not None:
            found = load_rows(rows)
            whole = TokenRows(found["tokens"], found["offsets"], int(found["offsets"].max()), Truncate.head)
            assert isinstance(data, TextClassification)
            data.tokens["train"], data.labels["train"] = whole, found["labels"]
        self.data = copy(data)
        vars(self.data).update(train_batches=self.train_batches)
        self.source = data

    def train_batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, which are counted."""
        for batch in self.source.train_batches(epoch, start):
            self.work.add(batch.num_tokens, batch.inputs.shape[0] * batch.inputs.shape[1])
            yield batch


def trainer(overrides: list[str], rows: str | None = None) -> tuple[Turn, int]:
    """A turn of the trainer with its logs, but without evaluations and checkpoints; in one process or several."""
    config = composed(overrides)
    ranks = init_ranks()
    seed_everything(config.seed)
    counted = Counted(build_data(config), rows)
    built = build_model(config, counted.data.spec)
    folder = tempfile.TemporaryDirectory()
    run = RunDirectory.claim(Path(folder.name) / "run", exact=True)
    trainer = Trainer(config.trainer, built.model, built.head, built.task, counted.data, run, built.device, ranks)
    trainer.observers = [TensorBoard(run.path), JsonLines(run.metrics_path)]
    turns = 0

    def unscored() -> None:
        """Go on without an evaluation, as if its score were good."""
        trainer.progress.evaluation_due, trainer.progress.best = False, 0.0

    trainer.validate = unscored  # type: ignore[method-assign]

    def turn(steps: int | None) -> Work:
        nonlocal turns
        assert folder  # kept until the process ends
        counted.work = Work()
        trainer.progress.epoch, trainer.progress.batch_index, trainer.progress.state = turns, 0, None
        trainer.total_steps = trainer.progress.step + min(steps or trainer.steps_in(turns), trainer.steps_in(turns))
        turns += 1
        trainer.fit()
        return counted.work

    return turn, built.num_parameters


def bare(overrides: list[str], rows: str | None = None) -> tuple[Turn, int]:
    """A turn of a bare loop: only forward, loss, backward, clipping and update; the reference for the trainer."""
    work, step, num_parameters = bare_steps(overrides, rows)
    turns = 0

    def turn(steps: int | None) -> Work:
        nonlocal turns
        counted = work(turns)
        for number, batch in enumerate(counted.data.train_batches(turns), 1):
            step(batch)
            if number == steps:
                break
        turns += 1
        return counted.work

    return turn, num_parameters


def bare_steps(
    overrides: list[str], rows: str | None = None, clock: Callable[[str], None] = lambda part: None
) -> tuple[Callable[[int], Counted], Callable[[Batch], None], int]:
    """Functions that start a turn and make one step on a batch, and the number of parameters.

    ``clock`` is called with the name of each part of a step when the part ends.
    """
    config = composed(overrides)
    seed_everything(config.seed)
    counted = Counted(build_data(config), rows)
    built = build_model(config, counted.data.spec)
    objective = Objective(built.model, built.head, built.task).train()
    parameters = list(objective.parameters())
    optimizer = build_optimizer(config.trainer, parameters)
    limit = cast(Any, config.trainer.max_grad_norm)
    state: Any = None

    def start(turn: int) -> Counted:
        nonlocal state
        counted.work, state = Work(), None
        return counted

    def step(batch: Batch) -> None:
        nonlocal state
        moved = batch.to(built.device)
        optimizer.zero_grad()
        clock("to the device")
        with autocast(built.device, config.trainer.precision):
            _, loss, state = objective(moved, state)
        state = map_tensors(state, Tensor.detach) if built.task.carries_state else None
        clock("forward")
        (loss / built.task.count(moved)).backward()
        clock("backward")
        nn.utils.clip_grad_norm_(parameters, limit)
        clock("clipping")
        optimizer.step()
        clock("update")

    return start, step, built.num_parameters
