"""The scores of a forecaster, accumulated batch by batch.

Shapes: B windows, S horizon, C variables, P parameters of a forecast.
"""

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from seqtrain.data.base import Batch
from seqtrain.data.series.batch import ForecastBatch
from seqtrain.data.spec import DataSpec
from seqtrain.tasks.base import Evaluation, Meter
from seqtrain.tasks.forecasting.conformal import IntervalSums
from seqtrain.tasks.forecasting.distribution import Distribution
from seqtrain.tasks.forecasting.head import ForecastHead
from seqtrain.tasks.forecasting.metrics import ForecastSums


class ForecastMeter(Meter):
    """Sums of errors over all windows, and of the scores of distributions and intervals.

    Args:
        head: map from features to forecasts.
        distribution: the meaning of the parameters of forecasts.
        sums: empty sums of errors.
        names: names of the variables.
    """

    taken_in = ("sums", "outputs", "rows", "errors", "crps", "central", "conformal")

    def __init__(self, head: ForecastHead, distribution: Distribution, sums: ForecastSums, names: list[str]):
        self.head, self.distribution, self.sums, self.names = head, distribution, sums, names
        self.outputs: list[np.ndarray] = []
        self.rows: list[np.ndarray] = []
        self.errors: list[np.ndarray] = []
        self.crps: list[np.ndarray] = []
        self.central, self.conformal = IntervalSums(*sums.counts.shape), IntervalSums(*sums.counts.shape)

    def update(self, batch: Batch, features: Tensor) -> None:
        batch = cast(ForecastBatch, batch)
        self.take(self.distribution.forecasts(self.head(features, batch).float(), batch), batch, batch.rows)

    def take(self, forecasts: Tensor, batch: ForecastBatch, rows: np.ndarray) -> None:
        """Add forecasts (B, S, C, P) to the scores and to the outputs, as those of the rows with these numbers."""
        self.errors.append(self.add(forecasts, batch))
        self.outputs.append(forecasts.cpu().numpy())
        self.rows.append(rows)

    def add(self, forecasts: Tensor, batch: ForecastBatch) -> np.ndarray:
        """Add forecasts (B, S, C, P) to the scores only, not to the outputs; the errors are as of ``add_errors``."""
        errors = add_errors(self.sums, batch.in_units(self.distribution.point(forecasts).cpu().numpy()), batch)
        interval = self.distribution.own_interval(forecasts)
        if interval is not None:
            self.central.update(interval, batch)
            self.add_crps(forecasts, batch)
        if self.distribution.conformal is not None:
            self.conformal.update(self.distribution.conformal_interval(forecasts), batch)
        return errors

    def add_crps(self, forecasts: Tensor, batch: ForecastBatch) -> None:
        """Add the continuous ranked probability scores of forecasts (B, S, C, P) that are not points."""
        values = forecasts.cpu().double().numpy()
        scores = cast(np.ndarray, self.distribution.crps(values, batch.scaled_truth()))
        scores = scores if batch.observed is None else np.where(batch.observed.cpu().numpy(), scores, 0)
        self.crps.append(scores.sum((1, 2)))

    def result(self) -> Evaluation:
        """Scores of all batches that were added; call it once, since it moves the forecasts out of the meter."""
        order = np.argsort(np.concatenate(self.rows))
        outputs = {"forecasts": moved_to_one(self.outputs, np.argsort(order))}
        names = ("squared_errors", "absolute_errors", "observed")
        outputs |= dict(zip(names, np.concatenate(self.errors, axis=1)[:, order], strict=True))
        outputs |= {"crps": np.concatenate(self.crps)[order]} if self.crps else {}
        return Evaluation(self.metrics(), outputs, error_sums(self.sums), self.details())

    def metrics(self) -> dict[str, float]:
        """Scores of all batches that were added."""
        metrics = self.sums.metrics()
        if self.crps:
            crps, count = np.concatenate(self.crps).sum(), self.central.counts.sum()
            metrics |= {"crps": float(crps / count), "coverage": float(self.central.means()["coverage"])}
        if self.distribution.conformal is not None:
            metrics |= {f"conformal_{name}": float(value) for name, value in self.conformal.means().items()}
        return metrics

    def details(self) -> dict[str, Any]:
        """Scores of each variable and of each step of the horizon; see ``error_details``."""
        by_variable, by_step = dict[str, NDArray[np.floating]](), dict[str, NDArray[np.floating]]()
        intervals = {"": self.central} if self.crps else {}
        intervals |= {"conformal_": self.conformal} if self.distribution.conformal is not None else {}
        for prefix, sums in intervals.items():
            by_variable |= {f"{prefix}{name}": values for name, values in sums.means(0).items()}
            by_step |= {f"{prefix}{name}": values for name, values in sums.means(1).items() if name != "original_width"}
        return error_details(self.sums, self.names, by_variable, by_step)


def moved_to_one(parts: list[np.ndarray], places: np.ndarray) -> np.ndarray:
    """Move the rows of all parts into one array, at their places, (N,); the list is emptied to save memory."""
    whole = np.empty((len(places), *parts[0].shape[1:]), parts[0].dtype)
    while parts:
        part = parts.pop()
        places, own = np.split(places, [-len(part)])
        whole[own] = part
    return whole


def empty_sums(spec: DataSpec) -> ForecastSums:
    """Empty sums of errors for the series of a dataset."""
    assert spec.horizon is not None
    return ForecastSums(spec.horizon, *np.array(spec.naive_errors))


def add_errors(sums: ForecastSums, point: np.ndarray, batch: ForecastBatch) -> np.ndarray:
    """Add the point forecasts (B, S, C) of a batch, in original units, to sums of errors.

    Returns:
        Squared and absolute scaled errors and observed values of each window, (3, B); see ``ForecastSums.update``.
    """
    assert batch.truth is not None
    observed = None if batch.observed is None else batch.observed.cpu().numpy()
    return sums.update(point, batch.truth, observed, batch.scale, batch.series.cpu().numpy())


def error_sums(sums: ForecastSums) -> dict[str, np.ndarray]:
    """Arrays for figures: ``mse_by_step``, (S,), and ``mse_by_variable``, (C,)."""
    return {"mse_by_step": sums.by_step()[0], "mse_by_variable": sums.by_variable()["mse"]}


def error_details(
    sums: ForecastSums,
    names: list[str],
    by_variable: dict[str, NDArray[np.floating]] | None = None,
    by_step: dict[str, NDArray[np.floating]] | None = None,
) -> dict[str, Any]:
    """Metrics of each variable and of each step of the horizon, ready for JSON; null where nothing was observed.

    Args:
        sums: sums of errors.
        names: names of the variables.
        by_variable: further metrics of variables, (C,) each.
        by_step: further metrics of steps, (S,) each.

    Returns:
        ``by_variable``: variable -> metric -> value, and ``by_step``: metric -> S values.
    """
    mse, mae = sums.by_step()
    variables = {name: plain(values) for name, values in (sums.by_variable() | (by_variable or {})).items()}
    return {
        "by_variable": {
            variable: {metric: values[place] for metric, values in variables.items()}
            for place, variable in enumerate(names)
        },
        "by_step": {metric: plain(values) for metric, values in ({"mse": mse, "mae": mae} | (by_step or {})).items()},
    }


def plain(values: NDArray[np.floating]) -> list[float | None]:
    """Numbers ready for JSON: None for NaN and infinity."""
    return [float(value) if np.isfinite(value) else None for value in values]
