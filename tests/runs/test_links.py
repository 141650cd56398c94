"""A run or a sweep from elsewhere leads nothing that is written out of itself."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from seqtrain.errors import RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.sweeps.ledger import Sweep

Run = Callable[..., subprocess.CompletedProcess[str]]
STORED = Path(__file__).parents[1] / "stored_runs"
NAMES = [
    *("config.yaml", "status.json", "environment.json", "data.json", "tokenizer.json", "metrics.jsonl", "results.json"),
    *("checkpoints/last.pt", "checkpoints/.last.pt", "checkpoints/previous.pt", "predictions/test.npz", ".lock"),
    *("error.txt", "checkpoints", "predictions", "of-a-plugin.json"),
]


def test_a_run_with_a_link_is_not_resumed(tmp_path: Path, run_in: Callable[[Path], Run]) -> None:
    outside = tmp_path / "outside"
    for number, name in enumerate(NAMES):
        run = shutil.copytree(STORED / "classifier", tmp_path / str(number) / "run")
        config = run / "config.yaml"
        config.write_text(config.read_text().replace("/home/someone/experiments", str(STORED)))
        outside.mkdir()
        path, target = run / name, outside / Path(name).name
        if path.exists():
            shutil.move(path, target)
        else:
            target.write_bytes(b"mine")
        path.symlink_to(target)
        before = {file: file.read_bytes() for file in sorted(outside.rglob("*")) if file.is_file()}
        with pytest.raises(RunError, match="is a link"), RunDirectory(run).locked():
            pass
        if name in ("checkpoints/.last.pt", "predictions"):  # one process for a file and for a folder
            result = run_in(run.parent)("resume=run", "trainer.checkpoint_seconds=59", "device=cpu")
            assert result.returncode == 1 and result.stderr.count("\n") == 1, result.stderr
            assert f"run/{name}: is a link" in result.stderr
        assert before == {file: file.read_bytes() for file in sorted(outside.rglob("*")) if file.is_file()}
        shutil.rmtree(outside)


def test_a_link_above_the_run_is_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "outputs").symlink_to(tmp_path / "disk")
    run = RunDirectory.claim(tmp_path / "outputs" / "run", exact=True)
    (tmp_path / "run").symlink_to(run.path)
    for path in (run.path, tmp_path / "run"):
        with RunDirectory(path).locked():
            pass


@pytest.mark.parametrize("name", ["study.db", "sweep.json", "halted", "optimization_results.yaml", "0-job-abc"])
def test_a_sweep_with_a_link_is_not_continued(tmp_path: Path, name: str) -> None:
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / name).symlink_to(tmp_path / "outside")
    with pytest.raises(RunError, match=f"{name}: is a link"), Sweep(tmp_path / "sweep").locked():
        pass
    assert not (tmp_path / "outside").exists()


def test_a_link_among_the_files_of_the_projector_is_refused(tmp_path: Path) -> None:
    run = shutil.copytree(STORED / "classifier", tmp_path / "run")
    (run / "projector").mkdir()
    (run / "projector/tokens.tsv").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="tokens.tsv: is a link"), RunDirectory(run).locked():
        pass
