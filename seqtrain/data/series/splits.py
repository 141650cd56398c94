"""The rows of train, validation and test: by sizes from the start or the end of each series, or by date.

Shapes: N rows of K series.
"""

import numpy as np

from seqtrain.config.series import SeriesConfig
from seqtrain.data.series.times import time_text
from seqtrain.errors import ConfigError, DataError


def split_ends(times: np.ndarray, offsets: np.ndarray, config: SeriesConfig, origin: str) -> np.ndarray:
    """Ends of train, validation and test of each series, as rows from its start, (K, 3).

    Args:
        times: time of each row, (N,).
        offsets: first row of each series, and N, (K + 1,).
        config: the options.
        origin: name of the source, for errors.

    Raises:
        ConfigError: for sizes or dates that cannot be.
        DataError: if the sizes ask for more rows than any series has, or the dates leave a split without rows.
    """
    if config.split_date is not None:
        return split_at(times, offsets, config.split_date, origin)
    lengths = np.diff(offsets)
    return split_from_end(lengths, config, origin) if config.train_size is None else split_rows(lengths, config, origin)


def rows_of(size: float, lengths: np.ndarray) -> np.ndarray:
    """Rows of each series, (K,): a size below 1 is a fraction, rounded down."""
    return (lengths * size).astype(np.int64) if size < 1 else np.full_like(lengths, int(size))


def split_rows(lengths: np.ndarray, config: SeriesConfig, origin: str) -> np.ndarray:
    """Ends of splits, (K, 3), whose sizes are counted from the start of each series.

    If fractions add up to 1, validation is what train and test leave, as in Informer and later papers:
    ``int(n * 0.7)``, ``int(n * 0.2)`` and the rest.

    Args:
        lengths: number of rows of each series, (K,).
        config: the options, with ``train_size``.
        origin: name of the source, for errors.

    Raises:
        ConfigError: if the fractions leave nothing for test, or add up to more than 1.
        DataError: if the sizes ask for more rows than any series has.
    """
    assert config.train_size is not None
    sizes = {"train": config.train_size, "validation": config.validation_size, "test": config.test_size}
    fractions = [size for size in sizes.values() if size is not None and size < 1]
    total = round(sum(fractions), 10)  # 0.7 + 0.1 + 0.2 is not 1 in binary
    if total > 1 or (total == 1 and config.test_size is None):
        raise ConfigError(
            f"data.train_size={config.train_size:g}, validation_size={config.validation_size:g} and "
            f"test_size={'null' if config.test_size is None else f'{config.test_size:g}'}: must be fractions that "
            f"{'leave something for test' if config.test_size is None else 'are at most 1 together'}"
        )
    train, validation = rows_of(config.train_size, lengths), rows_of(config.validation_size, lengths)
    if len(fractions) == 2 and config.test_size is None:
        test = rows_of(round(1 - total, 10), lengths)
        validation = lengths - train - test
    elif config.test_size is None:
        test = (lengths - train - validation).clip(min=0)
    else:
        test = rows_of(config.test_size, lengths)
        if len(fractions) == 3 and total == 1:
            validation = lengths - train - test
    ends = np.stack([train, train + validation, train + validation + test], axis=1)
    if (ends[:, 2] > lengths).all():
        raise DataError(
            f"{origin}: data.train_size, validation_size and test_size ask for {int(ends[:, 2].min()):,} rows, and "
            f"{'it' if len(lengths) == 1 else 'the longest series'} has {int(lengths.max()):,}; lower them, or give "
            "fractions"
        )
    return np.minimum(ends, lengths[:, None])


def split_from_end(lengths: np.ndarray, config: SeriesConfig, origin: str) -> np.ndarray:
    """Ends of splits, (K, 3): test is the last rows of each series, validation those before it, train the rest.

    Args:
        lengths: number of rows of each series, (K,).
        config: the options, with ``test_size``.
        origin: name of the source, for errors.

    Raises:
        ConfigError: if fractions leave nothing for train.
        DataError: if the sizes leave no row of any series for train.
    """
    assert config.test_size is not None
    sizes = (config.validation_size, config.test_size)
    if sum(size for size in sizes if size < 1) >= 1:
        raise ConfigError(
            f"data.validation_size={sizes[0]:g} and test_size={sizes[1]:g}: must be fractions that leave something for "
            "train"
        )
    validation, test = (rows_of(size, lengths) for size in sizes)
    if (validation + test >= lengths).all():
        raise DataError(
            f"{origin}: data.validation_size={sizes[0]:g} and test_size={sizes[1]:g} leave no row for train: "
            f"{'it' if len(lengths) == 1 else 'the longest series'} has {int(lengths.max()):,}; lower them"
        )
    return np.stack([(lengths - validation - test).clip(min=0), (lengths - test).clip(min=0), lengths], axis=1)


def split_at(times: np.ndarray, offsets: np.ndarray, dates: list[str], origin: str) -> np.ndarray:
    """Ends of splits, (K, 3), at the first times of validation and of test, the same for all series.

    Args:
        times: time of each row, (N,).
        offsets: first row of each series, and N, (K + 1,).
        dates: the two times.
        origin: name of the source, for errors.

    Raises:
        ConfigError: if they are not times like those of the file, or not in order.
        DataError: if they leave a split without rows, or the rows of a series are not in order of time.
    """
    starts, lengths = offsets[:-1], np.diff(offsets)
    validation, test = (as_time(date, times) for date in dates)
    shown = f"data.split_date=[{', '.join(dates)}]"
    if not validation < test:
        raise ConfigError(f"{shown}: must be the first time of validation, then the first time of test")
    inside = np.ones(len(times), dtype=bool)
    inside[starts] = False
    if (inside[1:] & (times[1:] < times[:-1])).any():
        raise DataError(f"{origin}: {shown} needs rows in order of time; sort them, or give sizes of the splits")
    before = [np.add.reduceat(times < border, starts, dtype=np.int64) for border in (validation, test)]
    ends = np.stack([*before, lengths], axis=1)
    for place, split in enumerate(("train", "validation", "test")):
        if (np.diff(ends, axis=1, prepend=0)[:, place] == 0).all():
            first, last = time_text(times.min()), time_text(times.max())
            raise DataError(f"{origin}: {shown} leaves no row for {split}; its times are from {first} to {last}")
    return ends


def as_time(date: str, times: np.ndarray) -> np.datetime64 | np.integer:
    """A time of an option, as those of the file; raises ConfigError if it is none."""
    import pandas as pd

    try:
        if times.dtype.kind == "i":
            return np.int64(date)
        moment = pd.Timestamp(date)
        moment = moment if moment.tz is None else moment.tz_convert(None)
        return moment.to_datetime64().astype(times.dtype)
    except (ValueError, TypeError, OverflowError) as error:
        allowed = "whole numbers, as the times of the file" if times.dtype.kind == "i" else "dates, as 2016-07-31 23:00"
        raise ConfigError(f"data.split_date={date}: must be {allowed}") from error
