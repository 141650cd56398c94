"""explanation.json: how faithful attributions are to what a run's model does."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Interval:
    """A mean over rows, and the ends of its 95 % interval."""

    value: float
    lower: float
    upper: float

    @property
    def is_shown(self) -> bool:
        """Whether the interval is above or below 0."""
        return self.lower > 0 or self.upper < 0


@dataclass(frozen=True)
class MethodScores:
    """Scores of a method of attribution; all are means over rows and fractions."""

    faithfulness: Interval
    """How much deeper its deletion curve is than that of random orders: the mean gap of the two."""
    comprehensiveness: Interval
    """How much the score falls without the most important steps."""
    sufficiency: Interval
    """How much the score falls with the most important steps only; less is better."""
    over_reverse: Interval
    """How much deeper its deletion curve is than that of the reverse order."""
    deletion: list[float]
    """Mean score without the most important steps, by fraction."""
    insertion: list[float]
    """With the most important steps only."""
    reverse: list[float]
    """Without the least important steps."""
    completeness_error: float | None = None
    """Mean of how far attributions are from adding up to f(x) - f(baseline), for integrated gradients."""


@dataclass(frozen=True)
class Explanation:
    """explanation.json: the methods, on rows of one split."""

    step: int
    """Step of the best checkpoint, whose weights are explained."""
    split: str
    rows: int
    """Number of rows."""
    removal: str
    """How steps are removed."""
    score: str
    """What the curves show."""
    whole: float
    """Mean score of whole rows."""
    fractions: list[float]
    methods: dict[str, MethodScores] = field(default_factory=dict)
    """By name, ``random`` among them."""
    numbers: list[int] = field(default_factory=list)
    """Numbers of the rows in the split, for ``attention``."""
    attention: list[list[float]] = field(default_factory=list)
    """Weight of each step of each row, to 4 digits; empty without the method ``attention``."""
