"""What is recorded of where a run was made."""

import shutil
import subprocess
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from seqtrain.runs import environment


def loaded(path: Path) -> Any:
    """The module of a copy of environment.py."""
    spec = spec_from_file_location("copied", path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_commit_is_that_of_the_repository_of_the_package(tmp_path: Path) -> None:
    """Not of one that only encloses it; nothing that its config names is run."""

    def git(*arguments: str) -> str:
        names = ["-c", "user.name=n", "-c", "user.email=e"]
        done = subprocess.run(["git", *names, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    installed = tmp_path / ".venv" / "runs" / "environment.py"
    installed.parent.mkdir(parents=True)
    shutil.copy(environment.__file__, installed)
    assert loaded(installed).git_commit() is None
    git("init", "-q")
    (tmp_path / "own.py").write_text("print()\n")
    git("add", "own.py")
    git("commit", "-qm", "own")
    assert loaded(installed).git_commit() is None
    git("add", "-f", ".venv")
    git("commit", "-qm", "vendored")
    git("config", "core.fsmonitor", "touch ran; false")
    assert loaded(installed).git_commit() == git("-c", "core.fsmonitor=false", "rev-parse", "HEAD")
    (tmp_path / "own.py").write_text("print(1)\n")
    assert loaded(installed).git_commit().endswith("-dirty")
    assert not list(tmp_path.rglob("ran"))
