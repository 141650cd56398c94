"""The directory of one run: exclusive access, its files, and a status that other commands can trust.

config.yaml         the whole typed configuration
status.json         starting, running, finished, interrupted, pruned, or failed, with the reason
environment.json    versions, git commit, command line
data.json           what the model must know about its data: the DataSpec, fingerprint, rows per split, notes
tokenizer.json      (texts) the vocabulary that the model was trained with
conformal.json      (forecasts with task.conformal) interval margins of the best checkpoint
checkpoints/        best.pt, last.pt, and previous.pt, which is older than last.pt
metrics.jsonl       every logged scalar, one line per step
results.json        the final table: the model and the baselines on each split
predictions/        outputs on the test split, row by row
events.out.*        for TensorBoard
"""

import json
import os
import platform
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from seqtrain.atomic import create, replacing
from seqtrain.config.migrations import FORMAT
from seqtrain.errors import Interrupted, Pruned, RunError

PACKAGES = (
    *("seqtrain", "torch", "numpy", "hydra-core", "omegaconf", "datasets", "tokenizers"),
    *("scikit-learn", "tensorboard"),
)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically: a reader sees the old file or the new file, never a part."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file of a run; raises RunError if it is missing or damaged."""
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror}); is {path.parent} a run directory?") from error
    except ValueError as error:
        raise RunError(f"{path}: is not valid JSON ({error}); restore it or train again") from error


def read_json_if_valid(path: Path) -> dict[str, Any]:
    """Content of an optional JSON file of a run; empty if it is missing or damaged."""
    with suppress(RunError):
        facts = read_json(path)
        return facts if isinstance(facts, dict) else {}
    return {}


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
            exact: refuse a directory that holds a run. Otherwise append -2, -3, ... to the name.
            config: content of config.yaml; with it the run can be resumed from the start.

        Raises:
            RunError: if ``exact`` and the directory holds a run, or if it cannot be written.
        """
        number = 1
        while True:
            target = path if number == 1 else path.with_name(f"{path.name}-{number}")
            try:
                target.mkdir(parents=True, exist_ok=True)
                create(cls(target).config_path, config)
                break
            except FileExistsError:
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
        run.initialise()
        return run

    def initialise(self) -> None:
        """Create the checkpoints folder and the run's id, if a process that was killed early left them undone."""
        self.checkpoint_path("last").parent.mkdir(exist_ok=True)
        if not self.status_path.exists():
            identity = {"state": "starting", "id": uuid.uuid4().hex, "pid": os.getpid(), "started": now()}
            identity |= {"format": FORMAT}
            with suppress(FileExistsError):
                create(self.status_path, json.dumps(identity, indent=2) + "\n")

    @classmethod
    def open(cls, path: str, key: str = "run") -> "RunDirectory":
        """Open an existing run.

        Args:
            path: directory, as the user gave it.
            key: name of the option in errors.

        Raises:
            RunError: if the directory is not a run.
        """
        run = cls(Path(path).expanduser())
        if not run.path.is_dir():
            raise RunError(f"{key}={path}: no such directory")
        if not run.config_path.is_file():
            raise RunError(f"{key}={path}: is not the directory of a run (no config.yaml in it)")
        run.initialise()
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
    def conformal_path(self) -> Path:
        return self.path / "conformal.json"

    @property
    def data_path(self) -> Path:
        return self.path / "data.json"

    @property
    def metrics_path(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def results_path(self) -> Path:
        return self.path / "results.json"

    @property
    def predictions_path(self) -> Path:
        return self.path / "predictions" / "test.npz"

    def checkpoint_path(self, which: str) -> Path:
        """Path of the checkpoint ``best``, ``last`` or ``previous`` (the one before ``last``)."""
        return self.path / "checkpoints" / f"{which}.pt"

    @property
    def id(self) -> str:
        """Identity of the run, also stored in its checkpoints."""
        return read_json(self.status_path)["id"]

    def update_status(self, **changes: Any) -> None:
        """Merge changes into status.json."""
        write_json(self.status_path, read_json(self.status_path) | changes)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run's lock, so that no other process writes to it.

        Raises:
            RunError: if another process holds it.
        """

        def refusal() -> str:
            pid = read_json(self.status_path).get("pid")
            return f"{self.path}: is being written by another process ({pid}); wait for it or stop it"

        with holding_lock(self.path, refusal):
            yield

    @contextmanager
    def recording_outcome(self) -> Iterator[None]:
        """Record in the status how the context ends: finished, interrupted, pruned or failed, and why."""
        self.update_status(state="running", pid=os.getpid(), error=None, finished=None)
        try:
            yield
        except BaseException as error:
            interrupted = isinstance(error, Interrupted | KeyboardInterrupt)
            state = "interrupted" if interrupted else "pruned" if isinstance(error, Pruned) else "failed"
            with suppress(RunError, OSError):  # a full disk or a deleted directory: the original error says more
                self.update_status(state=state, error=error_line(error), finished=now())
            raise
        self.update_status(state="finished", finished=now())

    def write_environment(self) -> None:
        """Write what is needed to repeat the run: versions, git commit, command line."""
        write_json(
            self.path / "environment.json",
            {
                "command": sys.argv,
                "directory": os.getcwd(),
                "python": platform.python_version(),
                "platform": platform.platform(),
                "cpus": os.cpu_count(),
                "packages": {name: package_version(name) for name in PACKAGES},
                "git_commit": git_commit(),
            },
        )


@contextmanager
def holding_lock(directory: Path, refusal: Callable[[], str]) -> Iterator[None]:
    """Hold the lock of a run or sweep directory; the lock of a process that dies is released.

    Args:
        directory: the directory.
        refusal: gives the message of the error.

    Raises:
        RunError: if another process holds the lock.
    """
    lock = FileLock(directory / ".lock", timeout=0.5)  # `is_locked` of another process holds it for a moment
    try:
        lock.acquire()
    except Timeout as error:
        raise RunError(refusal()) from error
    try:
        yield
    finally:
        lock.release()


def is_locked(directory: Path) -> bool:
    """Whether a process holds the lock of a run or sweep directory."""
    path = directory / ".lock"
    if not path.exists():
        return False
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return True
    except OSError:  # for example another user's file: unknown
        return False
    lock.release()
    return False


@contextmanager
def writing(path: Path, run: Path) -> Iterator[None]:
    """Turn an OSError while writing a file of a run into an error that says how to continue.

    Args:
        path: the file.
        run: the run directory.

    Raises:
        RunError: for an OSError inside the context.
    """
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{path}: cannot be written ({error.strerror or error}); earlier files are intact: free some space, or "
            f"make the directory writable, then continue with resume={run}"
        ) from error


def now() -> str:
    """Local time with its UTC offset, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def package_version(name: str) -> str | None:
    """Installed version of a package, or None."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def git_commit() -> str | None:
    """Git commit of the source tree that contains this package, with ``-dirty`` if it was changed, or None."""
    try:
        return subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=Path(__file__).parent, capture_output=True, text=True, timeout=5, check=True,
        ).stdout.strip()  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
