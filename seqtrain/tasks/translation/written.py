"""Translations among the stored outputs of a run. Imports no torch.

Shapes: N pairs.
"""

from collections.abc import Sequence

import numpy as np

from seqtrain.errors import RunError
from seqtrain.tasks.statistics import Outputs


def as_outputs(texts: Sequence[str], lengths: Sequence[int]) -> dict[str, np.ndarray]:
    """Translations as arrays of numbers.

    Args:
        texts: the translation of each pair; "" for a pair that was not translated.
        lengths: its number of tokens, the end included, (N,); 0 for a pair that was not translated.

    Returns:
        ``translation_bytes``, the UTF-8 of all texts one after the other; ``translation_sizes``, the number of bytes of
        each text, (N,); and ``translation_lengths``, (N,).
    """
    encoded = [text.encode("utf-8", "replace") for text in texts]
    return {
        "translation_bytes": np.frombuffer(b"".join(encoded), np.uint8),
        "translation_sizes": np.array(list(map(len, encoded)), np.int64),
        "translation_lengths": np.array(lengths, np.int64),
    }


def texts_of(outputs: Outputs) -> list[str] | None:
    """The translations among outputs, "" for a pair that was not translated; None if the outputs have none.

    Raises:
        RunError: if the sizes do not fit the texts.
    """
    if "translation_bytes" not in outputs:
        return None
    content, sizes = outputs["translation_bytes"], outputs["translation_sizes"]
    if content.dtype != np.uint8 or (sizes < 0).any() or sizes.sum() != len(content):
        raise RunError("the stored translations are damaged: the sizes of the texts do not add up to their bytes")
    ends = np.cumsum(sizes).tolist()
    return [
        content[end - size : end].tobytes().decode("utf-8", "replace")
        for end, size in zip(ends, sizes.tolist(), strict=True)
    ]
