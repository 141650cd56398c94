"""The health panel beside training: when it is measured, what is stored, and that training does not notice it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from seqtrain.commands.build import build_data, build_model
from seqtrain.commands.train import train
from seqtrain.config.root import Config
from seqtrain.errors import Interrupted
from seqtrain.probe.rules import findings
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import read_record
from seqtrain.runs.records import HealthRecord, Results
from seqtrain.training import health
from seqtrain.training.checkpoint import save_checkpoint
from seqtrain.training.device import seed_everything
from seqtrain.training.health import figures_of
from seqtrain.training.ranks import Ranks
from seqtrain.training.step_sums import StepSums
from seqtrain.training.trainer import Trainer

Compose = Callable[..., Config]


class Recorder:
    """An observer that keeps all it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, dict[str, float]]] = []

    def scalars(self, step: int, values: dict[str, float]) -> None:
        self.told.append((step, values))

    def media(self, step: int, figures: dict[str, Any], texts: dict[str, str]) -> None:
        pass

    def histograms(self, step: int, values: dict[str, Any]) -> None:
        pass

    def close(self) -> None:
        pass


def make(config: Config, path: Path, new: bool = True) -> tuple[Trainer, Recorder]:
    run = RunDirectory.claim(path, exact=True) if new else RunDirectory(path)
    seed_everything(config.seed)
    data = build_data(config)
    built = build_model(config, data.spec)
    trainer = Trainer(config.trainer, built.model, built.head, built.task, data, run, built.device)
    recorder = Recorder()
    trainer.observers = [recorder]
    return trainer, recorder


def parameters(trainer: Trainer) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in trainer.parameters])


def of_panel(told: list[tuple[int, dict[str, float]]]) -> dict[int, dict[str, float]]:
    """The values that were told with each panel, by step."""
    return {step: values for step, values in told if "probe/memory/row_length" in values}


