"""Pretrained word vectors from a GloVe, word2vec or fastText text file, or one compressed as .gz.

Each line is a word and its D numbers, separated by blanks or tabs. A word is all that stands before the last D numbers,
so it may contain blanks. A first line of two whole numbers is a header: how many vectors there are, and D.
"""

import gzip
import logging
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, islice

import numpy as np
import torch
from torch import nn

from seqtrain.errors import ConfigError
from seqtrain.paths import expanded, not_a_file

log = logging.getLogger(__name__)

PROBED = 20  # number of first lines that tell the size of the vectors


def check_vectors(path: str, embed_dim: int) -> None:
    """Raise ConfigError if a file of vectors is missing, or its vectors do not have ``embed_dim`` numbers."""
    for number, line in vector_lines(path, embed_dim):
        parsed(path, number, line, embed_dim)
        return
    raise ConfigError(f"model.embedding.path={path}: holds no vectors")


def load_vectors(embedding: nn.Embedding, tokens: Sequence[str], path: str) -> int:
    """Set the vectors of all tokens that a file contains. Other tokens, and padding, keep their vectors.

    Of a token that is there more than once, the first vector is used. Lines of other words are not parsed.

    Args:
        embedding: (V, D).
        tokens: name of each of the V tokens.
        path: the file.

    Returns:
        Number of tokens found in the file.

    Raises:
        ConfigError: if the file cannot be read, a line has fewer than D numbers, a token's line does not have D finite
            numbers, or no token is found.
    """
    index = {token: i for i, token in enumerate(tokens) if i != embedding.padding_idx}
    found: dict[str, np.ndarray] = {}
    repeated = undecoded = longer = 0
    D = embedding.embedding_dim
    for number, line in vector_lines(path, D):
        fields = line.rsplit(" ", D)
        undecoded += "\ufffd" in fields[0]
        longer += " " in fields[0] and count_numbers(line) > D
        if len(fields) <= D or fields[0] in index:
            word, vector = parsed(path, number, line, D)
            repeated += word in found
            found.setdefault(word, vector)
    if not found:
        raise ConfigError(f"model.embedding.path={path}: has none of the {len(tokens)} tokens; is it of this language?")
    vectors = torch.from_numpy(np.stack(list(found.values())))
    with torch.no_grad():
        embedding.weight[[index[word] for word in found]] = vectors.to(embedding.weight)
    if longer:
        log.info("%s: %d lines have more than %d numbers; their words end with a number", path, longer, D)
    if repeated:
        log.info("%s: %d lines repeat a token; its first vector is used", path, repeated)
    if undecoded:
        log.info("%s: %d words are not UTF-8, and no token can be one of them", path, undecoded)
    return len(found)


def vector_lines(path: str, embed_dim: int) -> Iterator[tuple[int, str]]:
    """Yield the number (from 1) of each line with a vector, and the line with single blanks between its fields.

    Raises:
        ConfigError: if the file cannot be read, or its vectors do not have ``embed_dim`` numbers.
    """
    file = expanded(path, "model.embedding.path")
    if wrong := not_a_file(file):  # a pipe cannot be read twice, as check_vectors and load_vectors do
        raise ConfigError(f"model.embedding.path={path}: {wrong}")
    opened = gzip.open if file.suffix.lower() == ".gz" else open
    promised, count = None, 0
    try:
        with opened(file, "rt", encoding="utf-8-sig", errors="replace", newline="\n") as lines:
            stripped = ((number, line.strip(" \t\r\n")) for number, line in enumerate(lines, start=1))
            spaced = (
                (i, re.sub("[ \t]+", " ", line) if "\t" in line or "  " in line else line) for i, line in stripped
            )
            filled = ((i, line) for i, line in spaced if line)
            first = list(islice(filled, PROBED))
            if first and re.fullmatch(r"\d+ \d+", first[0][1]):
                promised, size = map(int, first[0][1].split(" "))
                check_size(path, first[0][0], size, embed_dim)
                first = first[1:]
            sizes = Counter(count_numbers(line) for _, line in first)
            if first and sizes[embed_dim] < max(sizes.values()):
                size = max(sizes, key=sizes.__getitem__)
                check_size(path, next(i for i, line in first if count_numbers(line) == size), size, embed_dim)
            for numbered in chain(first, filled):
                count += 1
                yield numbered
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise ConfigError(f"model.embedding.path={path}: cannot be read ({reason})") from error
    if promised not in (None, count):
        log.warning("%s: its first line promises %d vectors, but it holds %d; is it complete?", path, promised, count)


def count_numbers(line: str) -> int:
    """How many fields at the end of a line are numbers; its first field is a word."""
    count = 0
    for field in reversed(line.split(" ")[1:]):
        try:
            float(field)
        except ValueError:
            break
        count += 1
    return count


def check_size(path: str, number: int, size: int, embed_dim: int) -> None:
    """Raise ConfigError if the vectors of a file, by its line ``number``, do not have ``embed_dim`` numbers."""
    if size != embed_dim:
        raise ConfigError(
            f"model.embedding.path={path}: by line {number} its vectors have {size} numbers, not {embed_dim} "
            "(model.embedding.embed_dim); set embed_dim to the size of the vectors in the file, or correct the line"
        )


def parsed(path: str, number: int, line: str, embed_dim: int) -> tuple[str, np.ndarray]:
    """The word of a line and its vector (D,), float32; raises ConfigError if it does not have D finite numbers."""
    word, *numbers = line.rsplit(" ", embed_dim)
    try:
        with np.errstate(over="ignore"):  # the infinity is refused below
            vector = np.array(numbers, dtype=np.float32)
    except ValueError:
        vector = np.empty(0, dtype=np.float32)
    if len(vector) != embed_dim:
        raise ConfigError(
            f"model.embedding.path={path}: line {number} is not a word with {embed_dim} numbers "
            f"(model.embedding.embed_dim) but {line[:60]!r}; correct the line"
        )
    if not np.isfinite(vector).all():
        wrong = numbers[int(np.isfinite(vector).argmin())]
        raise ConfigError(
            f"model.embedding.path={path}: line {number}: the vector of {word!r} holds {wrong}, which is not a finite "
            "number; correct the line, or remove it"
        )
    return word, vector
