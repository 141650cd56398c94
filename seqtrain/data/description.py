"""What a run keeps of its data, in data.json."""

from dataclasses import dataclass, field
from pathlib import Path

from seqtrain.data.spec import DataSpec
from seqtrain.runs.json_files import read_record


@dataclass(frozen=True)
class DataDescription:
    """data.json, as far as every kind of data has it."""

    spec: DataSpec
    fingerprint: str
    sizes: dict[str, int]
    """Number of rows of each split; of tokens, for running text."""
    notes: list[str] = field(default_factory=list)
    scoring: str = ""
    """How scores are computed, if there is more than one way."""
    labels_as: str | None = None
    """How the labels of texts were read, see ``Vocabulary``."""

    @classmethod
    def read(cls, path: Path) -> "DataDescription":
        """Read a data.json; raises RunError if it is missing or damaged."""
        return read_record(cls, path)
