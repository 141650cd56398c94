"""A dataset of the standard library's docstrings, classified by chapter of the Library Reference."""

import platform
import sysconfig
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from seqtrain.config.data import DocstringsConfig
from seqtrain.data.text.chapters import library_sources, read_docstrings
from seqtrain.data.text.classification import TextClassification
from seqtrain.data.text.labels import RawTexts, stratified_split
from seqtrain.errors import DataError


class Docstrings(TextClassification):
    """Docstrings of the chapters that have enough of them; a part of them is test."""

    other_targets: ClassVar[tuple[str, ...]] = ()
    config: DocstringsConfig

    def identity(self) -> Any:
        return docstrings_identity()

    def read(self, notes: list[str]) -> dict[str, list[RawTexts]]:
        return {split: [texts] for split, texts in docstring_splits(self.config).items()}


class Divides(Protocol):
    """Options that choose docstrings and divide them."""

    min_class_size: int
    test_size: float
    split_seed: int


def docstrings_identity() -> Any:
    """What identifies the docstrings of this machine's library, as JSON."""
    sources = library_sources(Path(sysconfig.get_path("stdlib")))
    return [platform.python_version(), [[name, path.stat().st_size] for name, path in sources]]


def docstring_splits(config: Divides) -> dict[str, RawTexts]:
    """The docstrings of train and of test, with their chapters."""
    texts, chapters = read_docstrings()
    large = {name for name, count in Counter(chapters).items() if count >= config.min_class_size}
    kept = [(text, chapter) for text, chapter in zip(texts, chapters, strict=True) if chapter in large]
    if len(large) < 2:
        raise DataError(
            f"data.min_class_size={config.min_class_size}: only {len(large)} chapters have that many "
            "docstrings; lower it"
        )
    labels = np.unique([chapter for _, chapter in kept], return_inverse=True)[1]
    parts = stratified_split(labels, config.test_size, config.split_seed, "data.test_size")
    return {
        split: RawTexts([kept[i][0] for i in rows], [kept[i][1] for i in rows], f"docstrings, {split}")
        for split, rows in zip(("train", "test"), parts, strict=True)
    }
