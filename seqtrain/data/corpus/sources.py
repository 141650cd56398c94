"""Running text from any source (files, the hub, Python's standard library): each split is a stream of chunks."""

import platform
import re
import sysconfig
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

from seqtrain.config.corpus import CorpusConfig, LibraryCorpusConfig, PublicCorpusConfig
from seqtrain.data.corpus.files import TABLE_SUFFIXES, corpus_files, corpus_path
from seqtrain.data.corpus.hub import fetch_corpus
from seqtrain.data.corpus.library import find_library, library_files, read_sources
from seqtrain.data.corpus.reading import read_files
from seqtrain.data.corpus.stream import Stream, begin_documents, cut_end
from seqtrain.data.locate import file_digest
from seqtrain.data.tables.files import file_type
from seqtrain.errors import ConfigError


@dataclass(frozen=True)
class Corpus:
    """A text as splits in the order train, validation, test; each can be read any number of times."""

    origin: str
    """The file, folder or dataset, for messages."""
    splits: dict[str, Stream]
    apart: dict[str, str]
    """How each split that the source lacks was cut from the rest."""


def open_corpus(config: CorpusConfig, words: bool, single_split: bool = False) -> Corpus:
    """Find a text and its splits; a text without splits is read once to measure it, and cut at its end.

    Args:
        config: the options.
        words: cut after a line (before a blank if the line does not end in the chunk), not within a word.
        single_split: take all text as one split, ``test``.

    Raises:
        ConfigError: if ``data.document_start`` is not a regular expression.
        DataError: if the text cannot be found; later, when a split is read, if it cannot be decoded.
    """
    origin, streams = find_text(config)
    if config.document_start is not None:
        pattern = document_pattern(config.document_start)
        streams = {split: partial(begin_documents, stream, pattern) for split, stream in streams.items()}
    if single_split:
        return Corpus(origin, {"test": lambda: chain.from_iterable(stream() for stream in streams.values())}, {})
    if isinstance(config, LibraryCorpusConfig):
        how = "files chosen by a digest of their paths"
        return Corpus(origin, streams, {split: how for split in streams if split != "train"})
    if "validation" in streams:
        return Corpus(origin, streams, {})
    text = streams.pop("all", None) or streams.pop("train")
    sizes = {"validation": config.validation_size}
    if "test" not in streams and config.test_size:
        sizes["test"] = config.test_size
    parts = cut_end(text, sizes, words)
    return Corpus(origin, parts | streams, dict.fromkeys(sizes, "cut from the end of the text"))


def find_text(config: CorpusConfig) -> tuple[str, dict[str, Stream]]:
    """The place of a text, for messages, and its splits; ``all`` if its files have none."""
    if isinstance(config, LibraryCorpusConfig):
        sources = library_files(config)
        return sysconfig.get_path("stdlib"), {split: partial(read_sources, part) for split, part in sources.items()}
    if files := corpus_files(config):
        origin = config.path or str(corpus_path(config))
        return origin, {split: partial(read_files, paths, config) for split, paths in files.items()}
    assert isinstance(config, PublicCorpusConfig)
    return config.hub, fetch_corpus(config)


def document_pattern(expression: str) -> re.Pattern[str]:
    """The compiled pattern of ``data.document_start``."""
    try:
        return re.compile(expression)
    except re.error as error:
        raise ConfigError(f"data.document_start={expression!r}: is not a regular expression ({error})") from error


def identity(config: CorpusConfig) -> Any:
    """What identifies the text and its contents, as JSON; the hub is not contacted."""
    if isinstance(config, LibraryCorpusConfig):
        folder, paths = find_library()
        return ["library", platform.python_version(), [[path, (folder / path).stat().st_size] for path in paths]]
    if files := corpus_files(config):
        return {
            split: [
                [kind if (kind := file_type(path)) in TABLE_SUFFIXES else "text", file_digest(path)] for path in paths
            ]
            for split, paths in files.items()
        }
    assert isinstance(config, PublicCorpusConfig)
    return ["hub", config.hub, config.hub_subset, config.revision]
