"""Training and comparison of sequence models, from config files."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seqtrain.tasks.predicting import Predictor

__version__ = "0.1.0"


def load(run: str | Path, checkpoint: str = "best", device: str = "auto") -> "Predictor":
    """The trained model of a run directory, ready to predict.

    >>> seqtrain.load("outputs/<run>").predict(["a text", "another"])  # doctest: +SKIP

    Args:
        run: directory of the run.
        checkpoint: ``best`` or ``last``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:<index>``.

    Raises:
        RunError: if the directory is not a run, or its checkpoint is missing or damaged.
    """
    from seqtrain.commands import predict

    return predict.load(run, checkpoint=checkpoint, device=device)
