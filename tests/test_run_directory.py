import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from seqtrain.errors import RunError
from seqtrain.runs.directory import RunDirectory


def test_runs_that_start_at_once_get_a_directory_each(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda _: RunDirectory.claim(tmp_path / "run", exact=False), range(16)))
    assert len({run.path for run in runs}) == len({run.id for run in runs}) == 16
    assert {run.path.name for run in runs} == {"run", *(f"run-{i}" for i in range(2, 17))}


def test_a_named_directory_is_never_taken_twice(tmp_path: Path) -> None:
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    before = run.status_path.read_text()
    with pytest.raises(RunError, match="already holds a run.*resume="):
        RunDirectory.claim(tmp_path / "run", exact=True)
    assert run.status_path.read_text() == before


def test_the_directory_of_a_run_that_failed_before_its_first_step_is_free(tmp_path: Path) -> None:
    """So that a command with its mistake mended can be given as it was."""
    run = RunDirectory.claim(tmp_path / "run", exact=True, config="first")
    with pytest.raises(ZeroDivisionError), run.recording_outcome():
        run.init_path.write_text("{}")
        1 / 0  # noqa: B018
    first = run.id
    assert RunDirectory.claim(tmp_path / "run", exact=True, config="second") == run
    assert run.config_path.read_text() == "second" and run.id != first and not run.init_path.exists()
    with pytest.raises(ZeroDivisionError), run.recording_outcome():
        run.metrics_path.write_text("{}\n")
        1 / 0  # noqa: B018
    with pytest.raises(RunError, match="already holds a run"):
        RunDirectory.claim(tmp_path / "run", exact=True)
    assert run.config_path.read_text() == "second"


def test_unwritable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        RunDirectory.claim(tmp_path / "file" / "run", exact=True)


def test_open_refuses_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such directory"):
        RunDirectory.open(str(tmp_path / "none"))
    with pytest.raises(RunError, match="not the directory of a run"):
        RunDirectory.open(str(tmp_path))


def test_outcome_is_recorded(tmp_path: Path) -> None:
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    with pytest.raises(ZeroDivisionError), run.recording_outcome():
        assert json.loads(run.status_path.read_text())["state"] == "running"
        1 / 0  # noqa: B018
    status = json.loads(run.status_path.read_text())
    assert status["state"] == "failed" and status["error"].startswith("ZeroDivisionError")
    with run.recording_outcome():
        pass
    status = json.loads(run.status_path.read_text())
    assert status["state"] == "finished" and status["error"] is None


def test_one_process_writes_at_a_time(tmp_path: Path) -> None:
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    run.config_path.touch()
    with run.locked():
        code = f"from seqtrain.runs.directory import RunDirectory as R; R.open({str(run.path)!r}).locked().__enter__()"
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert "is being written by another process" in result.stderr
    with run.locked():
        pass
