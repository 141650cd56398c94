"""The rows of all series as one table, and remarks on it for the user.

Shapes: N rows of K series, D variables.
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import numpy as np

from seqtrain.config.series import Missing, ScaleBy, Scaler, SeriesConfig
from seqtrain.data.series.scaling import listed
from seqtrain.data.series.times import STEP, Clock, time_text
from seqtrain.data.series.windows import Ranges, Windows, split_windows


@dataclass
class SeriesTable:
    """Rows of all series, one series after the other (by name), each in order of time."""

    origin: str
    """The file or dataset, for messages."""
    times: np.ndarray
    """Time of each row, datetime64[ns] in UTC or as written, or int64, (N,)."""
    values: np.ndarray
    """Values of targets, past covariates and future covariates (the categorical ones last); NaN where missing, (N, D),
    float64."""
    names: list[str]
    """Names of the variables."""
    num_targets: int
    num_past: int
    num_future: int
    offsets: np.ndarray
    """First row of each series, and N, (K + 1,)."""
    ids: list[str]
    """Names of the series; ``""`` if there is only one."""
    rows: np.ndarray
    """Number of each row in the source, from 0, (N,)."""
    frequency: str
    """Frequency of the times, as pandas writes it, or ``step``."""
    distance: int | None
    """Distance of times that are whole numbers; None: they are dates, or their distance is not known."""
    clock: Clock
    """What the times are."""
    missing: int
    """Number of missing values."""
    notes: list[str]
    categories: dict[str, list[str]] = field(default_factory=dict)
    """Names of the categories of each categorical covariate. These are the last variables; their values are places
    among the names."""
    static: list[str] = field(default_factory=list)
    """Names of the future covariates that have one value in each series."""

    @property
    def num_numeric(self) -> int:
        """Number of variables that are numbers, which come before the categorical ones."""
        return len(self.names) - len(self.categories)


def called(table: SeriesTable, series: int, variable: int) -> str:
    """A variable as messages name it: with its series, if there are several."""
    return f"{table.names[variable]!r}" + (f" of series {table.ids[series]!r}" if len(table.ids) > 1 else "")


def without_short(table: SeriesTable, config: SeriesConfig, single_split: bool) -> SeriesTable:
    """The table without the series that are too short for any window, or have no row of train to be scaled by."""
    ranges, windows = split_windows(table.times, table.offsets, config, single_split, table.origin)
    used = np.any([part.counts > 0 for part in windows.values()], axis=0)
    notes, count = left_out_notes(table, np.flatnonzero(used), "being too short for any window"), len(used)
    own_scale = config.scale_by is ScaleBy.series and config.scaler is not Scaler.none
    if own_scale and "train" in ranges:
        begins, ends = ranges["train"]
        unscaled = used & (begins == ends)
        used &= ~unscaled
        if unscaled.any():
            named = listed([repr(table.ids[k]) for k in np.flatnonzero(unscaled)])
            notes.append(
                f"{unscaled.sum():,} of {count:,} series are left out, having no row of train to be scaled by: {named};"
                " data.scale_by=all keeps them"
            )
    return selected(table, np.flatnonzero(used), notes)


def without_untrained(table: SeriesTable, untrained: Collection[str]) -> SeriesTable:
    """The table without the series that a run left out of its training, of which it knows no scale."""
    used = np.flatnonzero([name not in untrained for name in table.ids])
    if not used.size:
        return table  # an error names them later
    return selected(table, used, left_out_notes(table, used, "since the run was trained without them"))


def selected(table: SeriesTable, used: np.ndarray, notes: list[str]) -> SeriesTable:
    """The table with the series of some numbers only, and notes on the others."""
    if len(used) == len(table.ids):
        return table
    lengths = np.diff(table.offsets)
    rows = np.repeat(np.isin(np.arange(len(lengths)), used), lengths)
    values = table.values[rows]
    return replace(
        table,
        times=table.times[rows],
        values=values,
        offsets=np.concatenate([[0], np.cumsum(lengths[used])]),
        ids=[table.ids[place] for place in used],
        rows=table.rows[rows],
        missing=int(np.isnan(values).sum()),
        notes=[*table.notes, *notes],
    )


def left_out_notes(table: SeriesTable, used: np.ndarray, why: str) -> list[str]:
    """A remark, as a list of one, on the series that are not used; empty if all are."""
    others = np.setdiff1d(np.arange(len(table.ids)), used)
    if not others.size:
        return []
    named = listed([repr(table.ids[place]) for place in others])
    return [f"{len(others):,} of {len(table.ids):,} series are left out, {why}: {named}"]


def split_notes(
    table: SeriesTable, config: SeriesConfig, ranges: Ranges, windows: dict[str, Windows], whole: dict[str, Windows]
) -> list[str]:
    """Remarks on the rows, times and windows of each split, and on missing values.

    Args:
        table: the series.
        config: the options.
        ranges: rows of each split.
        windows: windows of each split.
        whole: those of all folds together.
    """
    many = "" if len(table.ids) == 1 else f" of {len(table.ids):,} series"
    notes = []
    for split, (begins, ends) in ranges.items():
        filled = begins < ends
        first, last = table.times[begins[filled]].min(), table.times[ends[filled] - 1].max()
        rows, few = int((ends - begins).sum()), np.sum(whole[split].counts == 0)
        short = f"; {few:,} series have none, being too short" if few else ""
        notes.append(
            f"{split}: {rows:,} rows{many}, {time_text(first)} to {time_text(last)}; {len(windows[split]):,} windows"
            f"{short}"
        )
    unused = int((table.offsets[1:] - ranges["test"][1]).sum())
    if unused:
        advice = "; data.train_size=null counts the splits from the end of each series" if many else ""
        notes.append(f"{unused:,} rows after test are not used{advice}")
    if many and "train" in ranges and table.frequency != STEP:
        notes += overlap_notes(table, ranges)
    if table.missing:
        how = {
            Missing.interpolate: "inputs take the line from the last known value to the next one that the window "
            "holds, else the last one",
            Missing.mask: "inputs take the mean of train",
        }[config.missing]
        notes.append(
            f"{table.missing:,} of {table.values.size:,} values are missing: {how}; as targets, they count in "
            "neither loss nor scores"
        )
    return notes


def overlap_notes(table: SeriesTable, ranges: Ranges) -> list[str]:
    """A remark if train of some series goes on at times at which test of others has begun; else empty."""
    (begins, ends), (test_begins, test_ends) = ranges["train"], ranges["test"]
    trained = begins < ends
    last = table.times[ends[trained] - 1]
    first = table.times[test_begins[test_begins < test_ends]].min()
    late = last >= first
    if not late.any():
        return []
    return [
        f"train of {late.sum():,} series goes on to {time_text(last.max())}, and test of others begins at "
        f"{time_text(first)}: what they have in common at these times is known to the model; "
        "data.split_date=[<start of validation>, <start of test>] cuts all series at the same times"
    ]
