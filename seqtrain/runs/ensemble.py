"""ensemble.json: the runs whose outputs an ensemble averages."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from seqtrain.errors import RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import read_record, write_json

REMEDY = "restore it or make the ensemble again"


@dataclass(frozen=True)
class Member:
    """A run whose outputs an ensemble averages."""

    path: str
    """Its directory, relative to that of the ensemble."""
    id: str
    """Its identity, see ``Status``."""
    step: int
    """Step of its best checkpoint."""
    label: str
    """What distinguishes it from the other members."""


@dataclass(frozen=True)
class Ensemble:
    """The content of ensemble.json."""

    members: list[Member]
    differing: list[str] = field(default_factory=list)
    """Dotted keys of the configuration whose values differ between the members."""

    @classmethod
    def read(cls, run: RunDirectory) -> "Ensemble":
        """The record of an ensemble; raises RunError if it is missing or damaged."""
        record = read_record(cls, run.ensemble_path, shown=True, remedy=REMEDY)
        if not record.members:
            raise RunError(f"{run.ensemble_path}: has no members; {REMEDY}")
        return record

    def write(self, run: RunDirectory) -> None:
        """Write the record into the directory of an ensemble."""
        write_json(run.ensemble_path, asdict(self))

    def directories(self, run: RunDirectory) -> list[RunDirectory]:
        """The directories of the members.

        Args:
            run: directory of the ensemble.

        Raises:
            RunError: if a member is not where it was, or another run is there.
        """
        return [open_member(run, member) for member in self.members]


def open_member(run: RunDirectory, member: Member) -> RunDirectory:
    """The directory of a member of the ensemble at ``run``."""
    path = Path(os.path.normpath(run.path.absolute() / member.path))
    where = f"{run.path}: its member {member.path}"
    if not path.is_dir():
        raise RunError(f"{where} is not there; move it back, or make the ensemble again")
    found = RunDirectory.open(str(path), "member")
    if found.id != member.id:
        raise RunError(f"{where} is another run now (its id differs); make the ensemble again")
    return found


def members_of(
    run: RunDirectory, runs: Sequence[RunDirectory], steps: Sequence[int], labels: Sequence[str]
) -> list[Member]:
    """The record of each member of the ensemble at ``run``."""
    start = run.path.absolute()
    paths = [os.path.relpath(each.path.absolute(), start) for each in runs]
    parts = zip(paths, runs, steps, labels, strict=True)
    return [Member(path, each.id, step, label) for path, each, step, label in parts]
