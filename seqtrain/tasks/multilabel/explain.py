"""Explanations of the most probable label of a text."""

from torch import Tensor

from seqtrain.tasks.explaining.texts import TextSubject


class LabelSubject(TextSubject):
    """The log-odds of the most probable label, which are its logit, whether or not it reaches its threshold."""

    score_name = "probability of the most probable label"

    def log_odds(self, logits: Tensor, choice: Tensor) -> Tensor:
        return logits.gather(1, choice[:, None]).squeeze(1)
