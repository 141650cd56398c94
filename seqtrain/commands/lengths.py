"""The length of a run that is resumed: it may not end before what it has made."""

from collections.abc import Collection, Iterator

from seqtrain.commands.session import Session
from seqtrain.config.loading import differences
from seqtrain.config.root import Config
from seqtrain.config.trainer import Schedule
from seqtrain.errors import ConfigError
from seqtrain.runs.metrics import entries

STEPS = ("trainer.max_steps", "trainer.min_steps", "trainer.min_epochs", "trainer.epochs")


def check_schedule(config: Config, changed: Collection[str]) -> None:
    """Raise ConfigError if the number of steps changes and the learning rates depend on it."""
    lengthened = sorted(set(STEPS) & set(changed))
    if lengthened and config.trainer.schedule is not Schedule.constant:
        raise ConfigError(
            f"{lengthened[0]}: cannot change when a run is resumed, since the learning rates of "
            f"trainer.schedule={config.trainer.schedule.value} depend on it; train again, or remove this override"
        )


def settle_length(saved: Config, session: Session) -> None:
    """Check that a resumed run does not end before what it has made; if it ends just there, have it evaluated there.

    Such a run would be taken for one that ended there, with weights and scores of a longer one.

    Args:
        saved: the run's configuration.
        session: the run as restored from its last checkpoint, under its new configuration.

    Raises:
        ConfigError: if the run has made more steps, or waited longer for a better score, than it now may.
    """
    trainer, progress, options = session.trainer, session.trainer.progress, session.config.trainer
    changed = set(differences(saved, session.config))
    if changed.isdisjoint((*STEPS, "trainer.patience")):
        return
    if trainer.total_steps < progress.step:
        given = ", ".join(f"{key}={getattr(options, key.partition('.')[2])}" for key in STEPS if key in changed)
        raise ConfigError(
            f"{given}: ends at step {trainer.total_steps}, but {session.run.path} has made {progress.step} steps; "
            "a resumed run can only become longer: remove this override, or train again"
        )
    if "trainer.patience" in changed and options.patience is not None:
        waits = list(waited(session))
        if any(wait >= options.patience for wait in waits[:-1]):
            raise ConfigError(
                f"trainer.patience={options.patience}: {session.run.path} has made up to {max(waits)} evaluations in a "
                "row without a better score; give at least as many, or train again"
            )
    if trainer.total_steps == progress.step != trainer.length(saved.trainer) and not trainer.at_evaluation:
        progress.evaluation_due = True


def waited(session: Session) -> Iterator[int]:
    """For each evaluation that a run has logged, the number of evaluations in a row without a better score."""
    task, best, wait = session.built.task, None, 0
    tag = f"val/{task.monitor}"
    for step, values in entries(session.run.metrics_path, tag):
        if step > session.trainer.progress.step or tag not in values:
            continue
        value = values[tag]
        better = value is not None and (best is None or (value > best if task.maximize else value < best))
        best, wait = (value, 0) if better else (best, wait + 1)
        yield wait
