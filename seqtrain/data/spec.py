"""What models and tasks may know of the data. Nothing here imports torch."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class DataSpec:
    """All that models and task heads know of the data."""

    vocab_size: int | None = None
    """Size of the vocabulary, for inputs that are tokens."""
    target_vocab_size: int | None = None
    """Size of the vocabulary of the targets, where they are tokens of their own."""
    pad_id: int | None = None
    """Token that pads rows; None if the vocabulary has none."""
    targets: str = ""
    """What is to be predicted, one of ``Targets``; empty in a spec that is not tied to one kind of target."""
    num_features: int | None = None
    """Number of features of a step, for inputs that are numbers."""
    longest: int | None = None
    """Number of steps of the longest train row, where models may follow it."""
    class_names: list[str] = field(default_factory=list)
    """Names of the classes, in the order of the targets."""
    class_counts: list[int] = field(default_factory=list)
    """Number of train rows of each class; of steps, where each step has a class."""
    num_rows: int | None = None
    """Number of train rows, where a row may have several classes."""
    by_frequency: bool = False
    """Whether tokens are numbered from the most to the least frequent."""
    segment_length: int | None = None
    """Number of steps of a training segment, for running text."""
    lookback: int | None = None
    """Number of past steps that a forecast sees."""
    horizon: int | None = None
    """Number of future steps that a forecast predicts."""
    num_targets: int | None = None
    """Number of variables that are forecast: the first features of a step."""
    num_future: int = 0
    """Number of features that are also known for the horizon: the last ones of a step."""
    target_centre: float = 0.0
    """Mean of the numbers of train, where each sequence has one; a model predicts the distance from it."""
    target_scale: float = 1.0
    """Standard deviation of the numbers of train, the unit of that distance; 1 if they are all equal."""
    season: int = 1
    """Number of steps of a season of the data that a model was trained on."""
    target_names: list[str] = field(default_factory=list)
    """Names of the variables that are forecast."""
    naive_errors: list[list[list[float]]] = field(default_factory=list)
    """Mean absolute, then mean squared seasonal difference of train, by series and variable; 0 if undefined."""
