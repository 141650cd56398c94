"""``debug=``, ``budget.params=`` and ``lr-find`` through the real command line."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from seqtrain.cli.composed import lr_find
from seqtrain.errors import ConfigError

Run = Callable[..., subprocess.CompletedProcess[str]]
Fails = Callable[..., None]

SMALL = [
    "data=text_files", "data.batch_size=16", "data.min_count=1", "data.vocab_size=100", "device=cpu",
    "model.embedding.embed_dim=12", "model.hidden_size=10", "trainer.lr=0.01", "trainer.baselines=false",
    "trainer.figures=false", "trainer.probe=false",
]  # fmt: skip


@pytest.fixture
def seqtrain(run_in: Callable[[Path], Run], tmp_path: Path) -> Run:
    """The command in an empty folder."""
    return run_in(tmp_path)


@pytest.mark.parametrize("mode", ["dry", "overfit", "profile"])
def test_short_runs_have_directories_of_their_own(seqtrain: Run, reviews: Path, tmp_path: Path, mode: str) -> None:
    result = seqtrain(*SMALL, f"data.path={reviews}", f"debug={mode}")
    assert result.returncode == 0, result.stderr
    (run,) = (tmp_path / "outputs").iterdir()
    assert run.name.startswith(f"{mode}-text_files-gru_attn-2")
    shown = {"dry": "of the first 2 batches of each split", "overfit": '"learned": true', "profile": "trace of 5 steps"}
    assert shown[mode] in result.stdout


def test_debug_is_a_group_like_the_others(seqtrain: Run, fails: Fails) -> None:
    assert "dry, none, overfit, profile" in seqtrain("--help").stdout
    fails(seqtrain("debug=overfitt"), "debug=overfitt", "did you mean overfit")
    assert "mode: dry" in seqtrain("+experiment=tiny_shakespeare_lstm", "debug=dry", "--cfg", "job").stdout


def test_lr_find(seqtrain: Run, fails: Fails, reviews: Path, tmp_path: Path) -> None:
    result = seqtrain("lr-find", *SMALL, f"data.path={reviews}", "model=gru", "low=1e-4", "steps=30")
    assert result.returncode == 0, result.stderr
    printed = json.loads(result.stdout)
    (directory,) = (tmp_path / "outputs").iterdir()
    assert directory.name.startswith("lr-find-text_files-gru-2")
    assert (tmp_path / printed["figure"]).read_bytes().startswith(b"\x89PNG")
    assert "learning rates from 0.0001 to 10 over 30 steps" in result.stderr
    fails(seqtrain("eval", f"run={directory}"), "is not the directory of a run")

    fails(seqtrain("lr-find", *SMALL, "data.path=nowhere.csv", "steps=30"), "nowhere.csv: no such file")
    assert len(list((tmp_path / "outputs").iterdir())) == 1


def test_lr_find_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments, message in (
        (["steps=many"], "steps=many: must be a whole number"),
        (["-m", "seed=1,2"], "leave -m out"),
    ):
        with pytest.raises(ConfigError, match=message):
            lr_find(arguments)
    for name, value in {"WORLD_SIZE": "2", "RANK": "0", "MASTER_PORT": "29500", "MASTER_ADDR": "localhost"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="leave torchrun out"):
        lr_find([])


def test_budget(seqtrain: Run, fails: Fails, reviews: Path, tmp_path: Path) -> None:
    result = seqtrain(*SMALL, f"data.path={reviews}", "model=gru", "budget.params=3k", "debug=dry", "hydra.run.dir=run")
    assert result.returncode == 0, result.stderr
    assert "budget.params=3k: model.hidden_size=16 (" in result.stderr
    assert "found: " in (tmp_path / "run/config.yaml").read_text()
    fails(seqtrain("eval", "run=run", "budget.params=4k"), "budget.params: is fixed by the trained run")
