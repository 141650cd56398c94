"""Options of series with a label each, with a number each, or with a label for each step."""

from dataclasses import dataclass
from enum import Enum, StrEnum

from seqtrain.config.base import check_folds, check_splits, require
from seqtrain.config.data import LabelsAs
from seqtrain.config.options import Affects, option
from seqtrain.config.tables import NumbersConfig


class ScaledBy(StrEnum):
    """What the constants of the scaling are computed from."""

    train = "train"
    series = "series"
    none = "none"


class Filling(Enum):
    """What takes the place of missing values."""

    interpolate = "interpolate"
    mean = "mean"
    error = "error"


@dataclass
class SeriesClassesConfig(NumbersConfig):
    """Series with a label each, of one or more features and any lengths.

    Files are ``.ts``, ``.arff`` or headerless ones of the archives, or tables in wide or long form.

    A table in wide form has a row for each series, with a column for each step. One in long form has a row for each
    step, and ``id_column`` says which series it belongs to.
    """

    path: str | None = option(None, Affects.source)
    """A file (all its series), or a folder with ``<name>_TRAIN`` and ``<name>_TEST`` files, or with one for each split.
    """
    label_column: str = option("label", Affects.rows)
    """Column of a table that holds the label of a series or, with ``task=sequence_regression``, its number."""
    id_column: str | None = option(None, Affects.rows)
    """Column that identifies the series of a row, for tables in long form; null: tables are in wide form."""
    time_column: str | None = option(None, Affects.rows)
    """Column by which the steps of a series are put in order, in long form: numbers, or dates as ISO 8601 writes them;
    null keeps the order of the file."""
    features: list[str] | None = None
    """Columns that hold the values: the features of a step in long form, the steps in wide form. null takes all that
    are not named by another option."""
    class_names: list[str] | None = option(None, Affects.rows)
    """Names of the classes, in order; null takes the labels themselves."""
    labels_as: LabelsAs | None = option(None, Affects.rows)
    """What the labels are, with ``class_names``: these ``names``, or their ``numbers`` from 0; null sees it from all
    labels together."""
    train_split: str = option("train", Affects.rows)
    """Name of the source's split to use as train."""
    validation_split: str | None = option("validation", Affects.rows)
    """Name of the source's split to use as validation; if null or absent, part of train is used."""
    test_split: str | None = option("test", Affects.rows)
    """Name of the source's split to use as test; if null or absent, only validation is reported."""
    validation_size: float = option(0.2, Affects.rows)
    """Part of train to use as validation, stratified by class: a fraction below 1, or a number of series."""
    test_size: float = option(0.2, Affects.rows)
    """Part of the series to use as test where the source has a train split only, stratified by class: a fraction below
    1, or a number of series; 0 for none."""
    split_seed: int = option(0, Affects.rows)
    """Seed for choosing the validation and test series. Independent of ``seed``, so that runs with different seeds are
    scored on the same series."""
    folds: int | None = option(None, Affects.rows)
    """Number of parts into which train is cut for cross-validation, stratified by class; one of them is validation.
    null takes ``validation_size``."""
    fold: int = option(0, Affects.rows)
    """Which of the ``folds`` is validation, counted from 0."""

    scale_by: ScaledBy = ScaledBy.train
    """Scaling of each feature to mean 0 and standard deviation 1: with those of all steps of ``train``, with those of
    each ``series``, or ``none``. Series of the UCR archive are mostly scaled by series already."""
    missing: Filling = Filling.interpolate
    """What takes the place of missing values. ``interpolate``: the line between the two known neighbours, or the
    nearest known value at an end. ``mean``: the mean of the feature in train. ``error`` refuses them."""
    max_length: int | None = 500
    """Longest series in steps. If train has a longer one, the mean of as many neighbouring steps as it needs becomes
    one step, the same number in every series; null keeps all steps, as ``task=sequence_labelling`` always does."""
    batch_size: int = option(16, Affects.batches)
    """Series in a training batch."""
    batch_share: float = option(0.1, Affects.batches)
    """Largest part of train in a batch: of few series, a batch has fewer than ``batch_size``, but 4 at least."""
    batch_tokens: int | None = option(None, Affects.batches)
    """Largest number of steps in a training batch, padding included; replaces ``batch_size`` and ``batch_share`` if
    set."""
    eval_batch_tokens: int = option(32_768, Affects.speed)
    """Largest number of steps in an evaluation batch, padding included. Changes only speed and memory."""

    def check(self, key: str) -> None:
        super().check(key)
        names = [n for n in (self.label_column, self.id_column, self.time_column) if n is not None]
        names += self.features or []
        require(len(set(names)) == len(names), f"{key}.features, label_column, id_column and time_column", names,
                "different")  # fmt: skip
        require(self.features is None or len(self.features) > 0, f"{key}.features", self.features, "null or not empty")
        require(self.time_column is None or self.id_column is not None, f"{key}.time_column", self.time_column,
                f"null without {key}.id_column: in wide form the columns are the steps")  # fmt: skip
        check_splits(self, key)
        check_folds(self.folds, self.fold, key)
        require(0 < self.batch_share <= 1, f"{key}.batch_share", self.batch_share, "above 0, and at most 1")
        for name in ("max_length", "batch_size", "batch_tokens", "eval_batch_tokens"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"{key}.{name}", value, "at least 1")
