"""What reads a run writes nothing into it, and what is damaged in it is named before anything is predicted."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer import event_file_writer

import seqtrain
from seqtrain.cli import commands
from seqtrain.commands.train import resume, train
from seqtrain.config.root import Config
from seqtrain.errors import RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import read_json
from seqtrain.sweeps.ledger import Sweep
from seqtrain.training.tags import ordered
from seqtrain.training.trainer import Trainer

Compose = Callable[..., Config]
STORED = Path(__file__).parents[1] / "stored_runs"
HOME = "/home/someone/experiments"


def stored(tmp_path: Path, name: str) -> Path:
    """A copy of a stored run that finds its data."""
    shutil.copytree(STORED, tmp_path / "stored")
    config = tmp_path / "stored" / name / "config.yaml"
    config.write_text(config.read_text().replace(HOME, str(tmp_path / "stored")))
    return tmp_path / "stored" / name


def contents(run: Path) -> dict[str, tuple[int, bytes]]:
    """Every file of a run: when it was changed, and what is in it."""
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in run.rglob("*") if path.is_file()}


@pytest.mark.parametrize("whole", [True, False])
def test_readers_write_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str], whole: bool) -> None:
    """Neither where the run has no status.json: a new id would not be that of its checkpoints."""
    run = stored(tmp_path, "forecaster")
    if not whole:
        (run / "status.json").unlink()
    (run / "checkpoints/previous.pt").unlink(missing_ok=True)
    before, source = contents(run), f"input={tmp_path}/stored/hours.csv"
    readers: list[tuple[Callable[..., Any], list[str]]] = [
        (commands.evaluate, [f"run={run}"]),
        (commands.predict, [f"run={run}", source]),
        (commands.backtest, [f"run={run}", "stride=40"]),
        (commands.compare, [str(run)]),
        (commands.generate, [f"run={run}"]),
        (lambda _: seqtrain.load(run, device="cpu"), []),
    ]
    for read, arguments in readers:
        try:
            read(arguments)
            assert whole or read is commands.compare
        except RunError as error:
            assert "status.json: cannot be read" in str(error) or read is commands.generate
    assert Sweep(run.parent).job_state(Sweep(run.parent).jobs()[0]).state in ("finished", "waiting")
    assert contents(run) == before and not (run / ".lock").exists()
    capsys.readouterr()


def test_a_run_that_lost_its_id_is_not_given_another(tmp_path: Path) -> None:
    run = stored(tmp_path, "classifier")
    (run / "status.json").unlink()
    with pytest.raises(RunError, match="status.json: cannot be read"):
        commands.resume([f"resume={run}"])
    assert not (run / "status.json").exists()


def test_weights_and_scales_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    run = stored(tmp_path, "forecaster")
    path = run / "checkpoints/best.pt"
    sound = path.read_bytes()
    checkpoint = torch.load(path, weights_only=True)
    name = next(iter(checkpoint["head"]))
    checkpoint["head"][name].view(-1)[0] = math.nan
    torch.save(checkpoint, path)
    source = f"input={tmp_path}/stored/hours.csv"
    readers: list[Callable[[], Any]] = [
        lambda: commands.evaluate([f"run={run}"]),
        lambda: commands.predict([f"run={run}", source]),
        lambda: commands.backtest([f"run={run}"]),
        lambda: seqtrain.load(run, device="cpu").predict(tmp_path / "stored/hours.csv"),
    ]
    for read in readers:
        with pytest.raises(RunError, match=f"best.pt: head: {name} has values that are not finite"):
            read()
    path.write_bytes(sound)
    scaler = json.loads((run / "scaler.json").read_text())
    (run / "scaler.json").write_text(json.dumps(scaler | {"scale": [[0.0]]}))
    for read in readers:
        with pytest.raises(RunError, match="scaler.json: scale of 'load': must be a finite number above 0"):
            read()


@pytest.mark.parametrize(
    "text, said", [("{", "is not valid JSON"), ("[]", "expected an object"), ("[" * 99_999, "JSON")]
)
@pytest.mark.parametrize("name", ["status.json", "data.json", "scaler.json", "conformal.json"])
def test_a_damaged_file_is_one_line(tmp_path: Path, name: str, text: str, said: str) -> None:
    run = stored(tmp_path, "forecaster")
    (run / name).write_text(text)
    with pytest.raises(RunError, match=f"{name}: .*{said}") as error:
        commands.evaluate([f"run={run}"])
    assert "\n" not in str(error.value)


def shown(run: RunDirectory) -> list[tuple[str, int]]:
    """Tags and steps of the scalars that TensorBoard shows, of those that metrics.jsonl has too."""
    events = EventAccumulator(str(run.path))
    events.Reload()
    tags = [tag for tag in events.Tags()["scalars"] if not tag.startswith(("4_best/", "6_baseline/"))]
    only_shown = ("2_train/max_grad_norm", "5_test/monitored")
    return [(tag, e.step) for tag in tags for e in events.Scalars(tag) if tag not in only_shown]


def written(run: RunDirectory) -> list[tuple[str, int]]:
    """Those of metrics.jsonl."""
    lines = [json.loads(line) for line in run.metrics_path.read_text().splitlines()]
    return [(ordered(tag), line["step"]) for line in lines for tag in line if tag != "step"]


def test_scalars_stand_once_after_extensions_and_resumptions(small: Compose, tmp_path: Path) -> None:
    options = ["model=gru", "trainer.schedule=constant", "trainer.log_every=2", "trainer.eval_every=2"]
    config = small(*options, "trainer.max_steps=4")
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    train(config, run)
    longer = small(*options, "trainer.max_steps=6", "trainer.figures=true")
    for saved, wanted in ((config, longer), (longer, longer), (longer, longer)):
        resume(saved, wanted, run)
        assert sorted(shown(run)) == sorted(written(run)) and len(set(shown(run))) == len(shown(run))
        assert {step for tag, step in shown(run) if tag.startswith("5_test/")} == {6}
    assert {step for tag, step in shown(run) if tag == "1_val/accuracy"} == {2, 4, 6}
    events = EventAccumulator(str(run.path), size_guidance={"images": 0})
    events.Reload()
    for tag in events.Tags()["images"]:
        steps = [event.step for event in events.Images(tag)]
        assert len(steps) == len(set(steps)), tag


def test_an_evaluation_that_was_told_but_not_saved_stands_once(
    small: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where both event files begin in one second, and the numbers at the end of their names are 9 and 10."""
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(9))
    config = small("model=gru", "trainer.max_steps=6", "trainer.log_every=2", "trainer.eval_every=4")
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    told = Trainer.tell

    def interrupted(self: Trainer, values: dict[str, float]) -> None:
        told(self, values)
        if "val/accuracy" in values:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "tell", interrupted)
        patch.setattr(Trainer, "validate", saving_first(Trainer.validate))
        train(config, run)
    assert read_json(run.status_path)["state"] == "interrupted"
    resume(config, config, run)
    assert sorted(shown(run)) == sorted(written(run)) and len(set(shown(run))) == len(shown(run))
    assert ("2_train/loss", 4) in shown(run) and ("1_val/accuracy", 4) in shown(run)


def saving_first(validate: Callable[[Trainer], None]) -> Callable[[Trainer], None]:
    """Save before an evaluation, as where a checkpoint is due in time."""

    def saved(self: Trainer) -> None:
        self.save()
        validate(self)

    return saved
