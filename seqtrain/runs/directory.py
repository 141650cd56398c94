"""The directory of one run: exclusive access, its files, and a status that other commands can trust.

config.yaml         the whole typed configuration
status.json         starting, running, finished, interrupted, pruned, or failed, with the reason
environment.json    versions, git commit, command line
data.json           what the model must know about its data: the DataSpec, fingerprint, rows per split, notes
tokenizer.json      (texts) the vocabulary that the model was trained with
init.json           (with init) the runs that it started from, and what it took of them
seen.npy            digests of the rows that its weights have been trained on
temperature.json    (classification with task.temperature) the temperature of the best checkpoint
ensemble.json       (of seqtrain ensemble) the runs whose outputs are averaged, in place of checkpoints
conformal.json      (forecasts with task.conformal) interval margins of the best checkpoint
checkpoints/        best.pt, last.pt, and previous.pt, which is older than last.pt
metrics.jsonl       every logged scalar, one line per step
health.json         the health panel of the best checkpoint, and what it shows
results.json        the final table: the model and the baselines on each split
predictions/        outputs on validation and test, row by row
errors-*.html       (of seqtrain inspect) what the run gets wrong
events.out.*        for TensorBoard; events.out.tfevents.final has the scores on test
projector/          (tokens) vectors, names and counts of tokens, for TensorBoard
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from seqtrain.atomic import NO_ROOM, create
from seqtrain.config.migrations import FORMAT
from seqtrain.errors import Interrupted, Pruned, RunError
from seqtrain.paths import expanded, is_utf8
from seqtrain.runs.environment import environment, now
from seqtrain.runs.json_files import overwrite_json, read_record, to_json, write_json
from seqtrain.runs.links import refuse_links
from seqtrain.runs.locks import holding_lock
from seqtrain.runs.records import Status

PROJECTOR = "projector"
"""Folder of a run with files for TensorBoard's Embedding Projector."""


