"""Series as windows for forecasting: each window is a stretch of the past and the steps after it.

Shapes: N rows of K series, B windows, L steps of lookback, S steps of horizon, D features of a step, C targets, F
features that are known for the horizon.
"""

import hashlib
import warnings
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqtrain.config.base import Targets
from seqtrain.config.series import Missing, SeriesConfig
from seqtrain.data.base import Batch, Dataset
from seqtrain.data.cache import digest
from seqtrain.data.folds import series_folds
from seqtrain.data.series.batch import ForecastBatch
from seqtrain.data.series.calendar import calendar_features, default_season
from seqtrain.data.series.covariates import one_hot, train_categories
from seqtrain.data.series.fitting import fit_scaling
from seqtrain.data.series.reading import read_series
from seqtrain.data.series.resolution import check_finite, resolution_notes
from seqtrain.data.series.row_digests import MOST, stretch_digests
from seqtrain.data.series.saved import SavedSeries
from seqtrain.data.series.steps import step_numbers
from seqtrain.data.series.table import SeriesTable, split_notes, without_short, without_untrained
from seqtrain.data.series.times import Clock, time_text
from seqtrain.data.series.windows import FilledRows, Windows, cut, split_windows
from seqtrain.data.spec import DataSpec
from seqtrain.errors import DataError