@pytest.fixture
def plain(small: Compose) -> Compose:
    """The small configuration with torch's layers, whose kernels need no compiling."""
    return lambda *overrides: small("model.kernel=torch", *overrides)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Panels may be three steps apart."""
    monkeypatch.setattr(health, "STEPS_BETWEEN", 3)


@pytest.mark.usefixtures("often")
def test_training_is_the_same_with_and_without(plain: Compose, tmp_path: Path) -> None:
    runs = []
    for probe in ("true", "false"):
        config = plain("trainer.max_steps=9", "trainer.eval_every=3", f"trainer.probe={probe}")
        trainer, recorder = make(config, tmp_path / probe)
        trainer.fit()
        losses = [values["train/loss"] for _, values in recorder.told if "train/loss" in values]
        scores = [values["val/loss"] for _, values in recorder.told if "val/loss" in values]
        runs.append((parameters(trainer), losses, scores, torch.get_rng_state(), list(of_panel(recorder.told))))
    (with_, *same, states, steps), (without, *as_well, states_too, none) = runs
    assert torch.equal(with_, without) and torch.equal(states, states_too)
    assert same == as_well
    assert (steps, none) == ([3, 6, 9], [])


def test_panels_keep_their_distance(plain: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "STEPS_BETWEEN", 5)
    config = plain("trainer.max_steps=13", "trainer.eval_every=2", "trainer.probe=true")
    trainer, recorder = make(config, tmp_path / "a")
    trainer.fit()
    panels = of_panel(recorder.told)
    assert list(panels) == [2, 8, 13]  # of evaluations at 2, 4, ..., 12, 13
    assert all("probe/optimisation/update_ratio/head" in values for values in panels.values())
    ratios = {values["probe/optimisation/update_ratio/head"] for values in panels.values()}
    assert len(ratios) == 3  # each of its own step


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("at, due", [(6, False), (4, True)])
def test_a_resumed_run_makes_the_same_steps_and_panels(plain: Compose, tmp_path: Path, at: int, due: bool) -> None:
    """It is cut between two evaluations, or between a step and its evaluation."""
    config = plain("trainer.max_steps=8", "trainer.eval_every=4", "trainer.probe=true", "trainer.average=ema")
    whole, recorder = make(config, tmp_path / "whole")
    whole.fit()
    cut, before = make(config, tmp_path / "cut")

    def stop() -> bool:
        if cut.progress.step == at and cut.progress.evaluation_due == due:
            raise Interrupted(15, orderly=True)
        return False

    cut.poll = stop  # type: ignore[method-assign]
    with pytest.raises(Interrupted):
        cut.fit()
    resumed, after = make(config, tmp_path / "cut", new=False)
    resumed.resume()
    resumed.fit()
    assert torch.equal(parameters(whole), parameters(resumed))
    assert of_panel(before.told + after.told) == of_panel(recorder.told)
    assert any(tag.startswith("probe/optimisation/update_ratio/head") for tag in of_panel(after.told)[8])
    records = [t.health.verdict(t.progress.watched, t.model, t.head, 8) for t in (whole, resumed)]
    assert records[0] == records[1]


def test_a_run_of_an_earlier_version_goes_on_with_panels(plain: Compose, tmp_path: Path) -> None:
    """Its checkpoint knows nothing of panels, and its configuration not of the option, which is then on."""
    options = ["trainer.max_steps=8", "trainer.eval_every=4"]
    whole, _ = make(plain(*options, "trainer.probe=false"), tmp_path / "whole")
    whole.fit()
    cut, _ = make(plain(*options, "trainer.probe=false"), tmp_path / "cut")
    cut.poll = lambda: cut.progress.step == 6  # type: ignore[method-assign]
    cut.save = lambda: None if cut.progress.step == 8 else Trainer.save(cut)  # type: ignore[method-assign]
    cut.fit()
    path = cut.run.checkpoint_path("last")
    saved = torch.load(path, weights_only=True)
    del saved["watched"]
    for own in saved["ranks"]:
        own["window"] = {name: value for name, value in own["window"].items() if name not in ("steps", "clipped")}
    save_checkpoint(path, saved)
    resumed, recorder = make(plain(*options, "trainer.probe=true"), tmp_path / "cut", new=False)
    resumed.resume()
    assert resumed.progress.step == 6
    resumed.fit()
    assert torch.equal(parameters(whole), parameters(resumed))
    assert list(of_panel(recorder.told)) == [8]


def test_the_figure_of_gradients_by_lag_is_drawn_from_the_record() -> None:
    record = HealthRecord(3, {}, {}, [1.0, None, 0.001])
    assert list(figures_of(record)) == ["probe/gradient_by_lag"]
    assert figures_of(HealthRecord(3, {}, {})) == {}
    assert record.words == "nothing unusual"
    assert HealthRecord(3, {}, {"clips": "a", "drifts": "b"}).words == "a; b"


def test_only_the_first_process_measures(plain: Compose, tmp_path: Path) -> None:
    trainer, _ = make(plain("trainer.probe=true"), tmp_path / "a")
    assert trainer.health.enabled
    second = Trainer(
        trainer.config, trainer.model, trainer.head, trainer.task, trainer.data, trainer.run, trainer.device,
        Ranks(1, 1),
    )  # fmt: skip
    assert not second.health.enabled
    assert second.health.verdict(second.progress.watched, second.model, second.head, 0) is None


def test_training_with_faults_is_told(plain: Compose, tmp_path: Path) -> None:
    options = ["trainer.max_steps=4", "trainer.log_every=2", "trainer.max_grad_norm=1e-6", "trainer.eval_every=1"]
    config = plain(*options, "trainer.probe=true", "trainer.optimizer=sgd", "trainer.lr=1e7", "trainer.warmup_steps=0")
    trainer, recorder = make(config, tmp_path / "a")
    trainer.fit()
    tag = "probe/optimisation/clipped"
    assert [values[tag] for _, values in recorder.told if tag in values] == [1.0, 1.0]
    assert {"clips", "moves_much"} <= findings(trainer.progress.watched.measures).keys()


def test_the_share_of_clipped_steps() -> None:
    sums = StepSums()
    for norm in (0.5, 2.0, 1.0, 3.0):
        sums.add(1.0, 0.0, 1.0, norm, 1.0, [])
    assert (sums.steps, sums.clipped) == (4, 2)


def test_nothing_is_measured_if_it_is_off(plain: Compose, tmp_path: Path) -> None:
    trainer, recorder = make(plain("trainer.max_steps=2", "trainer.probe=false"), tmp_path / "a")
    trainer.fit()
    assert not [tag for _, values in recorder.told for tag in values if tag.startswith("probe/")]
    assert trainer.health.verdict(trainer.progress.watched, trainer.model, trainer.head, 2) is None


def test_the_verdict_is_of_the_model_it_is_given(plain: Compose, tmp_path: Path) -> None:
    trainer, _ = make(plain("trainer.max_steps=1", "trainer.probe=true", "model=rnn"), tmp_path / "a")
    trainer.fit()
    with torch.no_grad():
        for name, parameter in trainer.model.named_parameters():
            if "weight_ih" in name:
                parameter.normal_(std=1e4)
    record = trainer.health.verdict(trainer.progress.watched, trainer.model, trainer.head, step=0)
    assert record is not None and "of the tanh values are beyond 0.9" in record.words
    assert record.values["probe/memory/row_length"] > 0 and len(record.gradient_by_lag) > 1


def test_a_finished_run_stores_its_panel(plain: Compose, tmp_path: Path) -> None:
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    train(plain("trainer.max_steps=2", "trainer.probe=true"), run)
    record = read_record(HealthRecord, run.health_path)
    assert record.step == 2
    lines = [json.loads(line) for line in run.metrics_path.read_text().splitlines()]
    told = next(line for line in lines if "probe/memory/row_length" in line)
    assert record.values.items() >= {tag: value for tag, value in told.items() if tag.startswith("probe/")}.items()
    assert record.values["probe/optimisation/clipped"] in (0, 0.5, 1)
    assert Results.read(run.results_path).remarks["health"] == record.words
