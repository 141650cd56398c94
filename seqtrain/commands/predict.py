"""Predict with a run's model, from the shell or from Python."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from seqtrain.commands.build import Built, load_trained
from seqtrain.commands.evaluate import check_changes, check_choice
from seqtrain.commands.members import open_members, task_of
from seqtrain.commands.output import check_output, write_table
from seqtrain.config import registry
from seqtrain.config.loading import from_yaml, to_config
from seqtrain.config.root import Config
from seqtrain.data.base import Batch
from seqtrain.data.spec import DataSpec
from seqtrain.errors import RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.tasks.predicting import Predictor, Trained
from seqtrain.training.evaluation import each_batch

log = logging.getLogger(__name__)


def load(run: str | Path, checkpoint: str = "best", device: str = "auto") -> Predictor:
    """Load the predictor of a run directory.

    Raises:
        RunError: if the directory is not a run, or its checkpoint is missing or damaged.
    """
    directory = RunDirectory.open(str(run), ensembles=True)
    saved = to_config(from_yaml(directory.config_path))
    return predictor(saved, replace(saved, device=device), directory, checkpoint)


def predictor(saved: Config, config: Config, run: RunDirectory, checkpoint: str) -> Predictor:
    """The predictor of a run, or of an ensemble: that of its first member, which averages the outputs of all.

    Args:
        saved: the run's configuration.
        config: the same with changes.
        run: its directory.
        checkpoint: ``best`` or ``last``; an ensemble has only the best ones of its members.
    """
    kind = predictor_class(config)
    if not run.is_ensemble:
        return kind(trained(config, run, checkpoint)[0])
    check_choice("checkpoint", checkpoint, ("best",))
    members = []
    for member in open_members(saved, config, run):
        loaded, step = trained(member.config, member.run, checkpoint)
        member.check_step(step)
        members.append(kind(loaded))
    pool = kind(replace(members[0].trained, task=task_of(config, run)))
    pool.members = members
    return pool


def trained(config: Config, run: RunDirectory, checkpoint: str, spec: DataSpec | None = None) -> tuple[Trained, int]:
    """A run's model with the weights of a checkpoint, and the checkpoint's step; see ``load_trained``."""
    built, step = load_trained(config, run, checkpoint, spec)
    return ready(config, run, built), step


def ready(config: Config, run: RunDirectory, built: Built) -> Trained:
    """A model with its trained weights, ready to predict."""
    task, model, head, device = built.task, built.model, built.head, built.device

    def run_over(batches: Iterable[Batch], make: Callable[[Batch, Tensor], Any]) -> Iterator[Any]:
        return each_batch(model, head, task, batches, device, config.trainer.precision, make)

    return Trained(config, run, task, model, head, device, run_over)


def predictor_class(config: Config) -> type[Predictor]:
    """The predictor class of a configuration's task; raises RunError if the task has none."""
    target = registry.find("task", config.task.kind).load().predictor
    if target is None:
        raise RunError(f"predict: task={config.task.name} does not predict for new inputs")
    found: type[Predictor] = registry.load_object(target)
    return found


def predict(
    saved: Config, config: Config, run: RunDirectory, source: str, output: str, *, checkpoint: str = "best"
) -> None:
    """Predict with a run's model for the inputs in a file; the task's ``Predictor`` describes the output.

    Args:
        saved: the run's configuration.
        config: the same with changes, for example of ``data.text_column`` or the device.
        run: the run's directory.
        source: the input file, or - for stdin.
        output: csv, tsv, jsonl or parquet file, which appears only when it is complete; or - for jsonl to stdout.
        checkpoint: ``best`` or ``last``.

    Raises:
        ConfigError: if the output cannot be written; this is checked first.
        DataError: if the input cannot be used.
    """
    check_choice("checkpoint", checkpoint, ("best", "last"))
    check_changes(saved, config)
    kind = predictor_class(config)
    check_output(output, kind.suffixes)
    found = predictor(saved, config, run, checkpoint)
    table = found.table(source)
    write_table(found.without_lists(table) if Path(output).suffix in (".csv", ".tsv") else table, output)
    if output != "-":
        log.info("%s: %d rows", output, table.num_rows)
