"""What a run saved of its series, in scaler.json, and what follows from it for other rows."""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from seqtrain.config.series import SeriesConfig
from seqtrain.data.series.scaling import Scaling
from seqtrain.data.series.times import STEP, Clock, RunTimes
from seqtrain.errors import RunError
from seqtrain.runs.json_files import read_record, write_json

Constants = list[list[float | None]]


@dataclass(frozen=True)
class SavedSeries:
    """scaler.json: the scaling, and what else predictions for other rows need.

    Python prints a float64 with the digits that restore it, so that JSON loses nothing.
    """

    num_targets: int
    frequency: str
    names: list[str]
    """Names of the scaled variables, targets first."""
    ids: list[str] | None
    """See ``Scaling``, as for the three constants."""
    centre: Constants
    scale: Constants
    mean: Constants
    season: int | None = None
    clock: str | None = None
    """See ``RunTimes``, as for ``distance``."""
    distance: int | None = None
    left_out: list[str] = field(default_factory=list)
    """Series that have no row of train."""
    categories: dict[str, list[str]] = field(default_factory=dict)
    """Names of the categories of each categorical covariate."""
    static: list[str] = field(default_factory=list)
    """Names of the static covariates."""

    @classmethod
    def read(cls, path: Path) -> "SavedSeries":
        """Read a scaler.json.

        Raises:
            RunError: if it is missing or damaged, or its constants cannot be used.
        """
        saved = read_record(cls, path)
        if not 1 <= saved.num_targets <= len(saved.names):
            raise RunError(f"{path}: num_targets: {saved.num_targets} of {len(saved.names)} variables; train again")
        if saved.clock not in (None, *(clock.value for clock in Clock)):
            raise RunError(f"{path}: clock: unknown, {saved.clock!r}; restore it, or train again")
        for name in ("centre", "scale", "mean"):
            saved.check(path, name)
        return saved

    def check(self, path: Path, name: str) -> None:
        """Raise RunError unless one kind of constants has a usable value for each series and variable."""
        rows: Constants = getattr(self, name)
        count = 1 if self.ids is None else len(self.ids)
        if len(rows) != count or any(len(row) != len(self.names) for row in rows):
            raise RunError(
                f"{path}: {name}: expected {count} rows of {len(self.names)} numbers; restore it, or train again"
            )
        values = np.array(rows, dtype=np.float64)
        bad = ~np.isfinite(values) | (values <= 0 if name == "scale" else False)
        if bad.any():
            k, d = np.argwhere(bad)[0]
            of = f"{self.names[d]!r}" + (f" of series {self.ids[k]!r}" if self.ids not in (None, [""]) else "")
            wanted = "a finite number above 0" if name == "scale" else "a finite number"
            raise RunError(
                f"{path}: {name} of {of}: must be {wanted}, is {rows[k][d]}; restore the file, or train again"
            )

    def write(self, path: Path) -> None:
        """Write a scaler.json."""
        write_json(path, asdict(self), indent=None)

    @property
    def scaling(self) -> Scaling:
        """The constants by which the variables are scaled."""
        arrays = (np.array(rows, dtype=np.float64) for rows in (self.centre, self.scale, self.mean))
        return Scaling(self.names, self.ids, *arrays)

    @property
    def times(self) -> RunTimes:
        """What the times of the run were."""
        return RunTimes(None if self.clock is None else Clock(self.clock), self.distance)

    @property
    def untrained(self) -> set[str]:
        """Series of which the run knows no scale."""
        return set() if self.ids is None else set(self.left_out)

    def as_trained(self, config: SeriesConfig) -> SeriesConfig:
        """The options with the run's targets and frequency, so that the columns of the file do not decide them."""
        frequency = config.frequency or (None if self.frequency == STEP else self.frequency)
        return replace(config, targets=self.names[: self.num_targets], frequency=frequency)
