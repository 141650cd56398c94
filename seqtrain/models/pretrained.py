"""Pretrained word vectors from a GloVe or word2vec text file.

Each line is a word and its numbers, separated by spaces. The first line of a word2vec file holds counts and is skipped.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from seqtrain.errors import ConfigError


def check_vectors(path: str, embed_dim: int) -> None:
    """Raise ConfigError if a file of vectors is missing or its first vector does not have ``embed_dim`` numbers."""
    for _ in read_vectors(path, embed_dim):
        return
    raise ConfigError(f"model.embedding.path={path}: holds no vectors")


def load_vectors(embedding: nn.Embedding, tokens: Sequence[str], path: str) -> int:
    """Set the vectors of all tokens that a file contains. Other tokens, and padding, keep their vectors.

    Args:
        embedding: (V, D).
        tokens: name of each of the V tokens.
        path: the file.

    Returns:
        Number of tokens found in the file.

    Raises:
        ConfigError: if the file is missing, a token's line does not have D numbers, or no token is found.
    """
    index = {token: i for i, token in enumerate(tokens) if i != embedding.padding_idx}
    found = 0
    with torch.no_grad():
        for word, vector in read_vectors(path, embedding.embedding_dim, index):
            embedding.weight[index.pop(word)] = torch.from_numpy(vector)
            found += 1
    if not found:
        raise ConfigError(f"model.embedding.path={path}: has none of the {len(tokens)} tokens; is it of this language?")
    return found


def read_vectors(path: str, embed_dim: int, wanted: dict[str, int] | None = None) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the words of a file with their vectors (D,), float32.

    Args:
        path: the file.
        embed_dim: D.
        wanted: words to yield, as keys. A caller may remove words while iterating. None yields all words.

    Raises:
        ConfigError: if the file cannot be read, or a line is not a word with D numbers.
    """
    try:
        with Path(path).expanduser().open(encoding="utf-8", errors="replace") as file:
            width = None
            for number, line in enumerate(file, start=1):
                parts = line.rstrip().rsplit(" ", embed_dim)
                if number == 1 and len(line.split()) == 2 and line.replace(" ", "").strip().isdecimal():
                    continue  # word2vec's counts
                # Later words may contain spaces, so the first line gives the number of values.
                width = len(line.split()) - 1 if width is None else width
                if width == embed_dim and wanted is not None and len(parts) == embed_dim + 1 and parts[0] not in wanted:
                    continue
                try:
                    vector = np.array(parts[1:], dtype=np.float32)
                except ValueError:
                    vector = np.empty(0, dtype=np.float32)
                if width != embed_dim or len(vector) != embed_dim or not parts[0]:
                    raise ConfigError(
                        f"model.embedding.path={path}: line {number} is not a word with {embed_dim} numbers "
                        f"(model.embedding.embed_dim) but with {len(line.split()) - 1} fields; "
                        "set embed_dim to the size of the vectors in the file, or correct the line"
                    )
                yield parts[0], vector
    except OSError as error:
        raise ConfigError(f"model.embedding.path={path}: cannot be read ({error.strerror})") from error
