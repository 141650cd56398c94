"""Conformal margins of a run: calibrated after training, saved in the run directory, loaded with the weights."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import cast

import numpy as np
import torch

from seqtrain.config.task import ForecastLoss
from seqtrain.data.series.batch import ForecastBatch
from seqtrain.data.series.dataset import ForecastingData
from seqtrain.data.spec import DataSpec
from seqtrain.errors import DataError, RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import write_json
from seqtrain.tasks.artifacts import foreign, read_artifact
from seqtrain.tasks.base import Evaluation
from seqtrain.tasks.forecasting.conformal import Conformal, fewest_windows
from seqtrain.tasks.forecasting.distribution import Distribution
from seqtrain.tasks.forecasting.meter import ForecastMeter


@dataclass(frozen=True)
class SavedConformal:
    """conformal.json."""

    level: float
    loss: str
    """``task.loss``."""
    step: int
    """Step of the checkpoint that the margins belong to."""
    windows: int
    margins: list[list[float]]


def check_windows(level: float, data: ForecastingData) -> None:
    """Raise DataError if validation has too few windows for conformal intervals of a level."""
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


def calibrate(level: float, distribution: Distribution, evaluation: Evaluation, data: ForecastingData) -> Conformal:
    """Compute the margins of conformal intervals of a level from the forecasts of validation.

    Args:
        level: share of targets that the intervals should contain.
        distribution: the meaning of the parameters of forecasts.
        evaluation: evaluation of the best checkpoint on validation, with outputs.
        data: the dataset that was evaluated.

    Raises:
        DataError: if too few windows were scored.
    """
    forecasts = evaluation.outputs["forecasts"]
    scores = np.full(forecasts.shape[:3], np.nan, dtype=np.float32)
    for batch in cast(Iterator[ForecastBatch], data.eval_batches("validation")):
        own, targets = (torch.from_numpy(part) for part in (forecasts[batch.rows], batch.scaled_truth()))
        exact = distribution.nonconformity(own, targets).numpy()
        rounded = exact.astype(np.float32)
        # Rounded up, so that the interval contains the target that its margin comes from.
        rounded = np.where(rounded < exact, np.nextafter(rounded, np.float32(np.inf)), rounded)
        observed = None if batch.observed is None else batch.observed.numpy()
        scores[batch.rows] = rounded if observed is None else np.where(observed, rounded, np.nan)
    try:
        return Conformal.of_scores(level, scores)
    except ValueError as error:  # if only a part of validation was scored
        raise DataError(f"task.conformal={level:g}: {error}; lower it") from error


def with_intervals(meter: ForecastMeter, data: ForecastingData, evaluation: Evaluation) -> Evaluation:
    """The evaluation of validation extended by scores of the conformal intervals, as ``seqtrain eval`` computes it."""
    forecasts = evaluation.outputs["forecasts"]
    for batch in cast(Iterator[ForecastBatch], data.eval_batches("validation")):
        meter.add(torch.from_numpy(forecasts[batch.rows]), batch)
    return replace(evaluation, metrics=meter.metrics(), details=meter.details())


def save(conformal: Conformal, loss: ForecastLoss, run: RunDirectory, step: int) -> None:
    """Write the margins into the directory of a run, with ``task.loss`` and the step of the checkpoint."""
    saved = SavedConformal(conformal.level, loss.value, step, conformal.windows, conformal.margins.tolist())
    write_json(run.conformal_path, asdict(saved))


def load(level: float, loss: ForecastLoss, spec: DataSpec, run: RunDirectory, step: int) -> Conformal:
    """Read the margins that ``save`` wrote for ``task.loss`` and the checkpoint of a step.

    Raises:
        RunError: if the file is missing or damaged, or belongs to another level, checkpoint or dataset.
    """
    path, remedy = run.conformal_path, f"calibrate the run again by seqtrain resume={run.path}"
    saved = read_artifact(SavedConformal, path, step, remedy, needed=f"task.conformal={level:g}")
    try:
        margins = torch.tensor(saved.margins, dtype=torch.float64)
    except ValueError as error:  # rows of different lengths
        raise RunError(f"{path}: margins: {error}; {remedy}") from error
    conformal = Conformal(saved.level, margins, saved.windows)
    if (saved.level, saved.loss) != (level, loss.value) or margins.shape != (spec.horizon, spec.num_targets):
        raise foreign(path, step, remedy)
    return conformal
