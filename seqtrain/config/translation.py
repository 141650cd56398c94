"""Options of translation."""

from dataclasses import dataclass
from enum import Enum

from seqtrain.config.base import TaskConfig, require, require_fraction
from seqtrain.config.options import Affects, option


class BleuTokens(Enum):
    """How BLEU splits texts into words."""

    v13a = "13a"
    intl = "intl"
    zh = "zh"
    char = "char"
    none = "none"


@dataclass
class TranslationConfig(TaskConfig):
    """A target text for each source text, token by token."""

    label_smoothing: float = 0.1
    """Share of the target's probability that the training loss spreads evenly over all tokens."""
    scheduled_sampling: float = 0.0
    """Probability at the end of training that the decoder reads its own prediction in place of the true token before.
    It grows linearly from 0 at the first step. 0 is teacher forcing."""
    tie_weights: bool = True
    """Use the vectors of the target embedding as the weights of the softmax. If the sizes differ, a learned projection
    brings the features to the embedding's size."""

    beam_size: int = option(1, Affects.decoding)
    """Hypotheses that beam search keeps for each source; 1 is greedy search."""
    length_penalty: float = option(1.0, Affects.decoding)
    """Exponent of the length in the normalisation of a hypothesis's log-probability; 0 for none."""
    coverage_penalty: float = option(0.0, Affects.decoding)
    """Weight of the penalty for source tokens that the attention of a hypothesis hardly looks at; 0 for none."""
    length_limit: float = option(2.0, Affects.decoding)
    """A translation ends at this many times the tokens of its source, and 10 more."""
    num_best: int = option(1, Affects.decoding)
    """Translations of each source that ``predict`` gives, the best first; at most ``beam_size``."""

    translated_rows: int | None = option(None, Affects.decoding)
    """Pairs of a split, from the first on, that are translated to be scored by BLEU and chrF; null for all. The loss is
    always that of all pairs."""
    lowercase: bool = option(False, Affects.decoding)
    """BLEU and chrF take no notice of upper and lower case."""
    bleu_tokens: BleuTokens = option(BleuTokens.v13a, Affects.decoding)
    """How BLEU splits texts into words: ``13a`` (the standard), ``intl``, ``zh``, ``char`` or ``none``."""

    def check(self, key: str) -> None:
        require_fraction(self.label_smoothing, f"{key}.label_smoothing")
        sampling = self.scheduled_sampling
        require(0 <= sampling <= 1, f"{key}.scheduled_sampling", sampling, "in [0, 1]")
        require(self.beam_size >= 1, f"{key}.beam_size", self.beam_size, "at least 1")
        require(1 <= self.num_best <= self.beam_size, f"{key}.num_best", self.num_best,
                f"in [1, {self.beam_size}], of {key}.beam_size={self.beam_size}")  # fmt: skip
        for name in ("length_penalty", "coverage_penalty"):
            require(0 <= getattr(self, name) < 100, f"{key}.{name}", getattr(self, name), "in [0, 100)")
        require(0 < self.length_limit <= 100, f"{key}.length_limit", self.length_limit, "above 0, and at most 100")
        rows = self.translated_rows
        require(rows is None or rows >= 1, f"{key}.translated_rows", rows, "at least 1, or null")
