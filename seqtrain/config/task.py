"""Options of the tasks."""

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from seqtrain.config.base import TaskConfig, require, require_fraction
from seqtrain.config.options import Affects, option


def check_weights(weights: Any, key: str) -> None:
    """Raise ConfigError unless weights are ``none``, ``balanced``, or numbers above 0 as a list or by class name."""
    numbers = list(weights.values()) if isinstance(weights, dict) else weights
    listed = isinstance(numbers, list) and all(
        isinstance(w, int | float) and not isinstance(w, bool) and w > 0 for w in numbers
    )
    require(weights in ("none", "balanced") or (listed and len(numbers) > 0), f"{key}.class_weights", weights,
            "none, balanced, or a list or {name: number} with one number above 0 per class")  # fmt: skip


@dataclass
class RegularisedConfig(TaskConfig):
    """Regularisers for tasks with classes, which train on further outputs than those of the rows as they are."""

    adversarial: float = 0.0
    """Weight in the loss of the loss of rows whose embedded tokens are moved to where it rises fastest (adversarial
    training); 0 for none. A step takes twice the time."""
    adversarial_epsilon: float = 5.0
    """Length of this move for a whole row, in units of the root mean square of the row's embedded tokens."""
    virtual_adversarial: float = 0.0
    """Weight in the loss of how much predictions change if embedded tokens are moved to where they change fastest
    (virtual adversarial training); 0 for none. It needs no labels, see ``data.unlabelled``. A step takes three times
    the time, and with unlabelled texts five times."""
    virtual_adversarial_epsilon: float = 5.0
    """Length of this move for a whole row, in units of the root mean square of the row's embedded tokens."""

    rdrop: float = 0.0
    """Weight in the loss of how much the predictions of two passes with other dropout masks differ (R-Drop); 0 for one
    pass. A step takes twice the time."""
    mixup: float = 0.0
    """Parameter of the beta distribution by which the features of two rows, and their targets, are mixed (mixup); 0 for
    none."""

    def any(self) -> bool:
        """Whether a regulariser is on."""
        return any((self.adversarial, self.virtual_adversarial, self.rdrop, self.mixup))

    def check(self, key: str) -> None:
        for name in ("adversarial", "virtual_adversarial", "rdrop", "mixup"):
            value = getattr(self, name)
            require(0 <= value < math.inf, f"{key}.{name}", value, "at least 0, and finite")
        for name in ("adversarial_epsilon", "virtual_adversarial_epsilon"):
            value = getattr(self, name)
            require(0 < value < math.inf, f"{key}.{name}", value, "above 0, and finite")
        for name in ("adversarial", "rdrop"):  # they need the loss of rows that are not mixed
            other = getattr(self, name)
            require(not (self.mixup and other), f"{key}.mixup", self.mixup, f"0 with {key}.{name}={other}")


@dataclass
class ClassificationConfig(RegularisedConfig):
    """One label per sequence."""

    class_weights: Any = "none"
    """Weight of each class in the training loss: ``none``, ``balanced`` (inverse frequency in train), a list, or
    numbers by class name as ``{neg: 1, pos: 2}``."""
    label_smoothing: float = 0.0
    """Share of the target's probability that the training loss spreads evenly over all classes."""
    temperature: bool = option(False, Affects.afterwards)
    """After training, fit a temperature that divides the logits, by the loss on validation. Probabilities fit the share
    of correct predictions better; predictions stay the same."""

    def check(self, key: str) -> None:
        super().check(key)
        check_weights(self.class_weights, key)
        require_fraction(self.label_smoothing, f"{key}.label_smoothing")


@dataclass
class MultilabelConfig(RegularisedConfig):
    """A set of labels per sequence, which may be empty."""

    class_weights: Any = "none"
    """Weight of the rows that have a label, in the part of the training loss on this label: ``none``, ``balanced``
    (rows without it by rows with it, in train), a list, or numbers by class name as ``{neg: 1, pos: 2}``."""
    label_smoothing: float = 0.0
    """Share of each target, 0 or 1, that the training loss replaces by one half."""

    def check(self, key: str) -> None:
        super().check(key)
        check_weights(self.class_weights, key)
        require_fraction(self.label_smoothing, f"{key}.label_smoothing")


@dataclass
class SequenceRegressionConfig(TaskConfig):
    """One number per sequence, trained by squared error."""


@dataclass
class SequenceLabellingConfig(TaskConfig):
    """One label per step."""

    label_smoothing: float = 0.0
    """Share of the target's probability that the training loss spreads evenly over all labels."""

    def check(self, key: str) -> None:
        require_fraction(self.label_smoothing, f"{key}.label_smoothing")


