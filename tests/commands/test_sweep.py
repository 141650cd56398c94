from pathlib import Path
from typing import Any

import pytest
import torch

from seqtrain.commands.sweep import record_failure, resumed_config, run_trial, share_machine
from seqtrain.config.loading import differences
from seqtrain.runs.directory import RunDirectory
from seqtrain.sweeps.ledger import Sweep, read_job_state


def test_jobs_at_once_take_gpus_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    said = [share_machine("auto", position) for position in (0, 1, 2, 3)]
    assert taken == [0, 1, 2, 0] and said[1].endswith(", GPU 1)")
    assert share_machine("cpu", 1).endswith("thread)") and share_machine("auto", None) == "" and len(taken) == 4
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    share_machine("auto", 1)
    assert len(taken) == 4


def test_a_trial_in_a_process_of_its_own_takes_a_gpu_and_has_a_label(
    monkeypatch: pytest.MonkeyPatch, composed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken: list[int] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    monkeypatch.setattr("seqtrain.commands.train.train", lambda config, run: print("at work") or 0.5)
    config, sweep = composed("data=adding", "sweep.trial=7"), Sweep(tmp_path)
    sweep.write_plan([], [])
    for mine in (True, False):
        if not mine:
            monkeypatch.setattr("os.getpid", lambda: -1)
        assert run_trial(config, RunDirectory(tmp_path / "run"), sweep, position=4) == 0.5
        assert capsys.readouterr().out == ("at work\n" if mine else "[7] at work\n")
        assert taken == ([] if mine else [1])


def test_a_job_goes_on_with_its_own_options_but_for_those_that_change_no_result(composed: Any) -> None:
    saved = composed("data=docstrings", "trainer.lr=0.1", "device=cuda:7")
    now = composed("data=docstrings", "trainer.lr=0.2", "device=cpu", "data.eval_batch_tokens=9999",
                   "trainer.checkpoint_seconds=5", "trainer.log_every=7", "sweep.on_error=stop")  # fmt: skip
    taken = {"device", "data.eval_batch_tokens", "trainer.checkpoint_seconds", "trainer.log_every"}
    assert set(differences(saved, resumed_config(saved, now))) == taken
    assert saved.device == "cuda:7"
    generated = composed("data=adding")  # has no eval_batch_tokens
    assert not set(differences(generated, resumed_config(generated, generated)))


def test_a_failure_is_recorded_as_far_as_the_disk_allows(tmp_path: Path) -> None:
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    try:
        raise ValueError("one line\nand another")
    except ValueError as error:
        record_failure(run, error)
        record_failure(RunDirectory(tmp_path / "gone"), error)
    job_state = read_job_state(run.path)
    assert (job_state.state, job_state.error) == ("failed", "ValueError: one line")
    assert 'raise ValueError("one line' in (run.path / "error.txt").read_text()
