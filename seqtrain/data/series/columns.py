"""Columns of a table as variables: which of them are forecast, and which are covariates."""

import re

from seqtrain.config.base import suggest
from seqtrain.config.series import SeriesConfig, SeriesFilesConfig
from seqtrain.data.tables.numbers import as_written, is_text, marks_hint, plain_numbers, texts
from seqtrain.data.tables.table import Table, scalar_text
from seqtrain.errors import DataError

SAMPLE = 1000  # rows
NAMELESS = re.compile(r"|Unnamed: \d+|__index_level_\d+__")  # as pandas calls row numbers, in csv and parquet


def id_columns(config: SeriesConfig) -> list[str]:
    """The column with the names of the series, as a list of one; empty if there is none."""
    column = config.id_column if isinstance(config, SeriesFilesConfig) else None
    return [] if column is None else [column]


def choose_variables(table: Table, config: SeriesConfig, notes: list[str]) -> tuple[list[str], list[str], list[str]]:
    """Names of targets, past and future covariates that are numbers, the static ones last.

    Raises:
        DataError: for a column that the file lacks.
    """
    keys = {
        "time_column": [config.time_column],
        "id_column": id_columns(config),
        "targets": config.targets or [],
        "past_covariates": config.past_covariates,
        "future_covariates": config.future_covariates,
        "static_covariates": config.static_covariates,
        "categorical_covariates": config.categorical_covariates,
    }
    future = config.future_covariates + config.static_covariates
    for key, names in keys.items():
        for name in names:
            if name not in table.names:
                raise DataError(
                    f"{table.origin}: has no column {name!r} (data.{key}); {suggest(name, table.names)}{table.hint}"
                )
    if config.targets is not None:
        return config.targets, config.past_covariates, future
    named = {name for names in keys.values() for name in names}
    rest = [name for name in table.names if name not in named]
    targets = [name for name in rest if not NAMELESS.fullmatch(name) and has_numbers(table, name, config)]
    left_out = [name for name in rest if name not in targets]
    hint = next((hint for name in left_out if (hint := marks_hint(first_text(table, name), config))), "")
    if not targets:
        columns = ", ".join(table.names)
        raise DataError(
            f"{table.origin}: has no column of numbers to forecast; its columns: {columns}{hint or table.hint}"
        )
    if left_out:
        shown = ", ".join(name or "(no name)" for name in left_out)
        notes.append(f"columns left out, since they are not numbers or have no name: {shown}{hint}")
    return targets, config.past_covariates, future


def has_numbers(table: Table, name: str, config: SeriesConfig) -> bool:
    """Whether a column holds numbers, also as text or mixed with text, which an error names later."""
    import pyarrow as pa

    kind = table.columns.schema.field(name).type
    if is_text(table, name):
        first = table.columns.column(name).slice(0, SAMPLE)  # usually enough
        if (numbers := as_written(first, config)) is not None and numbers.null_count < len(numbers):
            return True
        plain = plain_numbers(texts(table, name, config), config)
        return plain.null_count < len(plain)
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def first_text(table: Table, name: str) -> str:
    """The first value of a column of texts; empty if there is none."""
    found = next((value for value in table.values(name)[:100] if value is not None), "") if is_text(table, name) else ""
    return scalar_text(found)
