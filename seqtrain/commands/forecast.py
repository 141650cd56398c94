"""What a trained forecaster says of the steps after the end of a file.

Shapes: B windows, S horizon, C variables, P parameters of a forecast.
"""

import logging
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from seqtrain.commands.build import Built, load_trained
from seqtrain.config.root import Config
from seqtrain.config.series import SeriesConfig
from seqtrain.config.trainer import Precision
from seqtrain.data.series.dataset import ForecastBatch, ForecastingData
from seqtrain.data.series.horizon import history_data
from seqtrain.data.series.reading import id_columns
from seqtrain.errors import DataError
from seqtrain.run_directory import RunDirectory
from seqtrain.tasks.forecasting.task import Forecasting
from seqtrain.training.device import autocast

if TYPE_CHECKING:
    import pyarrow

log = logging.getLogger(__name__)


def forecast_table(config: Config, run: RunDirectory, source: str, checkpoint: str) -> "pyarrow.Table":
    """The S steps after the end of each series of a csv or parquet file, or of csv from stdin (-), in its units.

    Returns:
        A row per series and step: the series' name where the run has ``data.id_column``, the time, and for each target
        its forecast and, where the run gives them, its quantiles (``<name>_q0.1``) and the ends of its interval
        (``<name>_lower``, ``<name>_upper``).

    Raises:
        DataError: if the file cannot be used.
    """
    import pyarrow as pa

    data = read_history(config, run, source)
    for note in data.table.notes:
        log.info(note)
    built, _ = load_trained(config, run, checkpoint, data.spec)
    last = data.windows["test"].ends - 1  # window of each series
    batches = forecast_batches(built, data.batches("test", last), config.trainer.precision)
    forecasts = torch.cat([forecasts.cpu() for _, forecasts in batches])
    table, options = data.table, cast(SeriesConfig, config.data)
    steps = (table.offsets[1:, None] - np.arange(options.horizon, 0, -1)).ravel()
    names, arrays = [options.time_column], [pa.array(table.times[steps]).cast(time_type(table.times))]
    for column in id_columns(options):
        names, arrays = [column, *names], [pa.array(np.repeat(table.ids, options.horizon)), *arrays]
    parts = in_units(cast(Forecasting, built.task), forecasts, data, np.arange(len(table.ids)))
    for variable, name in enumerate(data.spec.target_names):
        for part, values in parts.items():
            names.append(name if part == "forecast" else f"{name}_{part}")
            arrays.append(pa.array(values[:, :, variable].ravel()))
    return pa.table(arrays, names=names)


def read_history(config: Config, run: RunDirectory, source: str) -> ForecastingData:
    """The series of a file, or of csv from stdin (-), as the run reads them; raises DataError if they do not fit."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(source).expanduser()
        if source == "-":
            path = Path(folder) / "stdin.csv"
            path.write_bytes(sys.stdin.buffer.read())
        elif not path.is_file():
            raise DataError(f"input={source}: no such file")
        try:
            return history_data(replace(cast(SeriesConfig, config.data), path=str(path)), run.path)
        except DataError as error:
            raise DataError(str(error).replace(str(path), f"input={source}")) from error


@torch.no_grad()
def forecast_batches(
    built: Built, batches: Iterable[ForecastBatch], precision: Precision
) -> Iterator[tuple[ForecastBatch, Tensor]]:
    """Each batch, on the device, and its forecasts, (B, S, C, P), scaled."""
    task = cast(Forecasting, built.task)
    built.model.eval()
    built.head.eval()
    for batch in batches:
        batch = batch.to(built.device)
        with autocast(built.device, precision):
            features, _ = task.features(built.model, built.head, batch, None)
            forecasts = task.forecasts(built.head, features, batch)
        yield batch, forecasts


def in_units(task: Forecasting, forecasts: Tensor, data: ForecastingData, series: np.ndarray) -> dict[str, np.ndarray]:
    """Forecasts (B, S, C, P) of the series numbered (B,), in original units.

    Returns:
        ``forecast``, the point; of quantiles ``q0.1`` and so on; ``lower`` and ``upper``, the ends of the conformal
        interval, else, of normal distributions, of their central 90 %; (B, S, C) each, float64.
    """
    parts = task.distribution.parts(forecasts)
    return {name: data.constants.undo(part.cpu().numpy(), series) for name, part in parts.items()}


def time_type(times: np.ndarray) -> "pyarrow.DataType":
    """How times are written: as whole numbers, as days, to the second or, where that is not enough, finer."""
    import pyarrow as pa

    if times.dtype.kind == "i":
        return pa.int64()
    for unit, kind in (("D", pa.date32()), ("s", pa.timestamp("s"))):
        if (times.astype(f"datetime64[{unit}]") == times).all():
            return kind
    return pa.timestamp("ns")
