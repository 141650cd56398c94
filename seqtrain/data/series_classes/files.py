"""The files of each split, and the series in them."""

import re
from pathlib import Path

from seqtrain.config.series_classes import SeriesClassesConfig
from seqtrain.data.locate import SPLIT_NAMES, described, own_path, split_files, visible_files, wanted_splits
from seqtrain.data.series_classes.archive import SUFFIX, read_archive
from seqtrain.data.series_classes.raw import RawSeries, joined
from seqtrain.data.series_classes.tables import read_long, read_wide
from seqtrain.data.tables.files import SUFFIXES, file_type, stem
from seqtrain.data.tables.reading import read_table
from seqtrain.errors import DataError

TYPES = (SUFFIX, *SUFFIXES)
PAIR = re.compile(r"(?P<name>.+)_(?P<split>train|test|valid|validation|val|dev)", re.IGNORECASE)


def find_files(config: SeriesClassesConfig, notes: list[str]) -> dict[str, list[Path]]:
    """Files of each split; a single file is train.

    Raises:
        DataError: if the path is missing, or a folder has no file of a split or the files of several datasets.
    """
    path = own_path(config, "a .ts, csv, tsv, jsonl, json or parquet file, or a folder")
    if path.is_file():
        others = [other for other in named_pairs(path.parent).get(pair_name(path), {}).values() if other != path]
        if others:
            notes.append(
                f"{path}: is read alone; data.path={path.parent} reads {', '.join(o.name for o in others)} too"
            )
        return {"train": [path]}
    pairs = named_pairs(path)
    if len(pairs) > 1:
        names = sorted(pairs)
        raise DataError(
            f"{path}: holds {len(pairs)} datasets ({', '.join(names[:10])}{', ...' if len(names) > 10 else ''}); give "
            "the folder of one, or one of its files"
        )
    wanted = wanted_splits(config)
    for found in pairs.values():
        if "train" in found and config.train_split == "train":
            files = {split: [found[split]] for split in wanted if split in found}
            notes.append(described(files, visible_files(path, TYPES)))
            return files
    return split_files(path, wanted, TYPES, notes)


def pair_name(path: Path) -> str:
    """The ``<name>`` of a file ``<name>_TRAIN``; empty if it is named otherwise."""
    match = PAIR.fullmatch(stem(path))
    return match["name"] if match else ""


def named_pairs(folder: Path) -> dict[str, dict[str, Path]]:
    """Files ``<name>_TRAIN`` and ``<name>_TEST`` of a folder, by name and split.

    Raises:
        DataError: if one of them is there in two formats.
    """
    found: dict[str, dict[str, Path]] = {}
    for path, parts in visible_files(folder, TYPES).items():
        match = PAIR.fullmatch(stem(path))
        if match is None or len(parts) > 1:
            continue
        split = next(split for split, names in SPLIT_NAMES.items() if match["split"].lower() in names)
        of_name = found.setdefault(match["name"], {})
        if split in of_name:
            raise DataError(f"{folder}: {split} is there twice ({of_name[split].name}, {path.name}); remove one")
        of_name[split] = path
    return found


def read_split(paths: list[Path], config: SeriesClassesConfig, notes: list[str], each_step: bool) -> RawSeries:
    """The series of the files of a split.

    Args:
        paths: the files.
        config: the options.
        notes: gets remarks on how they were read.
        each_step: each step has a label of its own.

    Raises:
        DataError: if a file cannot be read or used.
    """
    origin = str(paths[0] if len(paths) == 1 else paths[0].parent)
    return joined([read_file(path, config, notes, each_step) for path in paths], origin)


def read_file(path: Path, config: SeriesClassesConfig, notes: list[str], each_step: bool = False) -> RawSeries:
    """The series of one file."""
    if file_type(path) == SUFFIX:
        if each_step:
            raise DataError(f"{path}: a .ts file has one label for a series, and task=sequence_labelling needs one for "
                            "each step; give a table in long form, with data.id_column")  # fmt: skip
        return read_archive(path, notes)
    table = read_table(path, config)
    notes += table.notes
    if config.id_column is not None:
        return read_long(table, config, notes, each_step=each_step)[0]
    if each_step:
        raise DataError(f"{path}: in wide form a series has one label, and task=sequence_labelling needs one for each "
                        "step; give a table in long form, with data.id_column")  # fmt: skip
    return read_wide(table, config, notes)
