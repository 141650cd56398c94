"""Train a model, or resume a run."""

import logging
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict
from typing import Any

from seqtrain.commands.build import Built
from seqtrain.commands.card import card
from seqtrain.commands.debug import SHORT_RUNS, simplify
from seqtrain.commands.final_scores import report, scalars_on_test, score
from seqtrain.commands.finished import show_results
from seqtrain.commands.lengths import check_schedule, settle_length
from seqtrain.commands.memory import within_memory
from seqtrain.commands.session import Session, resume_from_checkpoint, save_config, start
from seqtrain.comparison.metrics import statistics_of
from seqtrain.config.debug import DebugMode
from seqtrain.config.loading import differences, flatten
from seqtrain.config.options import resumable
from seqtrain.config.root import Config
from seqtrain.config.trainer import Schedule
from seqtrain.errors import ConfigError, RunError
from seqtrain.probe.tags import tagged
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import write_json
from seqtrain.training.events import TensorBoard
from seqtrain.training.health import figures_of
from seqtrain.training.layout import layout
from seqtrain.training.observers import Console, JsonLines
from seqtrain.training.pruning import StudyReporter
from seqtrain.training.ranks import SOLO, Ranks
from seqtrain.training.schedules import warmup_steps
from seqtrain.training.trainer import Trainer

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
    session = None
    if run.has_checkpoint:
        with within_memory(config):
            session = resume_from_checkpoint(config, run, ranks)
        settle_length(saved, session)
        log.info("resuming from step %d", session.trainer.progress.step)
    else:
        if ranks.first:
            run.initialise()
        log.info("%s: no checkpoint was saved yet; starting again", run.path)
    with recording(run, ranks), within_memory(config):
        if session is None:
            session = start(config, run, ranks)
        elif ranks.first:
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
        purge_step = step + (not due) if resumed else None
        board = TensorBoard(run.path, purge_step, max_grad_norm=config.trainer.max_grad_norm)
        board.scalars(step, lines.at_last_step if due else {})
        board.media(step, {}, card(session))
        loss = "loss" if "loss" in statistics_of(config.task.kind).metrics else built.task.monitor
        board.start_session(hparams(config, built), layout(built.task.monitor, loss))
    log.info("%s: %s", run.path, ", ".join(f"{size:,} {split}" for split, size in data.sizes.items()))
    parameters = f"{built.num_parameters:,}"
    log.info("%s: %s parameters, %d steps on %s", config.model.name, parameters, trainer.total_steps, built.device)
    if (note := trainer.lengthened()) is not None:
        log.info(note)
    warmup = warmup_steps(config.trainer, trainer.total_steps)
    if config.trainer.schedule is not Schedule.one_cycle and warmup < config.trainer.warmup_steps:
        log.info("trainer.warmup_steps=%d: %d, a quarter of the run's steps", config.trainer.warmup_steps, warmup)
    if config.trainer.unfreeze is not None:
        log.info("trainer.unfreeze=%g: %s", config.trainer.unfreeze, trainer.unfreezing.plan())
        log_untrained(trainer, trainer.total_steps)
    if ranks.first:
        trainer.observers = [board, lines, Console(trainer.total_steps, trainer.progress.step, monitor), *study]
    try:
        best = trainer.fit()
        if trainer.progress.step < trainer.total_steps:  # by trainer.patience
            log_untrained(trainer, trainer.progress.step)
        scores = score(session)
        health = trainer.health.verdict(trainer.progress.watched, built.model, built.head, trainer.progress.best_step)
        if ranks.first:
            if health is not None:
                figures = figures_of(health) if config.trainer.figures else {}
                board.media(trainer.progress.step, figures, tagged({"health": health.words}))
            board.end_session()
            if "test" in scores:
                lines.scalars(trainer.progress.step, scalars_on_test(scores))
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
        if health is not None:
            write_json(run.health_path, asdict(health))
        report(session, scores, {} if health is None else {"health": health.words})
    return best


def log_untrained(trainer: Trainer, steps: int) -> None:
    """Log which depth groups a run of so many steps never trains, if there are any."""
    if untrained := trainer.untrained(steps):
        log.info(
            "trainer.unfreeze=%g: the run ends at step %d, before %s can train",
            *(trainer.config.unfreeze, steps, ", ".join(untrained)),
        )


def hparams(config: Config, built: Built) -> dict[str, Any]:
    """The configuration as flat, plain values, for TensorBoard's HParams table."""
    flat: dict[str, Any] = {"num_parameters": built.num_parameters}
    for key, value in flatten(config):
        if key.rpartition(".")[2] not in ("kind", "path"):
            flat[key] = value if isinstance(value, bool | int | float) else str(getattr(value, "value", value))
    return flat
