"""Backtests of a forecaster that is trained again as the origins move on.

Shapes: K series.
"""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seqtrain.commands.build import Built, build_model
from seqtrain.commands.initial import open_sources
from seqtrain.commands.kernels import prepare_kernels
from seqtrain.commands.predict import ready
from seqtrain.commands.session import build_trainer
from seqtrain.commands.sources import Source
from seqtrain.commands.taken import give_weights
from seqtrain.config.root import Config
from seqtrain.config.task import ForecastingConfig
from seqtrain.data.series.dataset import ForecastingData
from seqtrain.data.series.times import time_text
from seqtrain.errors import Interrupted
from seqtrain.runs.directory import RunDirectory
from seqtrain.tasks.predicting import Trained
from seqtrain.training.checkpoint import load_checkpoint, load_weights
from seqtrain.training.device import prepare_determinism, seed_everything
from seqtrain.training.evaluation import evaluate
from seqtrain.training.ranks import SOLO

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fit:
    """A trained model, and the origins that it forecasts from."""

    model: Trained
    data: ForecastingData
    split: str
    """The split of the origins."""
    origins: np.ndarray
    """Numbers of the origins among the windows of the split."""
    step: int
    """Step of the model's checkpoint."""

    def describe(self) -> dict[str, Any]:
        """The first time that is forecast, and the sizes of its data."""
        first = self.data.windows[self.split].locate(self.origins)[1]
        sizes = {name: self.data.sizes[name] for name in ("train", "validation")}
        return {
            "first": time_text(self.data.table.times[first].min()),
            "origins": len(self.origins),
            **sizes,
            "step": self.step,
        }


def refits(
    config: Config, run: RunDirectory, data: ForecastingData, split: str, stride: int, every: int
) -> Iterator[Fit]:
    """Train a model for every ``every`` origins of each series, with the run's options and seed.

    The rows before the first of these origins are train, but for the last ones, which are validation: as many as the
    run has. Scaling and categories are those of the run, so that all scores have one unit.

    Args:
        config: the run's configuration.
        run: the run.
        data: its data.
        split: the split of the origins.
        stride: steps between two consecutive origins of a series.
        every: number of origins of each series after which a model is trained again.

    Raises:
        DataError: if the rows before an origin are too few for train and validation.
    """
    windows = data.windows[split]
    begins, ends = data.ranges["validation"]
    count = -(-int(windows.counts.max()) // (every * stride))
    prepare_determinism(config.trainer.deterministic)
    sources = open_sources(config)
    with tempfile.TemporaryDirectory(prefix="seqtrain-refit-") as folder:
        for number in range(count):
            first = number * every * stride  # of the windows of each series
            left = np.minimum(windows.counts - first, (every - 1) * stride + 1).clip(min=0)
            cut = windows.first + np.minimum(first, windows.counts)
            last = np.where(left > 0, cut + left - 1 + data.config.horizon, cut)
            borders = np.stack([cut - (ends - begins), cut, last], axis=1) - data.table.offsets[:-1, None]
            inside = borders.clip(min=0, max=np.diff(data.table.offsets)[:, None])  # of series without an origin, too
            part = ForecastingData(data.config, config.seed, run.path, table=data.table, ends=inside)
            part.spec = data.spec  # with the run's errors of the seasonal naive forecast, by which scores are divided
            log.info("fit %d of %d: %s windows of train", number + 1, count, f"{part.sizes['train']:,}")
            built, step = fitted(config, part, Path(folder) / str(number), sources)
            yield Fit(ready(config, run, built), part, "test", part.windows["test"].every(stride), step)


def fitted(config: Config, data: ForecastingData, folder: Path, sources: Sequence[Source] = ()) -> tuple[Built, int]:
    """A model trained on a dataset, with the weights of its best checkpoint, calibrated, and the checkpoint's step."""
    run = RunDirectory.claim(folder, exact=True)
    seed_everything(config.seed)
    built = build_model(config, data.spec)
    prepare_kernels(config, built)
    if sources:
        give_weights(config, built, data, sources)
    try:
        build_trainer(config, run, data, built, SOLO).fit()
    except Interrupted as error:
        raise Interrupted(error.number) from None  # its directory is removed, so that it cannot be resumed
    checkpoint = load_checkpoint(run.checkpoint_path("best"), run.id, built.device)
    load_weights(built.model, built.head, checkpoint)
    model, head, task, device = built.model, built.head, built.task, built.device
    assert isinstance(config.task, ForecastingConfig)
    if config.task.conformal is not None:
        batches = data.eval_batches("validation")
        found = task.calibrate(evaluate(model, head, task, batches, device, config.trainer.precision), data)
        task.set_calibration(found)
    return built, checkpoint["step"]
