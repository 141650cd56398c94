"""What a run keeps of its data, in data.json."""

import zlib
from dataclasses import dataclass, field
from pathlib import Path

from seqtrain.data.spec import DataSpec
from seqtrain.errors import RunError
from seqtrain.regular import read_regular
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
    folds_of: str = ""
    """What the folds of one experiment share, see ``Dataset``."""
    training_fingerprint: str = ""
    """Digest of what training reads besides the splits, see ``Dataset``."""
    labels_as: str | None = None
    """How the labels of texts were read, see ``TrainedClasses``."""
    tokenizer_crc32: int | None = None
    """Checksum of the tokenizer.json beside it, if the inputs are tokens."""
    seen_crc32: int | None = None
    """Checksum of the seen.npy beside it, see ``seen``; None if the rows that its weights have seen are not known."""

    @classmethod
    def read(cls, path: Path) -> "DataDescription":
        """Read a data.json; raises RunError if it, or the tokenizer beside it, is missing or damaged."""
        description = read_record(cls, path)
        tokenizer = path.with_name("tokenizer.json")
        if description.tokenizer_crc32 not in (None, checksum(tokenizer)):
            raise RunError(f"{tokenizer}: is missing or has changed since it was written; restore it or train again")
        return description


def checksum(path: Path) -> int | None:
    """CRC-32 of a file; None if it cannot be read."""
    try:
        return zlib.crc32(read_regular(path))
    except OSError:
        return None
