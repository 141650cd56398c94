"""Forecasts of the steps after the end of series.

Shapes: B windows, K series, S horizon, C variables, P parameters of a forecast.
"""

import logging
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from seqtrain.config.series import SeriesConfig
from seqtrain.data.base import Batch
from seqtrain.data.series.batch import ForecastBatch
from seqtrain.data.series.columns import id_columns
from seqtrain.data.series.dataset import ForecastingData
from seqtrain.data.series.horizon import history_data
from seqtrain.data.series.steps import numbers_of_times
from seqtrain.data.series.times import Clock
from seqtrain.errors import DataError
from seqtrain.paths import input_file
from seqtrain.tasks.forecasting.head import ForecastHead
from seqtrain.tasks.forecasting.task import Forecasting
from seqtrain.tasks.predicting import Predictor, Trained

if TYPE_CHECKING:
    import pandas
    import pyarrow

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Forecast:
    """The forecast of the steps after the end of a series."""

    series: str
    """Name of the series; empty if the file has only one."""
    times: np.ndarray
    """Times of the steps, (S,); those of a file with offsets, or a run with ``data.timezone``, in UTC or as dates."""
    values: dict[str, dict[str, np.ndarray]]
    """Variable -> part -> values (S,), in the units of the file.

    Parts are ``forecast`` and, for distributions and intervals, ``q0.1`` and so on, ``lower`` and ``upper``.
    """


class ForecastPredictor(Predictor):
    """Forecasts the S steps after the end of each series of a file or a table."""

    def predict(self, inputs: "str | Path | pandas.DataFrame | pyarrow.Table") -> list[Forecast]:
        """The forecast of each series.

        Args:
            inputs: a csv, tsv, jsonl or parquet file, or a table with the columns of such a file.

        Raises:
            DataError: if the file or table cannot be used.
        """
        if isinstance(inputs, str | Path):
            data, parts = self.forecast(str(inputs))
        else:
            with tempfile.TemporaryDirectory() as folder:
                data, parts = self.forecast(write_parquet(inputs, Path(folder) / "table.parquet"))
        steps = self.steps(data).reshape(len(data.table.ids), -1)
        names = data.spec.target_names
        return [
            Forecast(
                series,
                data.table.times[steps[k]],
                {name: {part: values[k, :, v] for part, values in parts.items()} for v, name in enumerate(names)},
            )
            for k, series in enumerate(data.table.ids)
        ]

    def table(self, source: str) -> "pyarrow.Table":
        """A row per series and step: the series' name where the run has ``data.id_column``, the time, and each target.

        Beside the forecast of a target stand, where the run gives them, its quantiles (``<name>_q0.1``) and the ends of
        its interval (``<name>_lower``, ``<name>_upper``).
        """
        import pyarrow as pa

        data, forecasts = self.forecast(source)
        table, options = data.table, cast(SeriesConfig, self.data)
        times = pa.array(table.times[self.steps(data)]).cast(time_type(data))
        ids = pa.array(np.repeat(table.ids, options.horizon))
        columns: dict[str, Any] = dict.fromkeys(id_columns(options), ids) | {options.time_column: times}
        for variable, name in enumerate(data.spec.target_names):
            for part, values in forecasts.items():
                title = name if part == "forecast" else f"{name}_{part}"
                columns[title] = pa.array(values[:, :, variable].ravel())
        return pa.table(columns)

    def forecast(self, source: str) -> tuple[ForecastingData, dict[str, np.ndarray]]:
        """Read the series of a file, or of csv from stdin (-), and forecast them: parts, (K, S, C) each."""
        with input_file(source, ".csv") as path:
            return self.forecast_file(path, source)

    def forecast_file(self, path: Path, source: str) -> tuple[ForecastingData, dict[str, np.ndarray]]:
        """Forecast the series of a file, which the user knows as ``source``; see ``forecast``."""
        data = self.read_announced(path, source)

        def compute(each: ForecastPredictor) -> dict[str, np.ndarray]:
            own = data if each is self else each.read_history(path, source)
            if own.table.ids != data.table.ids:
                raise DataError(
                    f"input={source}: has series that are too short for some members of the ensemble; leave them out"
                )
            last = own.windows["test"].ends - 1  # the last window of each series
            parts = [part.cpu() for _, part in forecast_batches(each.trained, own.batches("test", last))]
            return {"forecasts": torch.cat(parts).numpy()}

        forecasts = torch.from_numpy(self.pooled(compute)["forecasts"])
        return data, in_units(self.trained, forecasts, data, np.arange(len(data.table.ids)))

    def steps(self, data: ForecastingData) -> np.ndarray:
        """Rows of the series table that are the steps after each series, (K * S,)."""
        return (data.table.offsets[1:, None] - np.arange(data.config.horizon, 0, -1)).ravel()

    def read_announced(self, path: Path, source: str) -> ForecastingData:
        """Read the series of a file as ``read_history`` does, and say what was noticed."""
        data = self.read_history(path, source)
        for note in data.table.notes:
            log.info(note)
        if cast(ForecastHead, self.trained.head).cycle is not None and numbers_of_times(data.table) is None:
            log.info(
                "input=%s: the cycle of the run goes by the number of a row in its series, since times do not tell; "
                "each series must begin where it begins in the data of the run",
                source,
            )
        return data

    def read_history(self, path: Path, source: str) -> ForecastingData:
        """Read the series of a file, which the user knows as ``source``; raises DataError if they do not fit."""
        try:
            data = history_data(replace(cast(SeriesConfig, self.data), path=str(path)), self.trained.run.path)
        except DataError as error:
            raise DataError(str(error).replace(str(path), f"input={source}")) from error
        data.table.notes = [note.replace(str(path), f"input={source}") for note in data.table.notes]
        return data


