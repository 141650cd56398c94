"""Score a run's model on a split of its data or of other data."""

import logging

from seqtrain.commands.build import build_data, load_trained
from seqtrain.config.loading import differences
from seqtrain.config.options import changeable
from seqtrain.config.root import Config
from seqtrain.data.base import Dataset
from seqtrain.data.description import DataDescription
from seqtrain.errors import ConfigError
from seqtrain.paths import expanded
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import to_json
from seqtrain.training.evaluation import evaluate as evaluate_model

log = logging.getLogger(__name__)


def check_changes(saved: Config, config: Config) -> None:
    """Raise ConfigError for an override that would change the trained model."""
    for key in differences(saved, config):
        if key not in changeable(config):
            raise ConfigError(f"{key}: is fixed by the trained run; remove this override, or train again")


def evaluate(
    saved: Config,
    config: Config,
    run: RunDirectory,
    *,
    split: str | None = None,
    checkpoint: str = "best",
    other_data: bool = False,
) -> dict[str, float]:
    """Score a run's model on a split of its data, or of other data, and print the scores as JSON.

    Args:
        saved: the run's configuration.
        config: the same with changes of the data source or the device.
        run: the run's directory.
        split: train, validation or test; None takes test if there is one, else validation.
        checkpoint: ``best`` or ``last``.
        other_data: whether the user gave another ``data.path``; if it is a file, all its rows are scored.

    Returns:
        Metric -> value. On the run's own data, the same as training reported.

    Raises:
        ConfigError: for a change that would make it another model, or a split that the data does not have.
    """
    check_choice("checkpoint", checkpoint, ("best", "last"))
    check_changes(saved, config)
    data = data_to_score(config, run, other_data)
    if split is None:
        split = "test" if "test" in data.sizes else "validation"
    check_choice("split", split, tuple(data.sizes))
    built, step = load_trained(config, run, checkpoint, data.spec)
    describe_data(data, run)
    result = evaluate_model(
        built.model, built.head, built.task, data.eval_batches(split), built.device, config.trainer.precision
    )
    summary = {"run": str(run.path), "checkpoint": checkpoint, "step": step, "split": split, "size": data.sizes[split]}
    summary |= {"scoring": data.scoring} if data.scoring else {}
    summary |= built.task.remarks()
    print(to_json(summary | result.metrics, indent=2))
    return result.metrics


def data_to_score(config: Config, run: RunDirectory, other_data: bool) -> Dataset:
    """The dataset of a configuration, prepared with the run's vocabulary or scaler.

    Args:
        config: the configuration, with changes.
        run: the run's directory.
        other_data: whether the user gave another ``data.path``; if it is a file, all of it is one split, ``test``.
    """
    DataDescription.read(run.data_path)  # reports a damaged run before data is read
    path = expanded(getattr(config.data, "path", None) or "", "data.path")
    return build_data(config, trained=run.path, single_split=other_data and path.is_file())


def describe_data(data: Dataset, run: RunDirectory) -> None:
    """Log notes about the data that is scored, and whether it differs from the run's own."""
    for note in data.notes:
        log.info(note)
    if data.fingerprint != DataDescription.read(run.data_path).fingerprint:
        log.info(
            "this is not the data of the run (different fingerprint): do not compare the scores with the run's own"
        )


def check_choice(key: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise ConfigError unless the value is one of the allowed ones."""
    if value not in allowed:
        raise ConfigError(f"{key}={value}: must be one of {', '.join(allowed)}")
