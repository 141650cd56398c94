"""The names of classes that `datasets` stores in the metadata of a parquet file."""

import json
from typing import TYPE_CHECKING

from seqtrain.data.tables.table import Table

if TYPE_CHECKING:
    import pyarrow


def stored_names(table: Table, name: str, notes: list[str]) -> list[str] | None:
    """The names that `datasets` stored in a file for the numbers in a column of labels; None if there are none.

    Metadata that cannot be read, or that do not describe the column, are ignored; ``notes`` says so.
    """
    schema, origin = table.columns.schema, table.origin
    stored = (schema.metadata or {}).get(b"huggingface")
    if stored is None:
        return None
    try:
        features = json.loads(stored)["info"]["features"]
        feature = features.get(name, {})
        while isinstance(feature, list) or "feature" in feature:  # a list of labels, as old and new versions write it
            feature = feature[0] if isinstance(feature, list) else feature["feature"]
        is_class = feature.get("_type", "ClassLabel") == "ClassLabel" and "names" in feature
        names = feature["names"] if is_class else None
        if names is not None and not (isinstance(names, list) and names and all(isinstance(n, str) for n in names)):
            raise ValueError(f"names of classes {names!r}")
        for each in names or ():
            each.encode()  # half of a surrogate pair is not a character
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"[:200]
        notes.append(f"{origin}: its metadata of the hub cannot be read and are ignored ({' '.join(reason.split())})")
        return None
    if names is not None and not holds_numbers(schema.field(name).type):
        notes.append(f"{origin}: its metadata name classes of column {name!r}, which has no numbers; they are ignored")
        return None
    return names


def holds_numbers(kind: "pyarrow.DataType") -> bool:
    """Whether values of a type are numbers, or lists of numbers."""
    import pyarrow as pa

    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        kind = kind.value_type
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)
