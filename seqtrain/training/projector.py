"""Files for TensorBoard's Embedding Projector: vectors of the most frequent tokens, with their names and counts."""

from pathlib import Path

import numpy as np

from seqtrain.atomic import replacing
from seqtrain.runs.directory import PROJECTOR, writing
from seqtrain.tasks.drawing import visible

CONFIG = "projector_config.pbtxt"
"""The file that TensorBoard looks for in the directory of a run."""
MOST_TOKENS = 3000
MOST_BYTES = 1_500_000
"""Largest size of the vectors."""


def write_projector(directory: Path, names: list[str], counts: np.ndarray, vectors: np.ndarray) -> None:
    """Write the vectors of the most frequent tokens: at most 3,000, and 1.5 MB.

    Args:
        directory: the run's directory.
        names: names of the V tokens.
        counts: how often each occurs in train, (V,). Tokens that do not occur are left out.
        vectors: vector of each token, (V, D).
    """
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

    D = vectors.shape[1]
    order = np.argsort(-counts, kind="stable")[: min(MOST_TOKENS, MOST_BYTES // (4 * D))]
    order = order[counts[order] > 0]
    if not len(order):
        return
    folder = directory / PROJECTOR
    config = ProjectorConfig()
    config.embeddings.add(
        tensor_name="embedding of the inputs",
        tensor_shape=[len(order), D],
        tensor_path=f"{PROJECTOR}/vectors.bytes",
        metadata_path=f"{PROJECTOR}/tokens.tsv",
    )
    rows = [f"{visible(names[token])}\t{counts[token]}" for token in order.tolist()]
    contents = {
        folder / "vectors.bytes": vectors[order].astype("<f4").tobytes(),
        folder / "tokens.tsv": "\n".join(["token\tcount", *rows, ""]).encode(),
        directory / CONFIG: str(config).encode(),  # last, since it names the others
    }
    with writing(folder, directory):
        folder.mkdir(exist_ok=True)
        for path, content in contents.items():
            with replacing(path) as temporary:
                temporary.write_bytes(content)
