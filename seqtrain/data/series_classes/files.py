"""The files of each split, and the series in them."""

import re
from collections.abc import Callable
from pathlib import Path

from seqtrain.config.series_classes import SeriesClassesConfig
from seqtrain.data.locate import SPLIT_NAMES, described, own_path, split_files, visible_files, wanted_splits
from seqtrain.data.series_classes import archive, arff, plain
from seqtrain.data.series_classes.raw import RawSeries, joined
from seqtrain.data.series_classes.tables import read_long, read_wide
from seqtrain.data.tables.files import SUFFIXES, file_type, stem
from seqtrain.data.tables.reading import read_table
from seqtrain.errors import DataError

TYPES = (archive.SUFFIX, arff.SUFFIX, *SUFFIXES, ".txt")
"""Types of files that are read; of a pair that is there in several, the first is taken."""
PAIR = re.compile(r"(?P<name>.+)_(?P<split>train|test|valid|validation|val|dev)", re.IGNORECASE)


def find_files(config: SeriesClassesConfig, notes: list[str]) -> dict[str, list[Path]]:
    """Files of each split; a single file is train.

    Raises:
        DataError: if the path is missing, or a folder has no file of a split or the files of several datasets.
    """
    path = own_path(config, "a .ts, .arff, csv, tsv, txt, jsonl, json or parquet file, or a folder")
    if path.is_file():
        pair = named_pairs(path.parent).get(pair_name(path), {}).values()
        others = [other for other in pair if stem(other).lower() != stem(path).lower()]
        if others:
            notes.append(
                f"{path}: is read alone; data.path={path.parent} reads {', '.join(o.name for o in others)} too"
            )
        return {"train": [path]}
    found = named_pairs(path)
    pairs = {name: pair for name, pair in found.items() if "train" in pair} or found
    wanted = wanted_splits(config)
    if pairs and config.train_split == "train":
        name = next((name for name in pairs if name.lower() == path.resolve().name.lower()), next(iter(pairs)))
        if len(pairs) > 1 and name.lower() != path.resolve().name.lower():
            names = sorted(pairs)
            raise DataError(
                f"{path}: holds {len(pairs)} datasets ({', '.join(names[:10])}{', ...' if len(names) > 10 else ''}), "
                "and none has the name of the folder; give the folder of one, or one of its files"
            )
        files = {split: [pairs[name][split]] for split in wanted if split in pairs[name]}
        notes.append(described(files, visible_files(path, TYPES)))
        return files
    return split_files(path, wanted, TYPES, notes)


def pair_name(path: Path) -> str:
    """The ``<name>`` of a file ``<name>_TRAIN``; empty if it is named otherwise."""
    match = PAIR.fullmatch(stem(path))
    return match["name"] if match else ""


def named_pairs(folder: Path) -> dict[str, dict[str, Path]]:
    """Files ``<name>_TRAIN`` and ``<name>_TEST`` of a folder, by name and split.

    The archives have a set in several formats side by side. All splits are read in one of them: the one that has most
    splits, or the first of ``TYPES`` that does.

    Raises:
        DataError: if a split is there twice in that format.
    """
    found: dict[tuple[str, int], dict[str, Path]] = {}
    for path, parts in visible_files(folder, TYPES).items():
        match = PAIR.fullmatch(stem(path))
        if match is None or len(parts) > 1:
            continue
        split = next(split for split, names in SPLIT_NAMES.items() if match["split"].lower() in names)
        of_name = found.setdefault((match["name"], TYPES.index(file_type(path))), {})
        if split in of_name:
            raise DataError(f"{folder}: {split} is there twice ({of_name[split].name}, {path.name}); remove one")
        of_name[split] = path
    pairs: dict[str, dict[str, Path]] = {}
    for (name, _), of_name in sorted(found.items(), key=lambda item: item[0][1]):
        if len(of_name) > len(pairs.get(name, ())):
            pairs[name] = of_name
    return pairs


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
    if (reader := archive_reader(path, config)) is not None:
        if each_step:
            raise DataError(f"{path}: has one label for a series, and task=sequence_labelling needs one for each step; "
                            "give a table in long form, with data.id_column")  # fmt: skip
        return reader(path, notes)
    table = read_table(path, config)
    notes += table.notes
    if config.id_column is not None:
        return read_long(table, config, notes, each_step=each_step)[0]
    if each_step:
        raise DataError(f"{path}: in wide form a series has one label, and task=sequence_labelling needs one for each "
                        "step; give a table in long form, with data.id_column")  # fmt: skip
    return read_wide(table, config, notes)


def archive_reader(path: Path, config: SeriesClassesConfig) -> Callable[[Path, list[str]], RawSeries] | None:
    """The reader of a file in one of the archives' own forms; None for a table."""
    match file_type(path):
        case archive.SUFFIX:
            return archive.read_archive
        case arff.SUFFIX:
            return arff.read_arff
    if config.header and config.id_column is None and plain.is_plain(path):
        return plain.read_plain
    return None
