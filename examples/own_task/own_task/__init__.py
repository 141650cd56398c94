"""A task of one's own for seqtrain, with its data and a model: ``seqtrain data=star_reviews model=word_mean``."""

from pathlib import Path

from own_task.config import StarReviewsConfig, StarsConfig, WordMeanConfig
from seqtrain.config import registry


def register() -> None:
    """Register the kinds and the YAML files; seqtrain calls this at every start, so nothing here imports torch."""
    registry.register("data", "star_reviews", StarReviewsConfig, "own_task.data:StarReviews")
    registry.register("task", "stars", StarsConfig, "own_task.task:Stars", statistics="own_task.statistics:STATISTICS")
    registry.register("model", "word_mean", WordMeanConfig, "own_task.model:WordMean")
    registry.register_folder(Path(__file__).parent / "conf")
