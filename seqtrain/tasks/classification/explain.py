"""Explanations of the predicted class of a text or a series."""

from typing import cast

from torch import Tensor

from seqtrain.config.base import DataConfig
from seqtrain.config.series_classes import SeriesClassesConfig
from seqtrain.tasks.classification.explain_series import SeriesSubject
from seqtrain.tasks.classification.log_odds import log_odds
from seqtrain.tasks.classification.task import Classification
from seqtrain.tasks.explaining.subject import Subject
from seqtrain.tasks.explaining.texts import TextSubject


class ClassSubject(TextSubject):
    """The log-odds of the most probable class of a text."""

    @classmethod
    def of_data(cls, options: DataConfig) -> type[Subject]:
        return SeriesSubject if isinstance(options, SeriesClassesConfig) else cls

    def log_odds(self, logits: Tensor, choice: Tensor) -> Tensor:
        return log_odds(cast(Classification, self.trained.task), logits, choice)
