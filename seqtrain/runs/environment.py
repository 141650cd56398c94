"""Where and when a run was made: versions, machine, git commit, command line, time."""

import os
import platform
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    *("seqtrain", "torch", "numpy", "hydra-core", "omegaconf", "datasets", "tokenizers"),
    *("scikit-learn", "tensorboard"),
)


def environment() -> dict[str, Any]:
    """What is needed to repeat a run: versions, git commit, command line."""
    return {
        "command": sys.argv,
        "directory": os.getcwd(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "packages": {name: package_version(name) for name in PACKAGES},
        "git_commit": git_commit(),
    }


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
    """Git commit of the repository that tracks this package, with ``-dirty`` if it was changed, or None.

    A repository that only happens to enclose an installed package, in its virtual environment, does not track it.
    """
    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)
        return git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return None


def git(*arguments: str) -> str:
    """Output of a git command in the folder of this file; no command that the repository's own config names is run."""
    return subprocess.run(
        ["git", "-c", "core.fsmonitor=false", *arguments],
        cwd=Path(__file__).parent, capture_output=True, text=True, timeout=5, check=True,
    ).stdout.strip()  # fmt: skip
