"""The health panel beside training: what it costs, and that training does not notice it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from seqtrain.commands.build import build_data, build_model
from seqtrain.config.root import Config
from seqtrain.errors import Interrupted
from seqtrain.probe.panel import Panel, Rows
from seqtrain.probe.rules import findings
from seqtrain.runs.directory import RunDirectory
from seqtrain.training import health
from seqtrain.training.device import seed_everything
from seqtrain.training.ranks import Ranks
from seqtrain.training.step_sums import StepSums
from seqtrain.training.trainer import Trainer

Compose = Callable[..., Config]


class Recorder:
    """An observer that keeps all it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, dict[str, float]]] = []
        self.figures: list[str] = []

    def scalars(self, step: int, values: dict[str, float]) -> None:
        self.told.append((step, values))

    def media(self, step: int, figures: dict[str, Any], texts: dict[str, str]) -> None:
        self.figures += figures

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


def of_panel(told: list[tuple[int, dict[str, float]]]) -> list[int]:
    """Steps at which a panel was told."""
    return [step for step, values in told if "memory/row_length" in values]


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """A panel at each evaluation, whatever it takes."""
    monkeypatch.setattr(health, "MAX_PROBING_SHARE", 1e9)


@pytest.mark.usefixtures("always")
def test_training_is_the_same_with_and_without(small: Compose, tmp_path: Path) -> None:
    runs = []
    for probe in ("true", "false"):
        trainer, recorder = make(small("trainer.max_steps=9", "trainer.eval_every=3", f"trainer.probe={probe}"),
                                 tmp_path / probe)  # fmt: skip
        trainer.fit()
        losses = [values["train/loss"] for _, values in recorder.told if "train/loss" in values]
        scores = [values["val/loss"] for _, values in recorder.told if "val/loss" in values]
        runs.append((parameters(trainer), losses, scores, torch.get_rng_state(), of_panel(recorder.told)))
    (with_, *same, states, steps), (without, *as_well, states_too, none) = runs
    assert torch.equal(with_, without) and torch.equal(states, states_too)
    assert same == as_well
    assert (steps, none) == ([3, 6, 9], [])


@pytest.mark.usefixtures("always")
def test_a_resumed_run_makes_the_same_steps_and_panels(small: Compose, tmp_path: Path) -> None:
    config = small("trainer.max_steps=8", "trainer.eval_every=4", "trainer.probe=true", "trainer.average=ema")
    whole, recorder = make(config, tmp_path / "whole")
    whole.fit()
    cut, _ = make(config, tmp_path / "cut")

    def stop() -> bool:
        if cut.progress.step == 6:
            raise Interrupted(15, orderly=True)
        return False

    cut.poll = stop  # type: ignore[method-assign]
    with pytest.raises(Interrupted):
        cut.fit()
    resumed, after = make(config, tmp_path / "cut", new=False)
    resumed.resume()
    resumed.fit()
    assert torch.equal(parameters(whole), parameters(resumed))
    measured = [values for step, values in recorder.told if step == 8 and "memory/row_length" in values]
    assert [values for step, values in after.told if step == 8 and "memory/row_length" in values] == measured
    assert any(tag.startswith("optimisation/update_ratio/head") for tag in measured[0])


def test_panels_stay_within_their_share_of_the_time(
    small: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a simulated clock there are 10 s between evaluations, and a panel takes 2 s."""
    trainer, _ = make(small("trainer.probe=true"), tmp_path / "run")
    now = 1000.0

    def measure(*_: Any) -> Panel:
        nonlocal now
        now += 2
        return Panel({"memory/row_length": 1.0}, None)

    monkeypatch.setattr(health.time, "monotonic", lambda: now)
    monkeypatch.setattr(health, "measure", measure)
    own, start = trainer.health, now
    own.started, own.rows = now, Rows.of(trainer.data, trainer.device)
    measured = []
    for number in range(40):
        now += 10
        values, figures = own.evaluated(trainer.model, trainer.head, draw=False)
        assert figures == {}
        measured += [number] if values else []
    assert measured[:2] == [0, 13]  # 4 s are 3 % of 134 s
    assert own.spent == 2 * len(measured) <= 0.03 * (now - start)


def test_only_the_first_panel_is_sure(small: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "MAX_PROBING_SHARE", 0.0)
    trainer, recorder = make(small("trainer.max_steps=6", "trainer.eval_every=2", "trainer.probe=true"), tmp_path / "a")
    trainer.fit()
    assert of_panel(recorder.told) == [2]


def test_the_figure_of_gradients_by_lag_comes_with_the_others(small: Compose, tmp_path: Path) -> None:
    options = ["trainer.max_steps=1", "trainer.probe=true", "trainer.figures=true", "task=classification"]
    trainer, recorder = make(small(*options), tmp_path / "a")
    trainer.fit()
    assert "gradient_by_lag" in recorder.figures


def test_only_the_first_process_measures(small: Compose, tmp_path: Path) -> None:
    trainer, _ = make(small("trainer.probe=true"), tmp_path / "a")
    assert trainer.health.enabled
    second = Trainer(
        trainer.config, trainer.model, trainer.head, trainer.task, trainer.data, trainer.run, trainer.device,
        Ranks(1, 1),
    )  # fmt: skip
    assert not second.health.enabled and second.health.verdict(second.model, second.head) is None


def test_training_with_faults_is_told(small: Compose, tmp_path: Path) -> None:
    options = ["trainer.max_steps=4", "trainer.log_every=2", "trainer.max_grad_norm=1e-6", "trainer.probe=true"]
    trainer, recorder = make(small(*options, "trainer.optimizer=sgd", "trainer.lr=1e7", "trainer.warmup_steps=0"),
                             tmp_path / "a")  # fmt: skip
    trainer.fit()
    clipped = [values["optimisation/clipped"] for _, values in recorder.told if "optimisation/clipped" in values]
    assert clipped == [1.0, 1.0]
    found = findings(trainer.health.of_steps | trainer.health.of_updates)
    assert {"clips", "moves_much"} <= found.keys()


def test_the_share_of_clipped_steps() -> None:
    sums = StepSums()
    for norm in (0.5, 2.0, 1.0, 3.0):
        sums.add(1.0, 0.0, 1.0, norm, 1.0, [])
    assert (sums.steps, sums.clipped) == (4, 2)
    assert StepSums(steps=3).clipped == 0


def test_nothing_is_measured_if_it_is_off(small: Compose, tmp_path: Path) -> None:
    trainer, recorder = make(small("trainer.max_steps=2", "trainer.probe=false"), tmp_path / "a")
    trainer.fit()
    groups = ("memory/", "gates/", "attention/", "optimisation/")
    assert not [tag for _, values in recorder.told for tag in values if tag.startswith(groups)]
    assert trainer.health.verdict(trainer.model, trainer.head) is None


def test_the_verdict_is_of_the_model_it_is_given(small: Compose, tmp_path: Path) -> None:
    trainer, _ = make(small("trainer.max_steps=1", "trainer.probe=true", "model=rnn"), tmp_path / "a")
    trainer.fit()
    with torch.no_grad():
        for name, parameter in trainer.model.named_parameters():
            if "weight_ih" in name:
                parameter.normal_(std=1e4)
    assert "of the tanh values are beyond 0.9" in (trainer.health.verdict(trainer.model, trainer.head) or "")
    assert isinstance(trainer.health.measure(trainer.model, trainer.head), Panel)