def forecast_batches(trained: Trained, batches: Iterable[ForecastBatch]) -> Iterator[tuple[ForecastBatch, Tensor]]:
    """Each batch, on the device, with its scaled forecasts (B, S, C, P)."""
    task = cast(Forecasting, trained.task)

    def forecasts(batch: Batch, features: Tensor) -> tuple[ForecastBatch, Tensor]:
        return cast(ForecastBatch, batch), task.forecasts(trained.head, features, batch)

    return trained.each_batch(batches, forecasts)


def in_units(trained: Trained, forecasts: Tensor, data: ForecastingData, series: np.ndarray) -> dict[str, np.ndarray]:
    """Parts (see ``Distribution.parts``) of forecasts (B, S, C, P) of the series numbered (B,), in original units.

    Returns:
        (B, S, C) each, float64.
    """
    distribution = cast(Forecasting, trained.task).distribution
    parts = distribution.parts(forecasts)
    found = {name: data.constants.undo(part.cpu().numpy(), series) for name, part in parts.items()}
    whole = distribution.counts and distribution.conformal is None  # then the ends of intervals are counts
    return {name: np.round(part) if whole and name != "forecast" else part for name, part in found.items()}


def time_type(data: ForecastingData) -> "pyarrow.DataType":
    """The column type of a dataset's times: whole numbers, days, seconds or, if these are not enough, nanoseconds.

    Instants have the time zone of the data, and are written with their offset.
    """
    import pyarrow as pa

    times = data.table.times
    if times.dtype.kind == "i":
        return pa.int64()
    zone = (data.config.timezone or "UTC") if data.table.clock is Clock.utc else None
    days, seconds = ((times.astype(f"datetime64[{unit}]") == times).all() for unit in ("D", "s"))
    if days and zone in (None, "UTC"):
        return pa.date32()
    return pa.timestamp("s" if seconds else "ns", zone)


def write_parquet(table: "pandas.DataFrame | pyarrow.Table", path: Path) -> str:
    """Write a table as a parquet file and return its path."""
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(table if isinstance(table, pa.Table) else pa.Table.from_pandas(table), path)
    return str(path)
