"""The tokenizer.json of a run, which must have the vocabulary that the run's model was trained with."""

from pathlib import Path
from typing import TYPE_CHECKING

from seqtrain.data.description import DataDescription
from seqtrain.errors import RunError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

REMEDY = "copy it from an intact copy of the run, or train again"


def read_tokenizer(directory: Path, file: str = "tokenizer.json") -> str:
    """The text of a run's tokenizer.json; raises RunError if it is missing or is not UTF-8."""
    path = directory / file
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}); {REMEDY}") from error


def run_tokenizer(directory: Path, file: str = "tokenizer.json", size: str = "vocab_size") -> "Tokenizer":
    """The tokenizer of a run on labelled texts, sentences or pairs of texts.

    Args:
        directory: directory of the run.
        file: the tokenizer's file there.
        size: what the DataSpec calls the number of its tokens.

    Raises:
        RunError: if its file is missing or damaged, or has another number of tokens than the run's model.
    """
    from tokenizers import Tokenizer

    path, text = directory / file, read_tokenizer(directory, file)
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # the library raises nothing more specific
        raise RunError(f"{path}: cannot be read as a tokenizer ({' '.join(str(error).split())}); {REMEDY}") from error
    numbers = set(tokenizer.get_vocab().values())
    if numbers != set(range(len(numbers))):
        raise RunError(f"{path}: its {len(numbers)} tokens are not numbered from 0 to {len(numbers) - 1}; {REMEDY}")
    check_size(path, len(numbers), size)
    return tokenizer


def check_size(path: Path, size: int, name: str = "vocab_size") -> None:
    """Raise RunError if a run's tokenizer has another size than its model, by the data.json beside it, if there is one.

    Args:
        path: tokenizer.json of the run.
        size: number of its tokens.
        name: what the DataSpec calls it.
    """
    described = path.with_name("data.json")
    if not described.exists():  # what needs it says so
        return
    expected = getattr(DataDescription.read(described).spec, name)
    if size != expected:
        raise RunError(f"{path}: has {size} tokens, and the run's model {expected} (data.json); {REMEDY}")
