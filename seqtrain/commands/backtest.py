"""Score a run's forecasts from rolling origins in a split, and write them to a file.

Shapes: B windows, S horizon, C variables.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from torch import Tensor

from seqtrain.commands.evaluate import check_changes, check_choice, data_to_score, describe_data
from seqtrain.commands.output import check_output, write_tables
from seqtrain.commands.predict import trained
from seqtrain.commands.refit import Fit, refits
from seqtrain.config.base import require
from seqtrain.config.root import Config
from seqtrain.config.series import SeriesConfig
from seqtrain.data.series.batch import ForecastBatch
from seqtrain.data.series.columns import id_columns
from seqtrain.data.series.dataset import ForecastingData
from seqtrain.errors import ConfigError, RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import to_json
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
    refit: int | None = None,
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
        refit: number of origins of each series after which the model is trained again, see ``refits``; None forecasts
            all with the run's model.
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
    require(refit is None or refit >= 1, "refit", refit, "at least 1")
    require(refit is None or checkpoint == "best", "checkpoint", checkpoint, "best with refit")
    require(refit is None or not other_data, "refit", refit, "absent with data.path: it needs the splits of the run")
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
    describe_data(data, run)
    origins = data.windows[split].every(stride)
    data.check_known(split, origins)
    summary: dict[str, Any] = {"run": str(run.path), "checkpoint": checkpoint, "split": split}
    fits: Iterable[Fit]
    if refit is None:
        model, step = trained(config, run, checkpoint, data.spec)
        summary |= {"step": step} | model.task.remarks()
        fits = [Fit(model, data, split, origins, step)]
    else:
        fits = refits(config, run, data, split, stride, refit)
    meters: list[ForecastMeter] = []
    described: list[dict[str, Any]] = []

    def tables() -> Iterator["pyarrow.Table"]:
        for fit in fits:
            meter = cast(ForecastMeter, fit.model.task.meter(fit.model.head))
            batches = scored(meter, forecast_batches(fit.model, fit.data.batches(fit.split, fit.origins)))
            if output is not None:
                yield from forecast_tables(fit.model, fit.data, fit.split, batches)
            for _ in batches:
                pass
            if refit is not None:
                described.append(fit.describe() | (meter.metrics() if meter.sums.counts.any() else {}))
            meters.append(meter)

    if output is None:
        for _ in tables():
            pass
    else:
        write_tables(tables(), output)
    whole, *others = meters
    for meter in others:
        whole.merge(meter.gathered())
    metrics = whole.metrics()
    summary |= {"origins": len(origins), "stride": stride}
    summary |= {} if refit is None else {"refit": refit, "fits": described}
    print(to_json(summary | metrics, indent=2))
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
    kind, ids, variables = time_type(data), pa.array(table.ids), pa.array(data.spec.target_names)
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
