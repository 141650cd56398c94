"""The windows of series.

A window is ``lookback`` steps that a forecast sees and ``horizon`` steps that it predicts. There is one at every step.
It belongs to the split that contains all of its horizon. Its lookback may lie before the split, so that the first steps
of validation and test are predicted too.

Shapes: N rows of K series, B windows, D variables, T steps.
"""

from dataclasses import dataclass

import numpy as np

from seqtrain.config.series import SeriesConfig
from seqtrain.data.locate import SPLITS
from seqtrain.data.series.splits import split_ends
from seqtrain.errors import DataError


@dataclass(frozen=True)
class Windows:
    """The windows of a split, numbered by series, then by time."""

    first: np.ndarray
    """First row that the first window of each series predicts, (K,)."""
    ends: np.ndarray
    """Number of windows of each series and all series before it, (K,)."""

    @classmethod
    def of_split(
        cls, starts: np.ndarray, begins: np.ndarray, ends: np.ndarray, lookback: int, horizon: int
    ) -> "Windows":
        """The windows that predict rows from ``begins`` to before ``ends`` of series from ``starts`` on, (K,) each."""
        first = np.maximum(begins, starts + lookback)
        return cls(first, np.cumsum((ends - horizon - first + 1).clip(min=0)))

    def __len__(self) -> int:
        return int(self.ends[-1])

    def of_series(self, chosen: np.ndarray) -> "Windows":
        """The windows of the series at which ``chosen``, (K,), is true."""
        return Windows(self.first, np.cumsum(np.where(chosen, self.counts, 0)))

    @property
    def counts(self) -> np.ndarray:
        """Number of windows of each series, (K,)."""
        return np.diff(self.ends, prepend=0)

    def every(self, stride: int) -> np.ndarray:
        """Numbers of the first window of each series and every ``stride``-th after it, (B,)."""
        starts = self.ends - self.counts
        return np.concatenate([np.arange(*pair, stride) for pair in zip(starts, self.ends, strict=True)])

    def locate(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Series of the windows with these numbers, and the first row that each predicts, (B,) each."""
        series = np.searchsorted(self.ends, numbers, side="right")
        return series, self.first[series] + numbers - (self.ends - self.counts)[series]


Ranges = dict[str, tuple[np.ndarray, np.ndarray]]


def split_windows(
    times: np.ndarray,
    offsets: np.ndarray,
    config: SeriesConfig,
    single_split: bool,
    origin: str,
    ends: np.ndarray | None = None,
) -> tuple[Ranges, dict[str, Windows]]:
    """Rows and windows of each split.

    Args:
        times: time of each row, (N,).
        offsets: first row of each series, and N, (K + 1,).
        config: the options.
        single_split: take all rows as one split, ``test``.
        origin: name of the source, for errors.
        ends: ends of train, validation and test of each series, as rows from its start, (K, 3); None: as the options
            say.

    Returns:
        First row of each split in each series and the row after its last one, (K,) each; and the windows of each split.

    Raises:
        ConfigError: as ``split_ends``.
        DataError: as ``split_ends``, or if a split has no window.
    """
    starts = offsets[:-1]
    ranges = {"test": (starts, offsets[1:])}
    if not single_split:
        ends = split_ends(times, offsets, config, origin) if ends is None else ends
        borders = np.column_stack([starts, starts[:, None] + ends])
        ranges = {split: (borders[:, place], borders[:, place + 1]) for place, split in enumerate(SPLITS)}
    L, S = config.lookback, config.horizon
    windows = {split: Windows.of_split(starts, *pair, L, S) for split, pair in ranges.items()}
    for split, (begins, after) in ranges.items():
        if len(windows[split]) == 0:
            longest = int((after - begins).argmax())
            rows, before = int((after - begins)[longest]), int((begins - starts)[longest])
            which = split if len(starts) == 1 else f"{split} of the longest series"
            needs = f"rows; data.lookback={L} + data.horizon={S} need {L + S:,}"
            if before > 0:
                needs = f"rows, after {before:,} others; data.horizon={S} must lie in it, data.lookback={L} before it"
            changed = "split_date" if config.split_date is not None else f"{split}_size"
            remedy = "" if single_split else f", or change data.{changed}"
            raise DataError(f"{origin}: {which} has {rows:,} {needs}; lower one of them{remedy}")
    return ranges, windows


def cut(array: np.ndarray, starts: np.ndarray, steps: int) -> np.ndarray:
    """Copy T rows of (N, D) from each of ``starts`` (B,) on, to (B, T, D).

    A window is contiguous in memory and copied as a whole, 3 to 12 times as fast as a gather of its rows. The view of
    all windows takes no memory. ``sliding_window_view`` checks more and takes longer than the copy of a small batch.
    """
    width = array.shape[1]
    if width == 0:
        return np.zeros((len(starts), steps, 0), dtype=array.dtype)
    array = np.ascontiguousarray(array)
    shape, strides = (len(array) - steps + 1, steps * width), (width * array.itemsize, array.itemsize)
    windows = np.lib.stride_tricks.as_strided(array, shape, strides, writeable=False)
    return windows[starts].reshape(len(starts), steps, width)


@dataclass(frozen=True)
class FilledRows:
    """Variables without gaps; in each window, gaps are filled without values from after the window."""

    values: np.ndarray
    """Values with gaps filled from earlier values only, (N, D)."""
    between: np.ndarray | None = None
    """Values with gaps interpolated from the known values before and after, (N, D); None: not interpolated."""
    next_known: np.ndarray | None = None
    """Row of the next known value (its own row if the value is known); N if there is none, (N, D)."""

    @classmethod
    def of(cls, values: np.ndarray, offsets: np.ndarray, filler: np.ndarray, interpolate: bool) -> "FilledRows":
        """Fill the gaps of variables; the result has the type of the values.

        Args:
            values: values, NaN where missing, (N, D).
            offsets: first row of each series, and N, (K + 1,).
            filler: value of a gap without a known value before it, (K, D).
            interpolate: fill gaps on a straight line between known values, and after the last one by repeating it.
                If false, all gaps are ``filler``.
        """
        known = ~np.isnan(values)
        if known.all():
            return cls(values)
        lengths = np.diff(offsets)
        fillers = np.repeat(filler.astype(values.dtype), lengths, axis=0)
        if not interpolate:
            return cls(np.where(known, values, fillers))
        count = len(values)
        row = np.arange(count)[:, None]
        start, end = np.repeat(offsets[:-1], lengths)[:, None], np.repeat(offsets[1:], lengths)[:, None]
        before = np.maximum.accumulate(np.where(known, row, -1), axis=0)
        after = np.minimum.accumulate(np.where(known, row, count)[::-1], axis=0)[::-1]
        seen, follows = before >= start, after < end
        column = np.arange(values.shape[1])
        carried = np.where(seen, values[before.clip(min=0), column], fillers)
        target = values[after.clip(max=count - 1), column]
        share = (row - before) / np.maximum(after - before, 1)
        between = np.where(seen & follows, carried + share * (target - carried), carried).astype(values.dtype)
        return cls(carried, between, np.where(follows, after, count))

    def add(self, features: np.ndarray) -> "FilledRows":
        """These rows with more columns, without gaps, on the right, (N, F)."""
        values = np.concatenate([self.values, features.astype(np.float32)], axis=1)
        if self.between is None or self.next_known is None:
            return FilledRows(values)
        rows = np.broadcast_to(np.arange(len(features))[:, None], features.shape)
        return FilledRows(
            values,
            np.concatenate([self.between, features.astype(np.float32)], axis=1),
            np.concatenate([self.next_known, rows], axis=1),
        )

    def columns(self, start: int, stop: int | None = None) -> "FilledRows":
        """A copy of some of the columns; the object itself if these are all columns."""
        if start == 0 and stop in (None, self.values.shape[1]):
            return self
        values = np.ascontiguousarray(self.values[:, start:stop])
        if self.between is None or self.next_known is None:
            return FilledRows(values)
        between, next_known = (np.ascontiguousarray(part[:, start:stop]) for part in (self.between, self.next_known))
        return FilledRows(values, between, next_known)

    def cut(self, starts: np.ndarray, steps: int) -> np.ndarray:
        """Windows (B, T, D) in which no gap is filled with a value from after the window."""
        carried = cut(self.values, starts, steps)
        if self.between is None or self.next_known is None:
            return carried
        inside = cut(self.next_known, starts, steps) < (starts + steps)[:, None, None]
        return np.where(inside, cut(self.between, starts, steps), carried)