def error_line(error: BaseException) -> str:
    """Type and first line of an error."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


@dataclass(frozen=True)
class RunDirectory:
    """Paths and small files of one run."""

    path: Path

    @classmethod
    def claim(cls, path: Path, *, exact: bool, config: str = "") -> "RunDirectory":
        """Take a directory for a new run. If two processes try, exactly one gets it.

        Args:
            path: the wanted directory; created if absent.
            exact: refuse a directory that holds a run, unless that run failed before its first step. Otherwise append
                -2, -3, ... to the name.
            config: content of config.yaml; with it the run can be resumed from the start.

        Raises:
            RunError: if ``exact`` and the directory holds a run, or if it cannot be written, or its path is not UTF-8.
        """
        cls(path).check_name()
        number = 1
        while True:
            target = path if number == 1 else path.with_name(f"{path.name}-{number}")
            try:
                target.mkdir(parents=True, exist_ok=True)
                create(cls(target).config_path, config)
                break
            except FileExistsError:
                if exact and cls(target).cleared():
                    continue
                if exact or not target.is_dir():
                    raise RunError(
                        f"hydra.run.dir={path}: already holds a run; choose another directory, or continue that "
                        f"run with resume={path}"
                    ) from None
                number += 1
            except OSError as error:
                raise RunError(
                    f"{target}: cannot be written ({error.strerror}); choose another hydra.run.dir"
                ) from error
        run = cls(target)
        try:
            run.initialise()
        except OSError as error:
            with suppress(OSError):  # so that the same command can take the directory once there is room
                run.config_path.unlink()
                run.checkpoint_path("last").parent.rmdir()
            raise RunError(f"{target}: cannot be written ({error.strerror}); choose another hydra.run.dir") from error
        return run

    def check_name(self) -> None:
        """Raise RunError if the path is not UTF-8, which TensorBoard cannot write to."""
        whole = str(self.path.absolute())
        if not is_utf8(whole):
            raise RunError(
                f"{whole!r}: the path of a run must be UTF-8; rename its folder, or choose another hydra.run.dir"
            )

    def initialise(self) -> None:
        """Create the checkpoints folder and the run's id, if a process that was killed early left them undone."""
        self.checkpoint_path("last").parent.mkdir(exist_ok=True)
        if not self.status_path.exists() and not self.has_checkpoint:  # checkpoints belong to an id that was lost
            status = Status(uuid.uuid4().hex, "starting", os.getpid(), now(), format=FORMAT)
            with suppress(FileExistsError):
                create(self.status_path, to_json(asdict(status), indent=2) + "\n")

    @classmethod
    def open(cls, path: str, key: str = "run", ensembles: bool = False) -> "RunDirectory":
        """Open an existing run; nothing is written.

        Args:
            path: directory, as the user gave it.
            key: name of the option in errors; empty if the command takes it without one.
            ensembles: whether it may be an ensemble, which has no weights of its own.

        Raises:
            RunError: if the directory is not a run, or has lost its status.
        """
        given = f"{key}={path}" if key else path
        run = cls(expanded(path, key))
        if not run.path.is_dir():
            raise RunError(f"{given}: no such directory")
        if not run.config_path.is_file():
            raise RunError(f"{given}: is not the directory of a run (no config.yaml in it)")
        if run.status_path.exists() or run.has_checkpoint:
            read_record(Status, run.status_path)  # a damaged one is reported before anything else is read
        if run.is_ensemble and not ensembles:
            raise RunError(
                f"{given}: is an ensemble, which eval, predict and compare take; give one of its members, see "
                f"{run.ensemble_path}"
            )
        return run

    @property
    def status_path(self) -> Path:
        return self.path / "status.json"

    @property
    def config_path(self) -> Path:
        return self.path / "config.yaml"

    @property
    def tokenizer_path(self) -> Path:
        return self.path / "tokenizer.json"

    @property
    def init_path(self) -> Path:
        return self.path / "init.json"

    @property
    def conformal_path(self) -> Path:
        return self.path / "conformal.json"

    @property
    def data_path(self) -> Path:
        return self.path / "data.json"

    @property
    def ensemble_path(self) -> Path:
        return self.path / "ensemble.json"

    @property
    def is_ensemble(self) -> bool:
        """Whether its outputs are averages of those of other runs, see ``Ensemble``."""
        return self.ensemble_path.is_file()

    @property
    def metrics_path(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def results_path(self) -> Path:
        return self.path / "results.json"

    @property
    def health_path(self) -> Path:
        return self.path / "health.json"

    @property
    def explanation_path(self) -> Path:
        return self.path / "explanation.json"

    @property
    def predictions_path(self) -> Path:
        """Outputs on test."""
        return self.predictions_of("test")

    def predictions_of(self, split: str) -> Path:
        """Path of the stored outputs on a split, validation or test; runs of earlier versions have those on test."""
        return self.path / "predictions" / f"{split}.npz"

    def checkpoint_path(self, which: str) -> Path:
        """Path of the checkpoint ``best``, ``last`` or ``previous`` (the one before ``last``)."""
        return self.path / "checkpoints" / f"{which}.pt"

    @property
    def id(self) -> str:
        """Identity of the run, also stored in its checkpoints."""
        return self.status.id

    @property
    def status(self) -> Status:
        """Content of status.json, with control characters escaped; raises RunError if it is missing or damaged."""
        return read_record(Status, self.status_path, shown=True)

    @property
    def has_checkpoint(self) -> bool:
        """Whether training can be resumed from a checkpoint."""
        return any(self.checkpoint_path(which).exists() for which in ("last", "previous"))

    @property
    def failed_early(self) -> bool:
        """Whether the run failed before its first step, as with an option that does not fit the data."""
        if self.metrics_path.exists() or self.has_checkpoint or not self.status_path.is_file():
            return False
        with suppress(RunError):  # a damaged status tells nothing
            return self.status.state == "failed"
        return False

    def cleared(self) -> bool:
        """Delete the files of a run that failed before its first step; whether it was one."""
        if not self.failed_early:
            return False
        with self.locked():
            if failed := self.failed_early:  # still: another process may have taken the directory in between
                for name in ("data.json", "environment.json", "init.json", "seen.npy", "tokenizer.json"):
                    (self.path / name).unlink(missing_ok=True)
                self.status_path.unlink()
                self.config_path.unlink()
        return failed

    def update_status(self, **changes: Any) -> None:
        """Change fields of status.json; on a full disk it is overwritten, with a short error."""
        status = replace(read_record(Status, self.status_path), **changes)
        try:
            write_json(self.status_path, asdict(status))
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            overwrite_json(self.status_path, asdict(replace(status, error=status.error and error.strerror)))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run's lock, so that no other process writes to it.

        Raises:
            RunError: if another process holds it, the path is not UTF-8, or a link in the directory would lead what is
                written out of it.
        """
        self.check_name()
        inside = (self.checkpoint_path("last").parent, self.predictions_path.parent, self.path / PROJECTOR)
        refuse_links(self.path, *inside)

        def refusal() -> str:
            return f"{self.path}: is being written by another process ({self.status.pid}); wait for it or stop it"

        with holding_lock(self.path, refusal):
            yield

    @contextmanager
    def recording_outcome(self) -> Iterator[None]:
        """Record in the status how the context ends: finished, interrupted, pruned or failed, and why.

        Raises:
            RunError: if a file of the run cannot be written.
        """
        with writing(None, self.path):
            self.update_status(state="running", pid=os.getpid(), error=None, finished=None)
        try:
            with writing(None, self.path):
                yield
        except BaseException as error:
            interrupted = isinstance(error, Interrupted | KeyboardInterrupt)
            state = "interrupted" if interrupted else "pruned" if isinstance(error, Pruned) else "failed"
            with suppress(RunError, OSError):  # a full disk or a deleted directory: the original error says more
                self.update_status(state=state, error=error_line(error), finished=now())
            raise
        with writing(None, self.path):
            self.update_status(state="finished", finished=now())

    def write_environment(self) -> None:
        """Write what is needed to repeat the run: versions, git commit, command line."""
        write_json(self.path / "environment.json", environment())


@contextmanager
def writing(path: Path | None, run: Path) -> Iterator[None]:
    """Turn an OSError while writing a file of a run into an error that says how to continue.

    Args:
        path: the file; None if more is done in the context. Then only errors of files of the run and of a full disk
            are turned.
        run: the run directory.

    Raises:
        RunError: for an OSError inside the context.
    """
    try:
        yield
    except OSError as error:
        if path is None:
            path = Path(error.filename or run)
            if error.errno not in NO_ROOM and run not in path.parents:
                raise
        raise RunError(
            f"{path}: cannot be written ({error.strerror or error}); earlier files are intact: free some space, or "
            f"make the directory writable, then continue with resume={run}"
        ) from error
