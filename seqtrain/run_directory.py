"""The directory of one run: who may write there, what lies in it, and a status that other commands can trust.

config.yaml         the whole typed configuration
status.json         starting, running, finished, interrupted, pruned, or failed and why
environment.json    versions, git commit, command line
data.json           what the model must know of its data: the DataSpec, fingerprint, rows per split, notes
tokenizer.json      (texts) the vocabulary that the model was trained with
conformal.json      (forecasts with task.conformal) margins of the intervals of the best checkpoint
checkpoints/        best.pt, last.pt and, before it, previous.pt
metrics.jsonl       every logged scalar, one line a step
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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from seqtrain.atomic import create, replacing
from seqtrain.errors import Interrupted, Pruned, RunError

PACKAGES = (
    *("seqtrain", "torch", "numpy", "hydra-core", "omegaconf", "datasets", "tokenizers"),
    *("scikit-learn", "seqeval", "tensorboard"),
)


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that a reader sees the old file or the new one, never a part."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file of a run; raises RunError if it is missing or damaged."""
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise RunError(
            f"{path}: cannot be read ({error.strerror}); is {path.parent} the directory of a run?"
        ) from error
    except ValueError as error:
        raise RunError(f"{path}: is not valid JSON ({error}); restore it or train again") from error


def read_json_if_valid(path: Path) -> dict[str, Any]:
    """A JSON file of a run for what it has to say; empty where there is none yet, or it is damaged."""
    with suppress(RunError):
        facts = read_json(path)
        return facts if isinstance(facts, dict) else {}
    return {}


def error_line(error: BaseException) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


@dataclass(frozen=True)
class RunDirectory:
    """Paths and small files of one run."""

    path: Path

    @classmethod
    def claim(cls, path: Path, *, exact: bool, config: str = "") -> "RunDirectory":
        """Take a directory for a new run; of two that try at once, one gets it.

        Args:
            path: the wanted directory, made if absent.
            exact: refuse if a run is there already; otherwise append -2, -3, ... to the name.
            config: content of config.yaml, with which the run can be resumed from its first moment on.

        Raises:
            RunError: if ``exact`` and the directory holds a run, or it cannot be written.
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
                        f"hydra.run.dir={path}: already holds a run; choose another directory, or go on with "
                        f"that run by resume={path}"
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
        """Give the run its identity, which a process killed at once may have left undone."""
        self.checkpoint_path("last").parent.mkdir(exist_ok=True)
        if not self.status_path.exists():
            identity = {"state": "starting", "id": uuid.uuid4().hex, "pid": os.getpid(), "started": now()}
            with suppress(FileExistsError):
                create(self.status_path, json.dumps(identity, indent=2) + "\n")

    @classmethod
    def open(cls, path: str, key: str = "run") -> "RunDirectory":
        """An existing run, named by the user as ``key``; raises RunError if the directory is not one."""
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
        """Path of a checkpoint: ``best``, ``last``, or the ``previous`` one before that."""
        return self.path / "checkpoints" / f"{which}.pt"

    @property
    def id(self) -> str:
        """Identity of the run, also in its checkpoints."""
        return read_json(self.status_path)["id"]

    def update_status(self, **changes: Any) -> None:
        """Merge changes into status.json."""
        write_json(self.status_path, read_json(self.status_path) | changes)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from writing to this run; the lock of a process that dies goes with it.

        Raises:
            RunError: if another process holds it.
        """
        lock = FileLock(self.path / ".lock", timeout=0.5)  # `is_locked` holds it for a moment
        try:
            lock.acquire()
        except Timeout as error:
            pid = read_json(self.status_path).get("pid")
            raise RunError(
                f"{self.path}: is being written by another process ({pid}); wait for it or stop it"
            ) from error
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def recording_outcome(self) -> Iterator[None]:
        """Leave finished, interrupted, pruned or failed, and why, in the status, whatever happens inside."""
        self.update_status(state="running", pid=os.getpid(), error=None, finished=None)
        try:
            yield
        except BaseException as error:
            interrupted = isinstance(error, Interrupted | KeyboardInterrupt)
            state = "interrupted" if interrupted else "pruned" if isinstance(error, Pruned) else "failed"
            with suppress(RunError, OSError):  # a full disk or a directory that is gone: what led here says more
                self.update_status(state=state, error=error_line(error), finished=now())
            raise
        self.update_status(state="finished", finished=now())

    def write_environment(self) -> None:
        """Record what is needed to run this again: versions, git commit, command line."""
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


def is_locked(directory: Path) -> bool:
    """Whether a process is writing to a run."""
    path = directory / ".lock"
    if not path.exists():
        return False
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return True
    except OSError:  # of another user, say: there is no telling
        return False
    lock.release()
    return False


@contextmanager
def writing(path: Path, run: Path) -> Iterator[None]:
    """Turn what the system has against writing a file of a run into an error that says how to go on.

    Raises:
        RunError: for an OSError inside.
    """
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{path}: cannot be written ({error.strerror or error}); what was saved before is whole: make room, or the "
            f"directory writable, and go on by resume={run}"
        ) from error


def now() -> str:
    """Local time with its offset, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def package_version(name: str) -> str | None:
    """Installed version of a package, or None."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def git_commit() -> str | None:
    """Commit of the source tree this package lies in (with ``-dirty`` if changed), or None."""
    try:
        return subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=Path(__file__).parent, capture_output=True, text=True, timeout=5, check=True,
        ).stdout.strip()  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
