"""The files of pairs of texts: two with a line for each text, or a table with a column for each side."""

from collections.abc import Sequence
from pathlib import Path

from seqtrain.config.pairs import HubPairsConfig, PairsConfig
from seqtrain.data.locate import file_digest, find_path, split_files, visible_files, wanted_splits
from seqtrain.data.tables.files import SUFFIXES, file_type, stem
from seqtrain.errors import DataError
from seqtrain.paths import expanded

PairFile = tuple[Path, ...]
"""A table, or two files with a line for each text: that of the sources, that of the targets."""


def find_files(config: PairsConfig, notes: list[str]) -> dict[str, list[PairFile]] | None:
    """Files of each split; those that ``data.path`` names are train. None if only the hub may have the data.

    Args:
        config: the options.
        notes: receives which files make up each split.

    Raises:
        DataError: if a file is missing, on either side.
    """
    ends = f".{config.source}", f".{config.target}"
    wanted = f"a folder, a {', '.join(SUFFIXES)} file, or what two files that end in {ends[0]} and {ends[1]} share"
    if config.path is not None and not (named := expanded(config.path, "data.path")).exists():
        both = [line_file(named.parent, named.name, end) for end in ends]
        if both[0] or both[1]:
            return {"train": [together(both, named, ends)]}
    path = find_path(config, wanted, config.folder if isinstance(config, HubPairsConfig) else None)
    if path is None:
        return None
    if path.is_dir():
        subset = config.hub_subset if isinstance(config, HubPairsConfig) else None
        return files_of_folder(path, config, ends, subset, notes)
    if file_type(path) in ends:
        return {"train": [together([line_file(path.parent, stem(path), end) for end in ends], path, ends)]}
    return {"train": [(path,)]}


def line_file(folder: Path, name: str, end: str) -> Path | None:
    """The file of this name and end in a folder, compressed or not; None if there is none."""
    found = (folder / f"{name}{end}{more}" for more in ("", ".gz"))
    return next((path for path in found if path.is_file()), None)


def together(both: Sequence[Path | None], origin: Path, ends: tuple[str, str]) -> PairFile:
    """The files of both sides; raises DataError if one is missing."""
    for path, other, end in zip(both, both[::-1], ends, strict=True):
        if path is None:
            raise DataError(f"{other or origin}: has no file beside it that ends in {end} (data.source, data.target)")
    return tuple(path for path in both if path is not None)


def files_of_folder(
    folder: Path, config: PairsConfig, ends: tuple[str, str], subset: str | None, notes: list[str]
) -> dict[str, list[PairFile]]:
    """Files of each split in a folder: those with lines, if any ends as the sides are named, else tables."""
    wanted = wanted_splits(config)
    if not visible_files(folder, ends):
        tables = split_files(folder, wanted, SUFFIXES, notes, subset)
        return {split: [(path,) for path in paths] for split, paths in tables.items()}
    sides = [split_files(folder, wanted, (end,), notes) for end in ends]
    files: dict[str, list[PairFile]] = {}
    for split in dict.fromkeys([*sides[0], *sides[1]]):
        first, second = ({(path.parent, stem(path)): path for path in side.get(split, [])} for side in sides)
        for own, other, end in ((first, second, ends[1]), (second, first, ends[0])):
            if alone := own.keys() - other.keys():
                raise DataError(f"{own[min(alone)]}: has no file beside it that ends in {end} (split {split})")
        files[split] = [(path, second[key]) for key, path in first.items()]
    return files


def identify_files(files: dict[str, list[PairFile]]) -> dict[str, list[list[str]]]:
    """Digests of the files of each split."""
    return {split: [[file_digest(path) for path in pair] for pair in pairs] for split, pairs in files.items()}
