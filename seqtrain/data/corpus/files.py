"""The files of a running text, and which of them make up its splits."""

import re
from collections.abc import Iterable
from pathlib import Path

from seqtrain.config.corpus import CorpusConfig, PublicCorpusConfig
from seqtrain.data.locate import SPLIT_NAMES, SPLITS, described, find_path, listed
from seqtrain.data.tables.files import file_type, stem
from seqtrain.errors import DataError

TEXT_SUFFIXES = (".txt", ".text", ".md", ".py", ".tokens", ".raw", "")
TABLE_SUFFIXES = (".jsonl", ".parquet")


def corpus_files(config: CorpusConfig) -> dict[str, list[Path]]:
    """Files of each split, or of ``all`` if the text has no splits; empty if only the hub may have the text.

    Raises:
        DataError: if ``data.path`` is missing, or the folder holds no text.
    """
    path = corpus_path(config)
    if path is None:
        return {}
    return {"all": [path]} if path.is_file() else folder_files(path)


def file_notes(config: CorpusConfig) -> list[str]:
    """A remark, as a list of one, on which files of a folder make up each split, and which are not read."""
    path, files = corpus_path(config), corpus_files(config)
    if path is None or path.is_file():
        return []
    return [f"files of the text: {listed(files['all'])}" if "all" in files else described(files, text_files(path))]


def corpus_path(config: CorpusConfig) -> Path | None:
    """The file or folder of a text, or the folder of its subset; None if only the hub may have the text.

    Raises:
        DataError: if ``data.path`` is missing.
    """
    public = config if isinstance(config, PublicCorpusConfig) else None
    path = find_path(config, "a text file, or a folder", public.folder if public else None)
    if path and public and public.path is None and public.hub_subset and (path / public.hub_subset).is_dir():
        return path / public.hub_subset
    return path


def folder_files(folder: Path) -> dict[str, list[Path]]:
    """Files of each split in a folder, by the first layout that finds train; if none does, ``all`` text files.

    The layouts are: files ``<split>.<suffix>``; file names with the split as a word (wiki.train.tokens); folders named
    after the split.

    Raises:
        DataError: if the folder holds no text, or a split in several formats.
    """
    known = [path.relative_to(folder) for path in text_files(folder)]
    for layout in (split_of_name, split_of_words, split_of_folder):
        found = {split: [path for path in known if layout(path) == split] for split in SPLITS}
        if not found["train"]:
            continue
        for split, part in found.items():
            if layout is not split_of_folder and len({file_type(path) for path in part}) > 1:
                twice = ", ".join(str(path) for path in part[:4])
                raise DataError(f"{folder}: split {split!r} has files of several formats ({twice}); keep one")
        return {split: [folder / path for path in part] for split, part in found.items() if part}
    if not known:
        raise DataError(
            f"{folder}: has no text; looked in it and its folders for {', '.join(TEXT_SUFFIXES[:-1])}, "
            f"{', '.join(TABLE_SUFFIXES)} and names without a suffix"
        )
    return {"all": [folder / path for path in known]}


def text_files(folder: Path) -> list[Path]:
    """Files in a folder, at any depth, that may hold text, without hidden ones, sorted."""
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    shown = [path for path in paths if not any(part.startswith(".") for part in path.parts)]
    return [folder / path for path in sorted(shown) if file_type(path) in TEXT_SUFFIXES + TABLE_SUFFIXES]


def split_of_name(path: Path) -> str | None:
    """The split that a file directly in the folder is named after."""
    return only_split([stem(path)]) if len(path.parts) == 1 else None


def split_of_words(path: Path) -> str | None:
    """The split that is a word of a file's name, unless a folder of the file is named after a split."""
    return None if split_of_folder(path) else only_split(re.findall("[a-z0-9]+", path.name.lower()))


def split_of_folder(path: Path) -> str | None:
    """The split that a folder of a file is named after; the outermost of several."""
    return next((split for part in path.parts[:-1] if (split := only_split([part]))), None)


def only_split(words: Iterable[str]) -> str | None:
    """The split that is among the words; None if there is none, or several."""
    named = {split for word in words for split, names in SPLIT_NAMES.items() if word in names}
    return named.pop() if len(named) == 1 else None
