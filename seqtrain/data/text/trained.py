"""What a run knows of its texts: the tokenizer and the classes of its model."""

from dataclasses import dataclass
from pathlib import Path

from seqtrain.data.description import DataDescription
from seqtrain.data.run_tokenizer import read_tokenizer


@dataclass(frozen=True)
class Vocabulary:
    """The tokenizer and classes of a trained model, read from its run instead of learned from data."""

    tokenizer: str
    """The tokenizer as JSON."""
    class_names: list[str]
    labels_as: str | None
    """How labels were read: as ``names`` or ``numbers``; None if the files name the classes, or it is not known."""

    @classmethod
    def load(cls, directory: Path, described: str = "data.json") -> "Vocabulary":
        """Read the vocabulary of a run: tokenizer.json and data.json; of prepared arrays, described in meta.json."""
        data = DataDescription.read(directory / described)
        return cls(read_tokenizer(directory), data.spec.class_names, data.labels_as)
