"""Labelled texts from files: the files of each split, and their text and label columns."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqtrain.config.data import HubTextConfig, TextClassificationConfig
from seqtrain.data.locate import file_digest, find_path, split_files, wanted_splits
from seqtrain.data.tables import read_table
from seqtrain.data.text.labels import RawTexts
from seqtrain.errors import DataError

if TYPE_CHECKING:
    import pyarrow


def find_files(config: TextClassificationConfig) -> dict[str, list[Path]] | None:
    """Files of each split; a single file is train. None if only the hub may have the dataset.

    Raises:
        DataError: if the path or all files of the splits are missing.
    """
    public = config if isinstance(config, HubTextConfig) else None
    path = find_path(config, "a csv, tsv, jsonl or parquet file, or a folder", public.folder if public else None)
    if path is None:
        return None
    return {"train": [path]} if path.is_file() else files_in(path, config, public.hub_subset if public else None)


def files_in(folder: Path, config: TextClassificationConfig, subset: str | None) -> dict[str, list[Path]]:
    """Files in a folder of each split that it has; raises DataError if it has none of them."""
    found = {split: split_files(folder, name, subset) for split, name in wanted_splits(config).items()}
    if not any(found.values()):
        names = " or ".join(repr(name) for name in wanted_splits(config).values())
        raise DataError(f"{folder}: has no file of split {names} (such as {config.train_split}.csv or .parquet)")
    return {split: paths for split, paths in found.items() if paths}


def identify_files(files: dict[str, list[Path]]) -> dict[str, list[str]]:
    """Digests of the files of each split."""
    return {split: [file_digest(path) for path in paths] for split, paths in files.items()}


def read_files(files: dict[str, list[Path]], config: TextClassificationConfig) -> dict[str, list[RawTexts]]:
    """Read the text and label columns of every file, by split."""
    return {
        split: [from_table(read_table(path), config, str(path)) for path in paths] for split, paths in files.items()
    }


def column(table: "pyarrow.Table", name: str, key: str, origin: str) -> list[Any]:
    """Values of the column that the option ``key`` names; raises DataError, with all columns, if it is missing."""
    if name not in table.column_names:
        raise DataError(f"{origin}: has no column {name!r} ({key}); its columns: {', '.join(table.column_names)}")
    return table.column(name).to_pylist()


def from_table(table: "pyarrow.Table", config: TextClassificationConfig, origin: str) -> RawTexts:
    """The text and label columns of a table, with the class names that its metadata store."""
    texts = column(table, config.text_column, "data.text_column", origin)
    labels = column(table, config.label_column, "data.label_column", origin)
    if any(text is not None and not isinstance(text, str) for text in texts):
        raise DataError(f"{origin}: column {config.text_column!r} (data.text_column) holds values that are not text")
    notes: list[str] = []
    names = stored_names(table.schema, config.label_column, origin, notes)
    return RawTexts(texts, labels, origin, names, notes=notes)


def stored_names(schema: "pyarrow.Schema", name: str, origin: str, notes: list[str]) -> list[str] | None:
    """The names that `datasets` stored in a file for the numbers in a column of labels; None if there are none.

    Metadata that cannot be read, or that do not describe the column, are ignored; ``notes`` says so.
    """
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
