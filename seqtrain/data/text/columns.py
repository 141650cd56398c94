"""Labelled texts from files: the files of each split, and their text and label columns."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqtrain.config.data import HubTextConfig, TextClassificationConfig
from seqtrain.data.locate import file_digest, find_path, split_files, wanted_splits
from seqtrain.data.tables import read_table
from seqtrain.data.text.labels import RawSplit
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


def read_files(files: dict[str, list[Path]], config: TextClassificationConfig) -> dict[str, RawSplit]:
    """Read the text and label columns of every split."""
    raw = {}
    for split, paths in files.items():
        parts = [from_table(read_table(path), config, str(path)) for path in paths]
        raw[split] = RawSplit(
            [text for part in parts for text in part.texts],
            [label for part in parts for label in part.labels],
            str(paths[0] if len(paths) == 1 else paths[0].parent),
            parts[0].class_names,
        )
    return raw


def column(table: "pyarrow.Table", name: str, key: str, origin: str) -> list[Any]:
    """Values of the column that the option ``key`` names; raises DataError, with all columns, if it is missing."""
    if name not in table.column_names:
        raise DataError(f"{origin}: has no column {name!r} ({key}); its columns: {', '.join(table.column_names)}")
    return table.column(name).to_pylist()


def from_table(
    table: "pyarrow.Table", config: TextClassificationConfig, origin: str, class_names: list[str] | None = None
) -> RawSplit:
    """The text and label columns of a table.

    Class names are those of the config, else ``class_names``, else those that `datasets` wrote into the metadata.
    """
    texts = column(table, config.text_column, "data.text_column", origin)
    labels = column(table, config.label_column, "data.label_column", origin)
    if any(text is not None and not isinstance(text, str) for text in texts):
        raise DataError(f"{origin}: column {config.text_column!r} (data.text_column) holds values that are not text")
    metadata = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}"))
    feature = metadata.get("info", {}).get("features", {}).get(config.label_column, {})
    names = config.class_names or class_names or feature.get("names")
    return RawSplit(texts, [plain_label(label) for label in labels], origin, names)


def plain_label(label: Any) -> str | int | None:
    """A label as a string or an integer: 2.0 becomes 2, and NaN becomes None."""
    if isinstance(label, float):
        return None if math.isnan(label) else int(label) if label.is_integer() else str(label)
    return label if label is None or isinstance(label, int) else str(label)
