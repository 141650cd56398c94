"""A model of one's own for seqtrain: minGRU, as ``seqtrain model=my_model``."""

from pathlib import Path

from own_model.config import MinGRUConfig
from seqtrain.config import registry


def register() -> None:
    """Make the kind and its YAML file known; seqtrain calls this at every start, so nothing here imports torch."""
    registry.register("model", "min_gru", MinGRUConfig, "own_model.model:MinGRUModel")
    registry.register_folder(Path(__file__).parent / "conf")
