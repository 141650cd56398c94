"""Score a run's forecasts from rolling origins in a split, and write them to a file.

Shapes: B windows, S horizon, C variables.
"""

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, cast

import numpy as np
from torch import Tensor

from seqtrain.commands.evaluate import check_changes, check_choice, data_to_score, describe_data
from seqtrain.commands.output import check_output, write_tables
from seqtrain.commands.predict import trained
from seqtrain.config.base import require
from seqtrain.config.root import Config
from seqtrain.config.series import SeriesConfig
from seqtrain.data.series.dataset import ForecastBatch, ForecastingData
from seqtrain.data.series.reading import id_columns
from seqtrain.errors import ConfigError, RunError
from seqtrain.run_directory import RunDirectory
from seqtrain.tasks.forecasting.meter import ForecastMeter
from seqtrain.tasks.forecasting.predict import forecast_batches, in_units, time_type
from seqtrain.tasks.predicting import Trained

if TYPE_CHECKING:
    import pyarrow

ROWS = 1 << 18
"""Largest number of output rows in memory at once."""


def backtest(
    saved: Config,
    config: Config,
    run: RunDirectory,
    *,
    split: str | None = None,
    stride: int = 1,
    output: str | None = None,
    checkpoint: str = "best",
    other_data: bool = False,
) -> dict[str, float]:
    """Forecast from every ``stride``-th origin of a split, and print the scores as JSON.

    Args:
        saved: the run's configuration.
        config: the same with changes of the data source or the device.
        run: the run's directory.
        split: test or validation; None takes test.
        stride: steps between two consecutive origins of a series.
        output: csv, tsv, jsonl or parquet file for the forecasts, see ``forecast_tables``; None writes none.
        checkpoint: ``best`` or ``last``.
        other_data: whether the user gave another ``data.path``; if it is a file, all its rows are forecast.

    Returns:
        Metric -> value; with a stride of 1, the same as from ``evaluate``.

    Raises:
        ConfigError: for a change that would make it another model, a split that the data does not have, or an output
            that cannot be written.
        DataError: if all targets of the forecasts are missing.
        RunError: if the run's model is not a forecaster.
    """
    check_choice("checkpoint", checkpoint, ("best", "last"))
    require(stride >= 1, "stride", stride, "at least 1")
    check_changes(saved, config)
    if not isinstance(config.data, SeriesConfig):
        raise RunError(f"run={run.path}: backtest is for forecasters, and its task is {config.task.name}")
    if output == "-":
        raise ConfigError("output=-: must be a file, since the scores go to stdout")
    if output is not None:
        check_output(output)
    data = cast(ForecastingData, data_to_score(config, run, other_data))
    split = split or "test"
    check_choice("split", split, tuple(name for name in data.sizes if name != "train"))
    model, step = trained(config, run, checkpoint, data.spec)
    describe_data(data, run)
    origins = data.windows[split].every(stride)
    data.check_known(split, origins)
    meter = cast(ForecastMeter, model.task.meter(model.head))
    batches = scored(meter, forecast_batches(model, data.batches(split, origins)))
    if output is None:
        for _ in batches:
            pass
    else:
        write_tables(forecast_tables(model, data, split, batches), output)
    metrics = meter.metrics()
    summary = {"run": str(run.path), "checkpoint": checkpoint, "step": step, "split": split}
    summary |= model.task.remarks()
    print(json.dumps(summary | {"origins": len(origins), "stride": stride} | metrics, indent=2))
    return metrics


def scored(
    meter: ForecastMeter, batches: Iterator[tuple[ForecastBatch, Tensor]]
) -> Iterator[tuple[ForecastBatch, Tensor]]:
    """Add batches and forecasts to the meter, and pass them on unchanged."""
    for batch, forecasts in batches:
        meter.add(forecasts, batch)
        yield batch, forecasts


def forecast_tables(
    model: Trained, data: ForecastingData, split: str, batches: Iterable[tuple[ForecastBatch, Tensor]]
) -> Iterator["pyarrow.Table"]:
    """Tables of bounded size with a row for each window, step and variable.

    Columns: ``id`` of the series (if the run has ``data.id_column``), ``origin`` (the last time in the window),
    ``time``, ``step`` (from 1), ``variable``, ``forecast`` and ``truth`` (null if missing) in original units, then
    the other parts of ``in_units``.
    """
    import pyarrow as pa

    table, S, C = data.table, data.config.horizon, data.table.num_targets
    kind, ids, variables = time_type(table.times), pa.array(table.ids), pa.array(data.spec.target_names)
    size = max(1, ROWS // (S * C))
    for batch, forecasts in batches:
        for start in range(0, len(batch.rows), size):
            part = slice(start, start + size)
            series, first = data.windows[split].locate(batch.rows[part])
            B, rows = len(first), first[:, None] + np.arange(S)
            truth = table.values[rows, :C].ravel()
            parts = in_units(model, forecasts[part], data, series)
            columns = {"id": ids.take(pa.array(np.repeat(series, S * C)))} if id_columns(data.config) else {}
            columns |= {
                "origin": pa.array(np.repeat(table.times[first - 1], S * C)).cast(kind),
                "time": pa.array(np.repeat(table.times[rows].ravel(), C)).cast(kind),
                "step": pa.array(np.tile(np.repeat(np.arange(1, S + 1), C), B)),
                "variable": variables.take(pa.array(np.tile(np.arange(C), B * S))),
                "forecast": pa.array(parts.pop("forecast").ravel()),
                "truth": pa.array(truth, mask=np.isnan(truth)),
            }
            yield pa.table(columns | {name: pa.array(values.ravel()) for name, values in parts.items()})
