"""Where scripts/check-results runs the commands of a recipe that begins from another run."""

import subprocess
from pathlib import Path

import pytest

from recording import runs
from recording.record import Recipe
from seqtrain.errors import UserError

COMMANDS = ["seqtrain data=stdlib hydra.run.dir=outputs/lm", "seqtrain data=docstrings init=outputs/lm"]
RECIPE = Recipe("a model that begins from another", "Texts", COMMANDS, "accuracy", "test", floor=0.01)


def test_all_runs_lie_in_the_folder_of_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed: list[list[str]] = []
    monkeypatch.setattr(runs, "seqtrain", typed.append)
    runs.run(RECIPE, [0, 1], tmp_path / "a")
    first, last = typed
    assert first == ["data=stdlib", f"hydra.run.dir={tmp_path}/a/lm"]
    assert last == ["-m", "data=docstrings", f"init={tmp_path}/a/lm", "seed=0,1", f"hydra.sweep.dir={tmp_path}/a/seeds"]
    assert runs.place_of(RECIPE.preparations[0], tmp_path / "a") == tmp_path / "a" / "lm"
    with pytest.raises(UserError, match="has no hydra.run.dir=outputs/<name>"):
        runs.place_of(["data=stdlib"], tmp_path)


def test_a_command_that_fails_ends_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 1))
    with pytest.raises(UserError, match="^seqtrain data=no: ended with 1, see above$"):
        runs.seqtrain(["data=no"])


@pytest.mark.parametrize(("head", "changed", "expected"), [
    ("b" * 40, "", "b" * 12),  # what has changed is no code
    ("b" * 40, " M seqtrain/paths.py", f"{'b' * 12}-dirty"),
    ("c" * 40, "", f"{'b' * 12}-dirty"),
])  # fmt: skip
def test_the_commit_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: str, changed: str, expected: str
) -> None:
    monkeypatch.setattr(runs, "git", lambda *words: {"rev-parse": head, "status": changed}[words[0]])
    (tmp_path / "environment.json").write_text(f'{{"git_commit": "{"b" * 40}-dirty"}}')
    assert runs.commit_of(tmp_path) == expected
    (tmp_path / "environment.json").write_text('{"git_commit": null}')
    assert runs.commit_of(tmp_path) == "unknown"
