"""Builds the dataset, the task and the model that a configuration describes."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from seqtrain.config import registry
from seqtrain.config.base import Targets
from seqtrain.config.data import TextClassificationConfig
from seqtrain.config.debug import DebugMode
from seqtrain.config.root import Config
from seqtrain.config.sequence import SequenceConfig, Wide
from seqtrain.config.task import RegularisedConfig
from seqtrain.config.trainer import Precision
from seqtrain.data.base import Dataset
from seqtrain.data.description import DataDescription
from seqtrain.data.spec import DataSpec
from seqtrain.data.text.unlabelled import find_unlabelled
from seqtrain.errors import ConfigError, RunError
from seqtrain.models.pretrained import check_vectors
from seqtrain.runs.directory import RunDirectory
from seqtrain.tasks.base import Task
from seqtrain.training.checkpoint import load_checkpoint, load_weights
from seqtrain.training.device import has_bf16, prepare_device
from seqtrain.training.moves import check_embeds

log = logging.getLogger(__name__)


@dataclass
class Built:
    """A task, its model and its head, on a device."""

    task: Task
    model: nn.Module
    head: nn.Module
    device: torch.device

    @property
    def num_parameters(self) -> int:
        """Number of trained parameters in model and head."""
        return sum(p.numel() for p in nn.ModuleList([self.model, self.head]).parameters() if p.requires_grad)


def build_data(
    config: Config, trained: Path | None = None, single_split: bool = False, tokenizer_of: Path | None = None
) -> Dataset:
    """Build the dataset of a config.

    Args:
        config: the configuration.
        trained: directory of a run whose vocabulary or scaler is used; None learns them from train.
        single_split: read the file at ``data.path`` as one split, ``test``.
        tokenizer_of: directory of a run of which the tokenizer alone is used.
    """
    options = config.data.for_model(config.model)
    asked = asked_targets(config)
    told: dict[str, Any] = {} if asked is None else {"targets": asked}
    told |= {} if tokenizer_of is None else {"tokenizer_of": tokenizer_of}
    dataset: Dataset = registry.find("data", options.kind).load()(options, config.seed, trained, single_split, **told)
    return dataset


def asked_targets(config: Config) -> str | None:
    """What the task predicts, if the data has this besides its usual targets; else None."""
    wanted: str = registry.find("task", config.task.kind).load().targets
    # A dataset of a plugin need not name any.
    others = getattr(registry.find("data", config.data.kind).load(), "other_targets", ())
    return wanted if wanted in others else None


def build_task(config: Config, spec: DataSpec) -> Task:
    """The task of a config, for data of the given spec."""
    check_targets(config, spec.targets)
    task: Task = registry.find("task", config.task.kind).load()(config.task, spec)
    return task


def build_model(config: Config, spec: DataSpec) -> Built:
    """Task, model and head of a config for data of the given spec, with fresh weights, on the config's device."""
    device = prepare_device(config.device)
    if config.trainer.precision is Precision.bf16 and not has_bf16(device):
        log.info("trainer.precision=bf16: this CPU has no bf16 matrix products; fp32 is used, which is faster here")
    task = build_task(config, spec)
    model_class = registry.find("model", config.model.kind).load()
    model = model_class.from_config(config.model, spec, causal=task.causal, pooled=task.pooled).to(device)
    head = task.build_head(model).to(device)
    return Built(task, model, head, device)


def check_targets(config: Config, targets: str) -> None:
    """Raise ConfigError if the task or the model does not predict what the data provides."""
    if config.model.targets not in (None, targets):
        raise ConfigError(
            f"model={config.model.name}: predicts the {config.model.targets} only, and data={config.data.name} has its "
            f"{targets}; choose another model for this data"
        )
    wanted = registry.find("task", config.task.kind).load().targets
    if wanted != targets:
        raise ConfigError(
            f"task={config.task.name}: predicts the {wanted} of a sequence, but data={config.data.name} has its "
            f"{targets}; remove task=, and the data selects its own task"
        )


def check_wide(config: Config, wanted: str) -> None:
    """Raise ConfigError if the model has a wide part, and the task does not classify sequences."""
    wide = config.model.wide if isinstance(config.model, SequenceConfig) else Wide.none
    if wide is not Wide.none and wanted not in (Targets.sequence_class, Targets.sequence_labels):
        raise ConfigError(
            f"model.wide={wide.value}: weighs n-grams by the classes of texts, and task={config.task.name} predicts "
            f"the {wanted}; use model.wide=none"
        )


def check_regularisers(config: Config, model: nn.Module) -> None:
    """Check that a model has what the task's regularisers need, and that there is ``data.unlabelled``, if it is given.

    Raises:
        ConfigError: if the model embeds no tokens, or no regulariser learns from ``data.unlabelled``.
        DataError: if there is no such split, file or folder.
    """
    weight = 0.0
    if isinstance(config.task, RegularisedConfig):
        weight = config.task.virtual_adversarial
        for name in ("adversarial", "virtual_adversarial"):
            if getattr(config.task, name):
                check_embeds(model, f"task.{name}={getattr(config.task, name)}")
    if not isinstance(config.data, TextClassificationConfig) or config.data.unlabelled is None:
        return
    if not weight:
        raise ConfigError(
            f"data.unlabelled={config.data.unlabelled}: only task.virtual_adversarial learns from texts without "
            "labels; set it above 0, for example to 1, or remove data.unlabelled"
        )
    find_unlabelled(config.data)


def check_model(config: Config) -> None:
    """Raise ConfigError if the model cannot be built for its task, or the task does not fit the data.

    Does not read the data. If its targets depend on its contents, ``build_model`` checks them later.
    """
    task = registry.find("task", config.task.kind).load()
    check_wide(config, task.targets)
    targets = asked_targets(config) or registry.find("data", config.data.kind).load().targets
    if targets is not None:
        check_targets(config, targets)
    task.check_model(config.task, config.model)
    model_class = registry.find("model", config.model.kind).load()
    model = model_class.from_config(config.model, task.stub_spec(config.data), causal=task.causal, pooled=task.pooled)
    check_regularisers(config, model)
    if isinstance(config.model, SequenceConfig) and config.model.embedding.path is not None:
        check_vectors(config.model.embedding.path, config.model.embedding.embed_dim)


def check_model_kept(config: Config, run: RunDirectory) -> None:
    """Raise RunError for a run that saved no model; log a note for one whose model has made only a few steps."""
    mode = config.debug.mode
    if mode in (DebugMode.overfit, DebugMode.profile):
        raise RunError(f"{run.path}: was made by debug={mode.value}, which saves no model; train without it")
    if mode is DebugMode.dry:
        log.info("%s: was made by debug=dry; its model has made %s step(s) only", run.path, config.debug.steps)


def load_trained(config: Config, run: RunDirectory, checkpoint: str, spec: DataSpec | None = None) -> tuple[Built, int]:
    """The model of a run with the weights of its ``best`` or ``last`` checkpoint, and the step they are from.

    Args:
        config: the run's configuration, perhaps with changes of the data and the device.
        run: the run.
        checkpoint: ``best`` or ``last``.
        spec: spec of the data to be scored; None takes the spec of the run's data.
    """
    check_model_kept(config, run)
    built = build_model(config, spec or DataDescription.read(run.data_path).spec)
    saved = load_checkpoint(run.checkpoint_path(checkpoint), run.id, built.device)
    load_weights(built.model, built.head, saved)
    built.task.load_artifacts(run, checkpoint, saved["step"])
    return built, saved["step"]