class Softmax(Enum):
    """Softmax over the vocabulary: of all tokens, in training of a part of them, or of rare tokens in clusters."""

    full = "full"
    sampled = "sampled"
    adaptive = "adaptive"


@dataclass
class LanguageModellingConfig(TaskConfig):
    """The next token of running text."""

    softmax: Softmax = Softmax.full
    """``full``; ``sampled``, which trains on a random part of the vocabulary at each step, for some ten thousand tokens
    or more (Jean et al. 2015); or ``adaptive``, for hundreds of thousands (Grave et al. 2017)."""
    num_sampled: int = 4096
    """Expected number of tokens in the part of the sampled softmax. Frequent tokens are always in it."""
    cutoffs: list[int] | None = None
    """First token of each cluster of the adaptive softmax; null takes V/16 and V/4, of a vocabulary of V tokens."""
    tie_weights: bool = True
    """Use the embedding's vectors as the weights of the full or sampled softmax. If the sizes differ, a learned
    projection brings the features to the embedding's size."""
    projection_size: int | None = None
    """Size of a learned projection before the softmax; null adds one only if ``tie_weights`` needs it."""
    order: int | None = None
    """Order of the n-gram baseline (tokens); null takes 5, or 7 for characters and bytes."""
    sample_length: int = 100
    """Length of the sample texts written to TensorBoard at each evaluation (tokens)."""

    def check(self, key: str) -> None:
        adaptive = self.softmax is Softmax.adaptive
        require(adaptive or self.cutoffs is None, f"{key}.cutoffs", self.cutoffs,
                f"null with {key}.softmax={self.softmax.value}")  # fmt: skip
        require(self.num_sampled >= 32, f"{key}.num_sampled", self.num_sampled, "at least 32")
        cutoffs = self.cutoffs or [1]
        require(cutoffs[0] >= 1 and sorted(set(cutoffs)) == cutoffs, f"{key}.cutoffs", self.cutoffs,
                "ascending numbers of at least 1, or null")  # fmt: skip
        for name in ("projection_size", "order", "sample_length"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"{key}.{name}", value, "at least 1")


class Strategy(Enum):
    """How the steps of the horizon are forecast."""

    direct = "direct"
    recursive = "recursive"


class ForecastLoss(Enum):
    """The loss that training minimises; it decides what a forecast is."""

    mse = "mse"
    mae = "mae"
    huber = "huber"
    quantile = "quantile"
    gaussian = "gaussian"
    poisson = "poisson"
    negative_binomial = "negative_binomial"


COUNT_LOSSES = (ForecastLoss.poisson, ForecastLoss.negative_binomial)


@dataclass
class ForecastingConfig(TaskConfig):
    """The steps that follow a window of a series."""

    strategy: Strategy = Strategy.direct
    """``direct`` forecasts all steps at once from the last or pooled state; ``recursive`` forecasts one step at a time
    and feeds it back."""
    loss: ForecastLoss = ForecastLoss.mse
    """``mse``, ``mae``, ``huber``, ``quantile`` (pinball loss at ``quantiles``), or the negative log-likelihood of a
    distribution: ``gaussian`` or, for counts, ``poisson`` or ``negative_binomial``."""
    huber_delta: float = 1.0
    """Error above which the ``huber`` loss is linear (scaled units)."""
    quantiles: list[float] = field(default_factory=lambda: [0.1, 0.25, 0.5, 0.75, 0.9])
    """Levels of the ``quantile`` loss, ascending, with 0.5 among them."""
    conformal: float | None = option(None, Affects.afterwards)
    """Level of conformal prediction intervals, for example 0.9. They are computed from the errors on validation; null
    for no intervals."""

    def check(self, key: str) -> None:
        levels = self.quantiles
        require(sorted(set(levels)) == levels and 0.5 in levels and levels[0] > 0 and levels[-1] < 1,
                f"{key}.quantiles", levels, "ascending levels between 0 and 1, with 0.5 among them")  # fmt: skip
        require(self.strategy is Strategy.direct or self.loss not in COUNT_LOSSES, f"{key}.strategy",
                self.strategy.value, f"direct with {key}.loss={self.loss.value}")  # fmt: skip
        require(self.huber_delta > 0, f"{key}.huber_delta", self.huber_delta, "above 0")
        require(self.conformal is None or 0 < self.conformal < 1, f"{key}.conformal", self.conformal,
                "above 0 and below 1, or null")  # fmt: skip