class ForecastingData(Dataset):
    """A window at every step of series from any source, cut from one array when it is needed.

    Windows of validation and test may look back across the border of their split, but predict only rows inside it.
    Scaling is computed from rows of train, and no input depends on anything after its lookback.

    Args:
        config: the options.
        seed: seed of the order of training windows.
        trained: directory of a run, whose variables and scaling are used; None learns the scaling from train.
        single_split: take all rows of the source as one split, ``test``.
        table: rows to use instead of those of the source.
        ends: ends of the splits of each series, see ``split_windows``; None: as the options say.

    Raises:
        DataError: if the source cannot be found, read or used, is too short for a window in each split, or if all
            targets in the windows of a split are missing.
    """

    digested = "stretches of 8 steps"
    targets = Targets.future

    def __init__(
        self,
        config: SeriesConfig,
        seed: int,
        trained: Path | None = None,
        single_split: bool = False,
        table: SeriesTable | None = None,
        ends: np.ndarray | None = None,
    ):
        self.config, self.seed = config, seed
        saved = None if trained is None else SavedSeries.read(trained / "scaler.json")
        if table is not None:
            source = table
        elif saved is None:
            source = read_series(config)
        else:
            source = read_series(saved.as_trained(config), saved.times)
        scored, table = table is None, source if ends is not None else without_short(source, config, single_split)
        table = table if saved is None else without_untrained(table, saved.untrained)
        self.table, self.notes = table, [*table.notes]
        self.left_out = sorted(set(source.ids) - set(table.ids))
        self.ranges, self.windows = split_windows(table.times, table.offsets, config, single_split, table.origin, ends)
        whole = self.windows
        if config.folds is not None and not single_split:
            self.windows = self.cut_fold(config.folds)
        self.sizes = {split: len(part) for split, part in self.windows.items()}
        season = None if saved is None else saved.season
        self.season = config.season or season or default_season(table.frequency)
        if saved is None:
            self.scaling = fit_scaling(table, self.ranges, config, self.notes)
            self.static = table.static
            self.categories = train_categories(table, self.ranges["train"][1])
        else:
            self.scaling, self.static, self.categories = saved.scaling, saved.static, saved.categories
        names = self.scaling.names + list(self.categories)
        if table.names != names:
            have, want = ", ".join(table.names), ", ".join(names)
            raise DataError(f"{table.origin}: variables {have} are not those that the run was trained on: {want}")
        self.constants = self.scaling.select(table.ids)
        self.fill_arrays()
        if scored:  # the rows of a given table may end in an unknown horizon
            for split, size in self.sizes.items():
                self.check_known(split, np.arange(size))
        C = table.num_targets
        naive_errors = np.nan_to_num(np.stack(self.naive_errors(self.season)))
        self.spec = DataSpec(
            targets=Targets.future,
            num_features=self.rows.values.shape[1],
            lookback=config.lookback,
            horizon=config.horizon,
            num_targets=C,
            num_future=self.future_rows.values.shape[1],
            season=season or self.season,
            target_names=table.names[:C],
            naive_errors=naive_errors.tolist(),
        )
        self.fingerprint = self.find_fingerprint(self.windows)
        if self.windows is not whole:
            self.folds_of = digest([self.find_fingerprint(whole), config.folds, config.split_seed])
        self.notes += split_notes(table, config, self.ranges, self.windows, whole)
        if not single_split:
            train_ends = self.ranges["train"][1]
            self.notes += resolution_notes(self.target_rows, table, train_ends, self.constants, naive_errors[0], config)
            left_out = (naive_errors == 0).any(axis=0)
            if left_out.any():
                self.notes.append(
                    f"mase and rmsse leave out {left_out.sum():,} of {left_out.size:,} variables of all series: their "
                    "seasonal naive forecast has no error on train to divide by"
                )
            if season not in (None, self.season):
                self.notes.append(
                    f"data.season={self.season}: mase and rmsse cannot be compared with those of the run, whose "
                    f"season is {season}"
                )

    def cut_fold(self, folds: int) -> dict[str, Windows]:
        """The windows of each split: validation of the series of ``data.fold``, train of the others, test of all.

        Raises:
            DataError: if there are too few series, or a split has no window left.
        """
        config, names = self.config, self.table.ids
        inside = series_folds(names, folds, config.split_seed, self.table.origin) == config.fold
        chosen = {"train": ~inside, "validation": inside}
        windows = {
            split: part.of_series(chosen[split]) if split in chosen else part for split, part in self.windows.items()
        }
        for split in chosen:
            if len(windows[split]) == 0:
                raise DataError(
                    f"data.fold={config.fold}: {split} has no window in the series that this fold leaves to it; lower "
                    "data.folds, or change data.split_seed"
                )
        self.notes.append(
            f"validation: {int(inside.sum()):,} of {len(names):,} series, fold {config.fold} of {folds} (data.folds); "
            "train has the others, and test has all"
        )
        return windows

    def fill_arrays(self) -> None:
        """Scale all rows and fill their gaps; windows are cut from the resulting arrays."""
        table, constants = self.table, self.constants
        scaled = constants.apply(table.values[:, : table.num_numeric], table.offsets)
        check_finite(scaled, table)
        filler = (constants.mean - constants.centre) / constants.scale
        rows = FilledRows.of(scaled, table.offsets, filler, self.config.missing is Missing.interpolate)
        if self.categories:
            features, notes = one_hot(table, self.categories)
            rows = rows.add(features)
            table.notes += notes
            self.notes += notes
        if self.config.calendar:
            zone = self.config.timezone if table.clock is Clock.utc else None
            rows = rows.add(calendar_features(table.times, table.frequency, zone)[0])
        self.rows = rows
        self.target_rows = rows.columns(0, table.num_targets).values
        self.truth = np.ascontiguousarray(table.values[:, : table.num_targets])
        self.future_rows = rows.columns(table.num_targets + table.num_past)
        known = ~np.isnan(scaled[:, : table.num_targets])
        self.known = None if known.all() else known

    @cached_property
    def steps(self) -> np.ndarray:
        """Number of the step of each row, see ``step_numbers``, (N,)."""
        return step_numbers(self.table)

    @cached_property
    def past_rows(self) -> FilledRows:
        """Targets in original units, with gaps filled as in the inputs, (N, C), float64."""
        mean = self.constants.mean[:, : self.table.num_targets]
        return FilledRows.of(self.truth, self.table.offsets, mean, self.config.missing is Missing.interpolate)

    def past(self, split: str, numbers: np.ndarray, steps: int | None = None) -> np.ndarray:
        """Targets of the steps before those that windows predict, in original units, float64.

        Args:
            split: the split.
            numbers: numbers of the windows, (B,).
            steps: number T of steps; None: the lookback.

        Returns:
            The targets, gaps filled, (B, T, C).
        """
        count = steps or self.config.lookback
        return self.past_rows.cut(self.windows[split].locate(numbers)[1] - count, count)

    def batch(self, split: str, numbers: np.ndarray) -> ForecastBatch:
        """A batch of the windows with these numbers."""
        L, S, C = self.config.lookback, self.config.horizon, self.table.num_targets
        series, first = self.windows[split].locate(numbers)
        return ForecastBatch(
            inputs=torch.from_numpy(self.rows.cut(first - L, L)),
            targets=torch.from_numpy(cut(self.target_rows, first, S)),
            lengths=torch.full((len(numbers),), L),
            rows=numbers,
            num_tokens=len(numbers) * L,
            future=torch.from_numpy(self.future_rows.cut(first, S)),
            observed=None if self.known is None else torch.from_numpy(cut(self.known, first, S)),
            truth=cut(self.truth, first, S),
            series=torch.from_numpy(series),
            first_step=torch.from_numpy(self.steps[first]),
            centre=self.constants.centre[series, :C],
            scale=self.constants.scale[series, :C],
        )

    def num_batches(self, epoch: int) -> int:
        return -(-self.sizes["train"] // self.config.batch_size)

    def train_batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        size = self.config.batch_size
        order = np.random.default_rng([self.seed, epoch]).permutation(self.sizes["train"])
        for first in range(start * size, len(order), size):
            yield self.batch("train", order[first : first + size])

    def eval_batches(self, split: str) -> Iterator[Batch]:
        return self.batches(split, np.arange(self.sizes[split]))

    def batches(self, split: str, numbers: np.ndarray) -> Iterator[ForecastBatch]:
        """Evaluation batches of the windows with these numbers, in this order."""
        size = self.config.eval_batch_size
        for first in range(0, len(numbers), size):
            yield self.batch(split, numbers[first : first + size])

    def has_past(self, split: str, steps: int) -> bool:
        """Whether the series have so many steps before those that any window of a split predicts."""
        windows = self.windows[split]
        return bool((windows.first - steps >= self.table.offsets[:-1])[windows.counts > 0].all())

    def source_rows(self, split: str) -> np.ndarray:
        """Number in the source, from 0, of the first row that each window predicts, (N,)."""
        return self.table.rows[self.windows[split].locate(np.arange(self.sizes[split]))[1]]

    def row_digests(self, split: str, read: bool = True) -> np.ndarray:
        """Digests of stretches of the targets, see ``stretch_digests``; of a long train of some of them."""
        table = self.table
        most = MOST if split == "train" else None
        return stretch_digests(table.times, self.truth, table.offsets, *self.ranges[split], most)

    def examples(self, split: str, count: int) -> tuple[Batch, list[list[str]]]:
        """A few windows of a split, always the same, and the times of their lookback and horizon."""
        L, S = self.config.lookback, self.config.horizon
        chosen = np.unique(np.linspace(0, self.sizes[split] - 1, count).astype(int))
        times = cut(self.table.times[:, None], self.windows[split].locate(chosen)[1] - L, L + S)[..., 0]
        return self.batch(split, chosen), [[time_text(time) for time in row] for row in times]

    def history(self, split: str) -> list[np.ndarray]:
        """Targets of each series in the rows of a split, in original units, NaN where missing, (rows, C) each."""
        begins, ends = self.ranges[split]
        targets = self.table.values[:, : self.table.num_targets]
        return [targets[begin:end] for begin, end in zip(begins, ends, strict=True)]

    def target_counts(self, split: str) -> np.ndarray:
        """Number of known targets of each step and variable over all windows of a split, (S, C)."""
        S, C, windows = self.config.horizon, self.table.num_targets, self.windows[split]
        if self.known is None:
            return np.full((S, C), len(windows))
        before = np.concatenate([np.zeros((1, C), np.int64), np.cumsum(self.known, axis=0)])
        used = windows.counts > 0
        steps = windows.first[used, None] + np.arange(S)
        return (before[steps + windows.counts[used, None]] - before[steps]).sum(axis=0)

    def check_known(self, split: str, numbers: np.ndarray) -> None:
        """Raise DataError if all targets of the windows with these numbers, (B,), are missing."""
        if self.known is None:
            return
        first = self.windows[split].locate(numbers)[1]
        before = np.concatenate([[0], np.cumsum(self.known.any(axis=1))])
        if (before[first + self.config.horizon] == before[first]).all():
            raise DataError(
                f"{self.table.origin}: no target is known in the windows of {split} ({len(numbers):,}); fill some in, "
                "or choose other rows"
            )

    def naive_errors(self, season: int) -> tuple[np.ndarray, np.ndarray]:
        """Errors on train of the forecast by the value a season before, by which MASE and RMSSE divide.

        Returns:
            Mean absolute and mean squared error in original units, (K, C) each. NaN where train has no two known
            values of the series that far apart; 0 where the series repeats itself exactly.

        Source: Hyndman and Koehler 2006; Makridakis et al. 2022 (M5).
        """
        C = self.table.num_targets
        nothing = np.full((0, C), np.nan)
        parts = self.history("train") if "train" in self.ranges else [nothing] * len(self.table.ids)
        steps = [part[season:] - part[:-season] if len(part) > season else nothing for part in parts]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
            mae = np.stack([np.nanmean(np.abs(part), axis=0) for part in steps])
            mse = np.stack([np.nanmean(part**2, axis=0) for part in steps])
        return mae, mse

    def find_fingerprint(self, windows: dict[str, Windows]) -> str:
        """Digest of everything that scores depend on: times, values, rows and windows of each split, and units.

        The lookback counts only if it changes the windows of validation, because it is longer than train.
        """
        table, config = self.table, self.config
        held_out = {split: [part.first.tolist(), part.ends.tolist()] for split, part in windows.items()}
        held_out.pop("train", None)
        ranges = {split: [part.tolist() for part in pair] for split, pair in self.ranges.items()}
        options = [config.horizon, config.scaler.value, config.scale_by.value, config.missing.value]
        named = [table.names, table.num_targets, table.num_past, table.ids, table.frequency]
        if table.categories:
            named.append(list(table.categories.values()))
        state = hashlib.blake2b(digest([held_out, ranges, options, named]).encode(), digest_size=16)
        state.update(table.times.view(np.int64).tobytes())
        state.update(np.where(np.isnan(table.values), np.nan, table.values).tobytes())
        return state.hexdigest()

    def save(self, directory: Path) -> None:
        """Write scaler.json, for the use of the scaling on other rows."""
        table, scaling = self.table, self.scaling
        SavedSeries(
            num_targets=table.num_targets,
            frequency=table.frequency,
            names=scaling.names,
            ids=scaling.ids,
            centre=scaling.centre.tolist(),
            scale=scaling.scale.tolist(),
            mean=scaling.mean.tolist(),
            season=self.season,
            clock=table.clock.value,
            distance=table.distance,
            left_out=self.left_out,
            categories=self.categories,
            static=self.static,
        ).write(directory / "scaler.json")

    def describe(self) -> dict[str, Any]:
        rows = {split: int((ends - begins).sum()) for split, (begins, ends) in self.ranges.items()}
        table = self.table
        return super().describe() | {"frequency": table.frequency, "series": len(table.ids), "rows": rows}
