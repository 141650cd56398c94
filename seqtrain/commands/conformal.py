"""Conformal intervals of a run: calibrated once it is trained, kept in its directory, loaded with its weights."""

import json
import logging
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from seqtrain.atomic import replacing
from seqtrain.config.root import Config
from seqtrain.config.task import ForecastingConfig, ForecastLoss
from seqtrain.data.base import Dataset
from seqtrain.data.series.dataset import ForecastBatch, ForecastingData
from seqtrain.errors import DataError, RunError
from seqtrain.run_directory import RunDirectory
from seqtrain.tasks.base import Evaluation, Task
from seqtrain.tasks.forecasting.conformal import Conformal, fewest_windows, nonconformity
from seqtrain.tasks.forecasting.meter import ForecastMeter
from seqtrain.tasks.forecasting.task import Forecasting

if TYPE_CHECKING:
    from seqtrain.commands.build import Built
    from seqtrain.commands.session import Session

log = logging.getLogger(__name__)


def wanted_level(config: Config) -> float | None:
    """``task.conformal``; None where it is not set, or the task has none."""
    return config.task.conformal if isinstance(config.task, ForecastingConfig) else None


def check_calibration(config: Config, data: Dataset) -> None:
    """Raise DataError if validation has too few windows for ``task.conformal``."""
    level = wanted_level(config)
    if level is None:
        return
    data = cast(ForecastingData, data)
    counts = data.target_counts("validation")
    fewest, needed = int(counts.min()), fewest_windows(level)
    if fewest >= needed:
        return
    windows, known = data.sizes["validation"], ""
    if fewest < windows:
        step, variable = np.unravel_index(counts.argmin(), counts.shape)
        known = f", of which {fewest:,} know step {step + 1} of {data.spec.target_names[variable]!r}"
    lower = f"lower it to at most {math.floor(1e4 * fewest / (fewest + 1)) / 1e4:g}, or " if fewest else ""
    raise DataError(
        f"task.conformal={level:g}: needs {needed:,} windows of validation, which has {windows:,}{known}; {lower}raise "
        "data.validation_size"
    )


def calibrate(config: Config, run: RunDirectory, data: Dataset, evaluation: Evaluation, step: int) -> Conformal:
    """Intervals from the forecasts of validation, of the level that the run wants; written to its directory.

    Args:
        config: the run's configuration.
        run: its directory.
        data: its data.
        evaluation: of its best checkpoint on validation.
        step: of that checkpoint.
    """
    level, loss = cast(float, wanted_level(config)), cast(ForecastingConfig, config.task).loss
    forecasts = evaluation.outputs["forecasts"]
    scores = np.full(forecasts.shape[:3], np.nan, dtype=np.float32)
    for batch in cast(Iterator[ForecastBatch], data.eval_batches("validation")):
        exact = nonconformity(loss, torch.from_numpy(forecasts[batch.rows]), batch.targets).numpy()
        rounded = exact.astype(np.float32)
        # Rounded up, so that the interval holds the very target that its margin comes from.
        rounded = np.where(rounded < exact, np.nextafter(rounded, np.float32(np.inf)), rounded)
        observed = None if batch.observed is None else batch.observed.numpy()
        scores[batch.rows] = rounded if observed is None else np.where(observed, rounded, np.nan)
    try:
        conformal = Conformal.of_scores(level, loss, scores)
    except ValueError as error:  # where only a part of validation was scored
        raise DataError(f"task.conformal={level:g}: {error}; lower it") from error
    state = {"level": level, "loss": loss.value, "step": step, "windows": conformal.windows}
    with replacing(run.conformal_path) as temporary:
        temporary.write_text(json.dumps(state | {"margins": conformal.margins.tolist()}) + "\n")
    return conformal


def with_intervals(built: "Built", data: Dataset, evaluation: Evaluation) -> Evaluation:
    """The evaluation of validation with the scores of the task's intervals, as ``seqtrain eval`` would give it."""
    forecasts = evaluation.outputs["forecasts"]
    meter = cast(ForecastMeter, built.task.meter(built.head))
    for batch in data.eval_batches("validation"):
        meter.add(torch.from_numpy(forecasts[batch.rows]), batch)
    return replace(evaluation, metrics=meter.metrics(), details=meter.details())


def load_intervals(task: Task, config: Config, run: RunDirectory, checkpoint: str, step: int) -> None:
    """Give the task the intervals of its run, where it has them.

    Args:
        task: the task.
        config: the run's configuration.
        run: its directory.
        checkpoint: ``best``, or ``last``, which has none.
        step: of the checkpoint.

    Raises:
        RunError: if the file that ``calibrate`` wrote is not there, damaged, or not of this checkpoint.
    """
    level = wanted_level(config)
    if level is None:
        return
    if checkpoint != "best":
        log.info("checkpoint=%s: has no conformal intervals, which were calibrated for the best one", checkpoint)
        return
    assert isinstance(task, Forecasting)
    path, remedy = run.conformal_path, f"calibrate the run anew by seqtrain resume={run.path}"
    try:
        state = json.loads(path.read_text())
        margins = torch.tensor(state["margins"], dtype=torch.float64)
        conformal = Conformal(state["level"], ForecastLoss(state["loss"]), margins, state["windows"])
        belongs = conformal.level == level and state["step"] == step
    except FileNotFoundError:
        raise RunError(f"{path}: is missing, and task.conformal={level:g} needs it; {remedy}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: cannot be read ({error}); {remedy}") from error
    if not belongs or margins.shape != (task.spec.horizon, task.spec.num_targets):
        raise RunError(f"{path}: is not of checkpoints/best.pt, of step {step}; {remedy}")
    task.conformal = conformal


def describe_intervals(task: Task) -> dict[str, str]:
    """What a reader of scores must know of the conformal ones, where there are any."""
    if not isinstance(task, Forecasting) or task.conformal is None:
        return {}
    conformal = task.conformal
    return {"conformal": f"intervals of level {conformal.level:g}, from {conformal.windows:,} windows of validation"}


def calibrated(session: "Session", evaluation: Evaluation, step: int) -> Evaluation:
    """Give the task the intervals that its run wants, from the best checkpoint's evaluation on validation.

    Args:
        session: the run.
        evaluation: that evaluation; of several processes, only the first has its outputs.
        step: of the checkpoint.

    Returns:
        The evaluation with the scores of the intervals; as it is where the run wants none.
    """
    config, data, built, ranks = session.config, session.data, session.built, session.trainer.ranks
    if wanted_level(config) is None:
        return evaluation
    task = cast(Forecasting, built.task)
    task.conformal = ranks.share(lambda: calibrate(config, session.run, data, evaluation, step))
    return with_intervals(built, data, evaluation) if ranks.first else evaluation
