"""What a run with gradual unfreezing says, and what its results are."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from seqtrain.commands.train import resume, train
from seqtrain.config.root import Config
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import read_json
from seqtrain.training.checkpoint import load_checkpoint

Compose = Callable[..., Config]

MODEL = ["model=gru", "model.kernel=torch", "data.batch_size=64"]  # 270 rows: 5 steps an epoch
PLAN = "trainer.unfreeze=1: head trains from the start, encoder after 1, embedding after 2 epochs"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["trainer.max_steps=6"], "trainer.unfreeze=1: the run ends at step 6, before embedding can train"),
        (
            ["trainer.epochs=4", "trainer.patience=1", "trainer.lr=1e-9"],
            "trainer.unfreeze=1: the run ends at step 10, before embedding can train",
        ),
        (["trainer.max_steps=11"], None),
    ],
)
def test_what_is_never_trained_is_said(
    small: Compose, tmp_path: Path, caplog: pytest.LogCaptureFixture, options: list[str], said: str | None
) -> None:
    """By the length, before the run; by patience, after it. All parameters are counted, as without the option."""
    caplog.set_level("INFO")
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    train(small(*MODEL, *options, "trainer.unfreeze=1"), run)
    assert PLAN in caplog.messages
    assert [message for message in caplog.messages if "before" in message] == ([] if said is None else [said])
    whole = RunDirectory.claim(tmp_path / "whole", exact=True)
    train(small(*MODEL, "trainer.max_steps=1"), whole)
    assert read_json(run.results_path)["parameters"] == read_json(whole.results_path)["parameters"]


def test_a_longer_run_trains_the_rest(small: Compose, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    options = [*MODEL, "trainer.unfreeze=1", "trainer.schedule=constant"]
    run = RunDirectory.claim(tmp_path / "run", exact=True)

    def trained(step: int) -> Tensor:
        saved = load_checkpoint(run.checkpoint_path("last"), run.id)
        assert saved["step"] == step
        vectors: Tensor = saved["model"]["embedding.weight"]
        return vectors

    train(small(*options, "trainer.max_steps=5"), run)
    assert "the run ends at step 5, before encoder, embedding can train" in caplog.text
    before = trained(5)
    caplog.clear()
    resume(small(*options, "trainer.max_steps=5"), small(*options, "trainer.max_steps=11"), run)
    assert "resuming from step 5" in caplog.messages and "before" not in caplog.text
    assert not torch.equal(trained(11), before)
