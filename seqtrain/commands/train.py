"""Train a model, and go on with a run."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from seqtrain.atomic import replacing
from seqtrain.commands.build import Built, build_data, build_model, check_model
from seqtrain.commands.report import beaten_line, format_table
from seqtrain.config.loading import differences, to_yaml
from seqtrain.config.model import SequenceConfig
from seqtrain.config.root import Config
from seqtrain.config.trainer import Schedule
from seqtrain.data.base import Dataset
from seqtrain.errors import ConfigError, RunError
from seqtrain.models.pretrained import load_vectors
from seqtrain.run_directory import RunDirectory, read_json, write_json
from seqtrain.tasks.base import Table
from seqtrain.training.checkpoint import load_checkpoint, load_weights
from seqtrain.training.device import prepare_device, seed_everything
from seqtrain.training.evaluation import evaluate
from seqtrain.training.observers import Console, JsonLines, TensorBoard
from seqtrain.training.trainer import Trainer

log = logging.getLogger(__name__)

RESUMABLE = {
    *("device", "data.path", "data.eval_batch_tokens"),
    *("trainer.epochs", "trainer.max_steps", "trainer.patience", "trainer.baselines", "trainer.figures"),
}
"""What may differ when a run goes on."""


def train(config: Config, run: RunDirectory) -> float:
    """Train from fresh weights and score the best checkpoint on test.

    Returns:
        The best value of the monitored metric on validation.
    """
    with run.recording_outcome():
        if (path := getattr(config.data, "path", None)) is not None:
            config.data.path = str(Path(path).expanduser().absolute())  # type: ignore[attr-defined]  # for any folder
        save_config(config, run)
        run.write_environment()
        prepare_device(config.device)  # before data is read: a wrong device or model ends the run at once
        check_model(config)
        seed_everything(config.seed)
        data = build_data(config)
        for note in data.notes:
            log.info(note)
        write_json(run.data_path, data.describe())
        data.save(run.path)
        built = build_model(config, data.spec)
        start_from_vectors(config, built, data)
        trainer = Trainer(config.trainer, built.model, built.head, built.task, data, run, built.device)
        return fit(config, run, data, built, trainer)


def resume(saved: Config, config: Config, run: RunDirectory) -> float:
    """Go on with a run from its last checkpoint. A refusal leaves the run as it was.

    Args:
        saved: the run's configuration.
        config: the same with changes.
        run: its directory.

    Raises:
        ConfigError: if a change would make it another run.
        RunError: if its data has changed, or its last checkpoint cannot be used.
    """
    changed = set(differences(saved, config))
    for key in sorted(changed - RESUMABLE):
        raise ConfigError(f"{key}: cannot change when a run goes on; train anew, or leave it out")
    lengthened = sorted(changed & {"trainer.epochs", "trainer.max_steps"})
    if lengthened and config.trainer.schedule is not Schedule.constant:
        raise ConfigError(
            f"{lengthened[0]}: cannot change when a run goes on, since the learning rates of "
            f"trainer.schedule={config.trainer.schedule.value} depend on it; train anew, or leave it out"
        )
    recorded = read_json(run.data_path)["fingerprint"]
    data = build_data(config, trained=run.path)
    if data.fingerprint != recorded:
        raise RunError(f"{run.path}: the data has changed since this run began (another fingerprint); train anew")
    built = build_model(config, data.spec)
    trainer = Trainer(config.trainer, built.model, built.head, built.task, data, run, built.device)
    trainer.resume()
    log.info("resuming from step %d", trainer.step)
    with run.recording_outcome():
        save_config(config, run)
        return fit(config, run, data, built, trainer)


def start_from_vectors(config: Config, built: Built, data: Dataset) -> None:
    """Set the embedding to the vectors of ``model.embedding.path``, where that is given, and report the coverage."""
    path = config.model.embedding.path if isinstance(config.model, SequenceConfig) else None
    if path is None:
        return
    tokens = data.token_names()
    if not tokens:
        raise ConfigError(
            f"model.embedding.path={path}: the inputs of data={config.data.name} are no words; leave it out"
        )
    embedding = built.model.get_submodule("embedding")
    assert isinstance(embedding, nn.Embedding)
    found = load_vectors(embedding, tokens, path)
    log.info("%s: has vectors for %d of %d tokens (%.1f %%)", path, found, len(tokens), 100 * found / len(tokens))


def save_config(config: Config, run: RunDirectory) -> None:
    """Write config.yaml."""
    with replacing(run.config_path) as temporary:
        temporary.write_text(to_yaml(config))


def fit(config: Config, run: RunDirectory, data: Dataset, built: Built, trainer: Trainer) -> float:
    """Run the trainer to the end, then score, store and show the results."""
    monitor = f"val/{built.task.monitor}"
    resumed = trainer.step > 0
    board = TensorBoard(run.path, purge_step=trainer.step + 1 if resumed else None)
    lines = JsonLines(run.metrics_path, keep_until=trainer.step if resumed else None)
    trainer.observers = [board, lines, Console(trainer.total_steps, trainer.step, monitor)]
    log.info("%s: %s", run.path, ", ".join(f"{size:,} {split}" for split, size in data.sizes.items()))
    parameters = f"{built.num_parameters:,}"
    log.info("%s: %s parameters, %d steps on %s", config.model.name, parameters, trainer.total_steps, built.device)
    if config.trainer.schedule is not Schedule.one_cycle and config.trainer.warmup_steps >= trainer.total_steps > 0:
        log.info("trainer.warmup_steps=%d: the run ends before the full rate is reached", config.trainer.warmup_steps)
    board.media(0, {}, {"config": f"```yaml\n{to_yaml(config)}```"})
    board.start_session(hparams(config, built))
    try:
        best = trainer.fit()
        scores = score(config, run, data, built)
        final = {f"test/{metric}": value for metric, value in scores.get("test", {}).items()}
        if final:
            trainer.tell(final)
        board.end_session()
    finally:
        for observer in trainer.observers:
            observer.close()
    run.update_status(best={monitor: best, "step": trainer.best_step}, seconds=round(trainer.seconds, 1))
    report(config, run, data, built, scores, trainer.best_step)
    return best


def score(config: Config, run: RunDirectory, data: Dataset, built: Built) -> dict[str, dict[str, float]]:
    """Scores of the best checkpoint on validation and, where there is one, test; stores the outputs on test."""
    load_weights(built.model, built.head, load_checkpoint(run.checkpoint_path("best"), run.id, built.device))
    scores: dict[str, dict[str, float]] = {}
    for split in ("validation", "test"):
        if split in data.sizes:
            batches = data.eval_batches(split)
            result = evaluate(built.model, built.head, built.task, batches, built.device, config.trainer.precision)
            scores[split] = result.metrics
            if split == "test":
                outputs: dict[str, Any] = {"rows": data.source_rows(split)} | result.outputs
                run.predictions_path.parent.mkdir(exist_ok=True)
                with replacing(run.predictions_path) as temporary, temporary.open("wb") as file:
                    np.savez(file, **outputs)
    return scores


def report(
    config: Config, run: RunDirectory, data: Dataset, built: Built, scores: dict[str, dict[str, float]], step: int
) -> None:
    """Write results.json, and print the model's scores beside the baselines'."""
    name = config.model.name
    table: Table = {name: scores}
    results = {"model": name, "parameters": built.num_parameters, "best_step": step, "scores": table}
    results |= {"scoring": data.scoring} if data.scoring else {}
    write_json(run.results_path, results)  # before the baselines, which may take a while
    if config.trainer.baselines:
        log.info("baselines, fitted on train ...")
        table |= built.task.baselines(data)
        write_json(run.results_path, results)
    print(format_table(table, built.task.shown))
    if data.scoring:
        print(f"scores: {data.scoring}")
    if len(table) > 1:
        print(beaten_line(name, table, built.task.monitor, built.task.maximize))
    print(f"best checkpoint: step {step}; run directory: {run.path}")


def hparams(config: Config, built: Built) -> dict[str, Any]:
    """The configuration as a flat row of plain values for TensorBoard's HParams table."""
    flat: dict[str, Any] = {"num_parameters": built.num_parameters}

    def walk(node: Any, prefix: str) -> None:
        for key, value in node.items():
            if isinstance(value, dict):
                walk(value, f"{prefix}{key}.")
            elif key not in ("kind", "path"):
                flat[prefix + key] = (
                    value if isinstance(value, bool | int | float) else str(getattr(value, "value", value))
                )

    walk(asdict(config), "")
    return flat
