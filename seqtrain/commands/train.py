"""Train a model, or resume a run."""

import logging
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from seqtrain.atomic import replacing
from seqtrain.commands.build import Built
from seqtrain.commands.debug import SHORT_RUNS, simplify
from seqtrain.commands.finished import show_results
from seqtrain.commands.lengths import check_schedule, settle_length
from seqtrain.commands.memory import within_memory
from seqtrain.commands.session import Session, resume_from_checkpoint, save_config, start
from seqtrain.comparison.baselines import against_baselines
from seqtrain.comparison.metrics import metric_of
from seqtrain.config.debug import DebugMode
from seqtrain.config.loading import differences, flatten, to_yaml
from seqtrain.config.options import resumable
from seqtrain.config.root import Config
from seqtrain.config.trainer import Schedule
from seqtrain.errors import ConfigError, RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import write_json
from seqtrain.tasks.base import Evaluation
from seqtrain.training.checkpoint import load_checkpoint, load_weights
from seqtrain.training.evaluation import evaluate
from seqtrain.training.observers import Console, JsonLines, TensorBoard, write_final_events
from seqtrain.training.pruning import StudyReporter
from seqtrain.training.ranks import SOLO, Ranks

log = logging.getLogger(__name__)


def train(config: Config, run: RunDirectory, ranks: Ranks = SOLO) -> float:
    """Train from fresh weights, and score the best checkpoint on validation and test.

    Args:
        config: the configuration.
        run: directory of the run.
        ranks: the processes that train together.

    Returns:
        The best value of the monitored metric on validation.
    """
    with recording(run, ranks), within_memory(config):
        simplify(config, ranks)
        session = start(config, run, ranks)
        if (short := SHORT_RUNS.get(config.debug.mode)) is not None:
            return short(session)
        best = fit(session)
    if ranks.first:
        show_results(run)
    return best


def resume(saved: Config, config: Config, run: RunDirectory, ranks: Ranks = SOLO) -> float:
    """Resume a run from its last checkpoint, or start it again if it has not saved one.

    If this raises, the run is unchanged.

    Args:
        saved: the run's configuration.
        config: the same with changes.
        run: directory of the run.
        ranks: the processes that train together, as many as have trained it.

    Raises:
        ConfigError: if a change would make it another run, or end it before what it has made.
        RunError: if its data has changed, or its last checkpoint cannot be used.
    """
    if config.debug.mode is not DebugMode.none:
        raise RunError(
            f"{run.path}: was made by debug={config.debug.mode.value}, and cannot be resumed; train without it"
        )
    changed = set(differences(saved, config))
    for key in sorted(changed - resumable(config)):
        raise ConfigError(f"{key}: cannot change when a run is resumed; train again, or remove this override")
    check_schedule(config, changed)
    if not run.has_checkpoint:
        if ranks.first:
            run.initialise()
        log.info("%s: no checkpoint was saved yet; starting again", run.path)
        with recording(run, ranks), within_memory(config):
            return fit(start(config, run, ranks), in_study=False)
    with within_memory(config):
        session = resume_from_checkpoint(config, run, ranks)
    settle_length(saved, session)
    log.info("resuming from step %d", session.trainer.progress.step)
    with recording(run, ranks), within_memory(config):
        if ranks.first:
            save_config(config, run)
        best = fit(session, in_study=False)
    if ranks.first:
        show_results(run)
    return best


def recording(run: RunDirectory, ranks: Ranks) -> AbstractContextManager[None]:
    """Context in which the first process records the outcome in the run's status."""
    return run.recording_outcome() if ranks.first else nullcontext()


def fit(session: Session, in_study: bool = True) -> float:
    """Train to the end, then score, and save the results.

    Args:
        session: the run.
        in_study: whether a trial reports to its study. A resumed one does not: the study reads its outcome from its
            directory, and the database that its configuration names may be anyone's.
    """
    config, run, data, built, trainer = session.config, session.run, session.data, session.built, session.trainer
    monitor, ranks = f"val/{built.task.monitor}", trainer.ranks
    if ranks.first:
        resumed = run.metrics_path.exists()
        run.update_status(monitor=monitor, maximize=built.task.maximize, total_steps=trainer.total_steps)
        study = []
        if config.sweep.trial is not None and in_study:
            study = [StudyReporter(config.sweep, monitor, trainer.total_steps, run.path)]
        step, due = trainer.progress.step, trainer.progress.evaluation_due
        lines = JsonLines(run.metrics_path, step if resumed else None, due)
        # Of a step that is still to be evaluated, scores may be among the events already; the others are repeated.
        board = TensorBoard(run.path, purge_step=step + (not due) if resumed else None)
        board.scalars(step, lines.at_last_step if due else {})
        board.media(0, {}, {"config": f"```yaml\n{to_yaml(config)}```"})
        board.start_session(hparams(config, built))
    log.info("%s: %s", run.path, ", ".join(f"{size:,} {split}" for split, size in data.sizes.items()))
    parameters = f"{built.num_parameters:,}"
    log.info("%s: %s parameters, %d steps on %s", config.model.name, parameters, trainer.total_steps, built.device)
    if config.trainer.schedule is not Schedule.one_cycle and config.trainer.warmup_steps >= trainer.total_steps > 0:
        log.info("trainer.warmup_steps=%d: the run ends before the full rate is reached", config.trainer.warmup_steps)
    if ranks.first:
        trainer.observers = [board, lines, Console(trainer.total_steps, trainer.progress.step, monitor), *study]
    try:
        best = trainer.fit()
        scores = score(session)
        if ranks.first:
            board.end_session()
            if "test" in scores:
                lines.scalars(trainer.progress.step, test_scalars(scores))
    except BaseException:
        for observer in trainer.observers:
            with suppress(RunError):  # the first error says more
                observer.close()
        raise
    for observer in trainer.observers:
        observer.close()
    if ranks.first:
        progress = trainer.progress
        run.update_status(best={monitor: best, "step": progress.best_step}, seconds=round(progress.seconds, 1))
        report(session, scores)
    return best


