"""Documents for language modelling from files or the hub: each text of a table, or of a txt file, is one."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from seqtrain.config.corpus import DocstringDocumentsConfig, DocumentsConfig, PublicDocumentsConfig
from seqtrain.data.hub import load_from_hub
from seqtrain.data.locate import file_digest, find_path, split_files, visible_files
from seqtrain.data.tables.files import BOM, SUFFIXES, decode, file_type, stem
from seqtrain.data.tables.reading import read_table
from seqtrain.data.tables.table import Table
from seqtrain.data.text.columns import class_folders, texts_of
from seqtrain.data.text.docstrings import docstring_splits, docstrings_identity
from seqtrain.errors import DataError

Texts = Callable[[list[str]], Iterator[Sequence[str | None]]]
"""Reads the texts of a split, one file after the other; remarks on how they were read are added to the list."""

HELD_OUT = "held out"
"""Name among the splits of the documents that are left out of train."""
FILES = 1_000  # of txt files with a document each, that are read at a time


def find_documents(config: DocumentsConfig) -> tuple[str, dict[str, Texts]]:
    """The place of the documents, for messages, and those of each split.

    Raises:
        DataError: if they cannot be found, or a split that the options name is missing.
    """
    if isinstance(config, DocstringDocumentsConfig):
        return "docstrings", {split: partial(in_memory, part.texts) for split, part in docstring_splits(config).items()}
    files = document_files(config, [])
    if files is None:
        assert isinstance(config, PublicDocumentsConfig)
        return config.hub, by_split(config, hub_documents(config))
    readers: dict[str, Texts] = {name: partial(read_documents, paths, config) for name, paths in files.items()}
    return config.path or str(documents_path(config)), by_split(config, readers)


def identity(config: DocumentsConfig) -> Any:
    """What identifies the documents and their contents, as JSON; the hub is not contacted."""
    if isinstance(config, DocstringDocumentsConfig):
        return ["docstrings", docstrings_identity()]
    files = document_files(config, [])
    if files is None:
        assert isinstance(config, PublicDocumentsConfig)
        return ["hub", config.hub, config.hub_subset, config.revision]
    return {name: [[file_type(path), file_digest(path)] for path in paths] for name, paths in files.items()}


def documents_path(config: DocumentsConfig) -> Path | None:
    """The file or folder of the documents; None if only the hub may have them."""
    public = config if isinstance(config, PublicDocumentsConfig) else None
    wanted = "a csv, tsv, jsonl, json, parquet or txt file, or a folder"
    return find_path(config, wanted, public.folder if public else None)


def document_files(config: DocumentsConfig, notes: list[str]) -> dict[str, list[Path]] | None:
    """Files by the source's name of each split; a single file is train. None if only the hub may have the documents.

    Args:
        config: the options.
        notes: receives which files make up each split, and which belong to none.

    Raises:
        DataError: if the path, or a split that the options name, is missing.
    """
    path = documents_path(config)
    if path is None:
        return None
    if path.is_file():
        return {config.train_splits[0]: [path]}
    names = config.split_names()
    wanted = {name: name for name in names}
    files = class_folders(path, wanted) or loose_files(path, names)
    if not files:
        subset = config.hub_subset if isinstance(config, PublicDocumentsConfig) else None
        files = split_files(path, wanted, (*SUFFIXES, ".txt"), notes, subset)
    check_splits(config, str(path), files)
    return files


def loose_files(folder: Path, names: Sequence[str]) -> dict[str, list[Path]]:
    """The txt files of a folder that has nothing else, and none of them named after a split, as its train; else {}."""
    texts = visible_files(folder, (".txt",))
    loose = texts and all(len(parts) == 1 and stem(path).lower() not in names for path, parts in texts.items())
    return {names[0]: list(texts)} if loose and not visible_files(folder, SUFFIXES) else {}


def check_splits(config: DocumentsConfig, origin: str, found: dict[str, Any]) -> None:
    """Raise DataError if a split that the options name is missing."""
    for name in config.split_names():
        if name not in found:
            others = ("validation_split", "test_split", "held_out_split")
            key = next((each for each in others if getattr(config, each) == name), "train_splits")
            raise DataError(f"{origin}: has no split {name!r} (data.{key}); its splits: {', '.join(found)}")


def by_split(config: DocumentsConfig, readers: dict[str, Texts]) -> dict[str, Texts]:
    """The documents of train, which may be those of several splits of the source, of validation and of test."""
    train = [readers[name] for name in config.train_splits if name in readers]
    splits: dict[str, Texts] = {"train": lambda notes: chain.from_iterable(read(notes) for read in train)}
    others = {"validation": config.validation_split, "test": config.test_split, HELD_OUT: config.held_out_split}
    for split, name in others.items():
        if name in readers:
            splits[split] = readers[name]
    return splits


def read_documents(paths: list[Path], config: DocumentsConfig, notes: list[str]) -> Iterator[Sequence[str | None]]:
    """The documents of the files of a split: the rows of tables, the lines of a single txt file, or whole txt files."""
    if len(paths) > 1 and file_type(paths[0]) == ".txt":
        for start in range(0, len(paths), FILES):
            yield [decode(path, path.read_bytes().removeprefix(BOM)) for path in paths[start : start + FILES]]
        return
    for path in paths:
        table = read_table(path, config)
        column = "text" if file_type(path) == ".txt" else config.text_column
        texts = texts_of(table, column, config)
        notes += table.notes
        yield texts


def in_memory(texts: Sequence[str | None], notes: list[str]) -> Iterator[Sequence[str | None]]:
    """Texts that are in memory already."""
    yield texts


def hub_documents(config: PublicDocumentsConfig) -> dict[str, Texts]:
    """The documents of a dataset on the hub, by name of its splits."""
    loaded = load_from_hub(config)
    check_splits(config, config.hub, loaded)

    def read(name: str, notes: list[str]) -> Iterator[Sequence[str | None]]:
        table = Table(loaded[name].data.table, f"{config.hub}, split {name}")
        texts = texts_of(table, config.text_column, config)
        notes += table.notes
        yield texts

    return {name: partial(read, name) for name in config.split_names()}