def test_scalars(scores: dict[str, Evaluation]) -> dict[str, float]:
    """The scores on test by their tags; none if there is no test split."""
    return {f"test/{metric}": value for metric, value in scores["test"].metrics.items()} if "test" in scores else {}


def score(session: Session) -> dict[str, Evaluation]:
    """Scores of the best checkpoint on validation and, if there is one, test; the outputs on test are saved."""
    run, data, built, ranks = session.run, session.data, session.built, session.trainer.ranks
    checkpoint = ranks.broadcast(lambda: load_checkpoint(run.checkpoint_path("best"), run.id, built.device))
    load_weights(built.model, built.head, checkpoint)
    scores: dict[str, Evaluation] = {}
    for split in ("validation", "test"):
        if split in data.sizes:
            batches = data.eval_batches(split)
            precision = session.config.trainer.precision
            result = evaluate(built.model, built.head, built.task, batches, built.device, precision, ranks)
            if split == "validation":
                result = calibrated(session, result, checkpoint["step"])
            scores[split] = replace(result, outputs={})
            if split == "test" and ranks.first:
                outputs: dict[str, Any] = {"rows": data.source_rows(split)} | result.outputs
                run.predictions_path.parent.mkdir(exist_ok=True)
                with replacing(run.predictions_path) as temporary, temporary.open("wb") as file:
                    np.savez(file, **outputs)
    return scores


def calibrated(session: Session, evaluation: Evaluation, step: int) -> Evaluation:
    """Let the task calibrate itself on validation, and save the calibration to the run's directory.

    Args:
        session: the run.
        evaluation: evaluation of the best checkpoint on validation; only in the first process it has outputs.
        step: step of the checkpoint.

    Returns:
        The evaluation, with the scores that the calibration adds.
    """
    task, data, ranks = session.built.task, session.data, session.trainer.ranks
    found = ranks.broadcast(lambda: task.calibrate(evaluation, data))
    if found is None:
        return evaluation
    task.set_calibration(found)
    if not ranks.first:
        return evaluation
    task.save_artifacts(session.run, step)
    return task.rescored(session.built.head, evaluation, data)


def report(session: Session, scores: dict[str, Evaluation]) -> None:
    """Write results.json: the scores of the model and the baselines."""
    config, run, data, built = session.config, session.run, session.data, session.built
    name, progress = config.model.name, session.trainer.progress
    step = progress.best_step
    results: dict[str, Any] = {"model": name, "parameters": built.num_parameters, "best_step": step}
    results |= {"monitor": built.task.monitor, "maximize": built.task.maximize, "shown": list(built.task.shown)}
    results["directions"] = {metric: metric_of(metric, config.task.kind).maximize for metric in built.task.shown}
    results |= {"scoring": data.scoring} if data.scoring else {}
    risen = progress.losses.risen(progress.step)
    remarks = built.task.remarks() | ({"training": risen} if risen else {})
    results |= remarks | {"remarks": list(remarks)}
    results |= as_results({name: scores})
    write_json(run.results_path, results)  # before the baselines, which may take a while
    baselines: dict[str, dict[str, Evaluation]] = {}
    if config.trainer.baselines:
        log.info("baselines, fitted on train ...")
        scored = built.task.scored_baselines(data).items()  # a model and a baseline may share a name, such as linear
        baselines = {f"{who} (baseline)" if who == name else who: splits for who, splits in scored}
        results |= as_results({name: scores} | baselines)
        results |= {"against_baselines": compared(session, baselines)}
        write_json(run.results_path, results)
    figures = {}
    if config.trainer.figures:
        figures = built.task.final_figures(built.model, built.head, data, built.device, scores, baselines)
    write_final_events(run.path, test_scalars(scores), progress.step, figures, step)


def compared(session: Session, baselines: dict[str, dict[str, Evaluation]]) -> dict[str, list[float]]:
    """Intervals of how much better the model is on test than the baselines, by name."""
    if not session.run.predictions_path.exists():
        return {}
    task = session.built.task
    others = {who: splits["test"].outputs for who, splits in baselines.items() if "test" in splits}
    spec = asdict(session.data.spec)
    with np.load(session.run.predictions_path, allow_pickle=False) as outputs:
        return against_baselines(session.config.task.kind, task.monitor, task.maximize, outputs, others, spec)


def as_results(evaluations: dict[str, dict[str, Evaluation]]) -> dict[str, Any]:
    """Scores and, if there are any, details, in the form of results.json: name -> split -> value."""
    table = {who: {split: part.metrics for split, part in splits.items()} for who, splits in evaluations.items()}
    details = {who: {split: part.details for split, part in splits.items()} for who, splits in evaluations.items()}
    finer = {who: splits for who, splits in details.items() if any(splits.values())}
    return {"scores": table} | ({"details": finer} if finer else {})


def hparams(config: Config, built: Built) -> dict[str, Any]:
    """The configuration as flat, plain values, for TensorBoard's HParams table."""
    flat: dict[str, Any] = {"num_parameters": built.num_parameters}
    for key, value in flatten(config):
        if key.rpartition(".")[2] not in ("kind", "path"):
            flat[key] = value if isinstance(value, bool | int | float) else str(getattr(value, "value", value))
    return flat
