import math
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqtrain.commands.build import build_data, build_model
from seqtrain.config.root import Config
from seqtrain.data.series.batch import ForecastBatch
from seqtrain.errors import Interrupted, RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.tasks.base import Evaluation
from seqtrain.training.checkpoint import load_checkpoint
from seqtrain.training.device import seed_everything
from seqtrain.training.trainer import Trainer

Compose = Callable[..., Config]


class Recorder:
    """An observer that keeps all it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, dict[str, float]]] = []

    def scalars(self, step: int, values: dict[str, float]) -> None:
        self.told.append((step, values))

    def media(self, step: int, figures: dict[str, Any], texts: dict[str, str]) -> None:
        self.told.append((step, dict.fromkeys([*figures, *texts], math.nan)))

    def histograms(self, step: int, values: dict[str, Any]) -> None:
        self.told.append((step, dict.fromkeys(values, math.nan)))

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


def parameters(trainer: Trainer) -> Tensor:
    return torch.cat([p.detach().flatten() for p in trainer.parameters])


def test_learns_and_keeps_the_best(small: Compose, tmp_path: Path) -> None:
    trainer, recorder = make(small("trainer.epochs=4", "trainer.log_every=5"), tmp_path / "run")
    best = trainer.fit()
    scores = {step: values["val/accuracy"] for step, values in recorder.told if "val/accuracy" in values}
    assert list(scores) == [17, 34, 51, 68]  # 270 rows in batches of 16
    assert best == max(scores.values()) > 0.9
    assert scores[trainer.progress.best_step] == best
    assert load_checkpoint(tmp_path / "run/checkpoints/best.pt", trainer.run_id)["step"] == trainer.progress.best_step
    assert load_checkpoint(tmp_path / "run/checkpoints/last.pt", trainer.run_id)["step"] == 68
    logged = [step for step, values in recorder.told if "train/loss" in values]
    assert logged == [*range(5, 68, 5), 68]
    assert all(0 <= v["train/padding_waste"] < 0.5 for _, v in recorder.told if "train/loss" in v)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_resumed_equals_uninterrupted(small: Compose, tmp_path: Path, accumulate: int) -> None:
    """Bit for bit, stopped in the middle of the second epoch, with dropout and shuffled batches."""
    options = [
        "trainer.max_steps=20",
        "trainer.eval_every=4",
        f"trainer.accumulate={accumulate}",
        "trainer.log_every=3",
    ]
    whole, told = make(small(*options), tmp_path / "whole")
    whole.fit()
    stopped, _ = make(small(*options), tmp_path / "stopped")
    original = stopped.train_step

    def fail_at_11(group: Any) -> None:
        if stopped.progress.step == 11:
            raise KeyboardInterrupt
        original(group)

    stopped.train_step = fail_at_11  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        stopped.fit()
    resumed, told_again = make(small(*options, "seed=7"), tmp_path / "stopped", new=False)  # other weights, other RNG
    resumed.data.seed = 0  # type: ignore[attr-defined]
    resumed.resume()
    assert resumed.progress.step == 8
    resumed.fit()
    assert torch.equal(parameters(whole), parameters(resumed))
    assert whole.progress.best == resumed.progress.best and whole.progress.best_step == resumed.progress.best_step

    def losses(recorder: Recorder) -> dict[int, float]:
        return {step: v["train/loss"] for step, v in recorder.told if "train/loss" in v and step > 8}

    assert losses(told) == losses(told_again)


@pytest.mark.parametrize("weights", ["none", "balanced", "[1,3]"])
def test_accumulation_equals_one_large_batch(small: Compose, tmp_path: Path, weights: str) -> None:
    """Also for unequal batches and class weights, where the mean of the batches' means would be wrong."""
    plain = ["trainer.optimizer=sgd", "trainer.max_grad_norm=null", "model.dropout=0", "model.embedding.dropout=0"]
    trainer, _ = make(small(*plain, f"task.class_weights={weights}"), tmp_path / "a")
    batches = list(trainer.data.train_batches(0))[:3]
    rows = torch.cat([torch.from_numpy(batch.rows) for batch in batches]).numpy()
    parts = [trainer.data.batch("train", part) for part in (rows[:5], rows[5:37], rows[37:])]  # type: ignore[attr-defined]
    whole = trainer.data.batch("train", rows)  # type: ignore[attr-defined]
    gradients = []
    for group in (parts, [whole]):
        start = [p.detach().clone() for p in trainer.parameters]
        trainer.train_step(group)
        gradients.append(torch.cat([p.grad.flatten().clone() for p in trainer.parameters if p.grad is not None]))
        with torch.no_grad():
            for parameter, value in zip(trainer.parameters, start, strict=True):
                parameter.copy_(value)
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-6, rtol=1e-4)


def test_step_equals_a_bare_torch_loop(small: Compose, tmp_path: Path) -> None:
    options = [
        "trainer.optimizer=adam",
        "trainer.schedule=constant",
        "trainer.warmup_steps=0",
        "trainer.weight_decay=0.1",
    ]
    trainer, _ = make(small(*options), tmp_path / "a")
    seed_everything(0)
    built = build_model(small(*options), trainer.data.spec)
    for module in (built.model, built.head, trainer.model, trainer.head):
        module.double()  # Adam divides by the gradient's size, which magnifies what fp32 rounds
    own = [*built.model.parameters(), *built.head.parameters()]
    optimizer = torch.optim.Adam(own, lr=0.01)
    built.model.train()
    seed_everything(3)
    for batch in list(trainer.data.train_batches(0))[:5]:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(built.head(built.model(batch)[0]).float(), batch.targets)
        loss.backward()
        for parameter in own:
            if parameter.dim() >= 2:
                assert parameter.grad is not None
        torch.nn.utils.clip_grad_norm_(own, 1.0)
        for parameter in own:
            if parameter.dim() >= 2 and parameter.grad is not None:
                parameter.grad += 0.1 * parameter.detach()
        optimizer.step()
    seed_everything(3)
    for batch in list(trainer.data.train_batches(0))[:5]:
        trainer.train_step([batch])
    torch.testing.assert_close(
        parameters(trainer), torch.cat([p.detach().flatten() for p in own]), atol=1e-7, rtol=1e-5
    )


def test_stops_before_a_non_finite_update(small: Compose, tmp_path: Path) -> None:
    trainer, _ = make(small(), tmp_path / "run")
    with torch.no_grad():
        trainer.parameters[-1][0] = math.inf
    before = parameters(trainer)
    with pytest.raises(
        RunError, match=r"step 1: the gradient of \S+ and \d+ other parameters is not finite.*nonfinite"
    ):
        trainer.fit()
    assert torch.equal(before, parameters(trainer)) and trainer.progress.step == 0
    kept = torch.load(tmp_path / "run/nonfinite.pt", weights_only=True)
    batch = next(iter(trainer.data.train_batches(0)))
    assert torch.equal(kept["batches"][0]["inputs"], batch.inputs) and kept["state"] is None
    assert kept["head"].keys() == trainer.head.state_dict().keys()


def test_a_non_finite_step_is_named_where_it_cannot_be_kept(small: Compose, tmp_path: Path) -> None:
    trainer, _ = make(small(), tmp_path / "run")
    (tmp_path / "run/nonfinite.pt").mkdir()
    with torch.no_grad():
        trainer.parameters[-1][0] = math.inf
    with pytest.raises(
        RunError, match=r"the gradient of \S+ and .* were not saved, since \S+nonfinite\.pt cannot be written"
    ):
        trainer.fit()


def test_a_batch_without_a_known_target_does_no_harm(composed: Compose, tmp_path: Path) -> None:
    """Alone it changes nothing, and beside another one it does not count."""
    options = ["data=sine", "data.length=600", "data.lookback=24", "data.horizon=8", "model=nlinear", "device=cpu"]
    trainer, _ = make(composed(*options, "trainer.optimizer=sgd", "trainer.warmup_steps=0"), tmp_path / "run")
    known = next(trainer.data.train_batches(0))
    assert isinstance(known, ForecastBatch)
    empty = replace(known, observed=torch.zeros(known.targets.shape, dtype=torch.bool))
    before = parameters(trainer)
    trainer.train_step([empty])
    assert torch.equal(parameters(trainer), before) and trainer.progress.sums.loss == 0 and trainer.progress.step == 1
    gradients = []
    for group in ([known], [empty, known]):
        trainer.train_step(group)
        gradients.append(torch.cat([p.grad.flatten() for p in trainer.parameters if p.grad is not None]))
        with torch.no_grad():
            nn.utils.vector_to_parameters(before, trainer.parameters)
    torch.testing.assert_close(gradients[0], gradients[1])
    assert gradients[0].any()


def test_a_signal_during_the_last_evaluation_is_heeded(small: Compose, tmp_path: Path) -> None:
    """After its scores, where figures are drawn and checkpoints saved; the run goes on to its end only."""
    trainer, recorder = make(small("trainer.max_steps=4"), tmp_path / "run")
    told = recorder.scalars

    def scalars(step: int, values: dict[str, float]) -> None:
        told(step, values)
        if "val/loss" in values:
            signal.raise_signal(signal.SIGTERM)

    recorder.scalars = scalars  # type: ignore[method-assign]
    with pytest.raises(Interrupted, match=r"SIGTERM; saved at step 4, resume by: seqtrain resume="):
        trainer.fit()
    resumed, told_again = make(small("trainer.max_steps=4"), tmp_path / "run", new=False)
    resumed.resume()
    assert resumed.fit() == trainer.progress.best and not told_again.told


def test_patience(small: Compose, tmp_path: Path) -> None:
    trainer, recorder = make(small("trainer.epochs=50", "trainer.patience=2", "trainer.lr=1e-9"), tmp_path / "run")
    trainer.fit()
    assert trainer.progress.step == 3 * 17  # the accuracy of the first evaluation is the best, two more do not beat it
    losses = {step: values["val/loss"] for step, values in recorder.told if "val/loss" in values}
    assert trainer.progress.best_step == min(losses, key=losses.__getitem__)  # all three have the same accuracy


def test_max_steps_wins_and_the_last_step_is_evaluated(small: Compose, tmp_path: Path) -> None:
    trainer, recorder = make(small("trainer.max_steps=20", "trainer.epochs=1"), tmp_path / "run")
    trainer.fit()
    assert [step for step, values in recorder.told if "val/loss" in values] == [17, 20]


def test_fewest_steps_and_a_number_of_evaluations(small: Compose, tmp_path: Path) -> None:
    options = ["trainer.epochs=null", "trainer.min_epochs=1", "trainer.min_steps=20", "trainer.evaluations=3"]
    trainer, recorder = make(small(*options), tmp_path / "run")
    said = (
        "trainer.min_steps=20: more than the 17 steps of trainer.min_epochs=1; trainer.epochs=1 trains for these alone"
    )
    assert trainer.lengthened() == said
    trainer.fit()
    assert [step for step, values in recorder.told if "val/loss" in values] == [7, 14, 20]
    longer, _ = make(small(*options, "trainer.min_epochs=2", "trainer.eval_every=5"), tmp_path / "longer")
    assert (longer.total_steps, longer.eval_every, longer.lengthened()) == (34, 5, None)
    given, _ = make(small(*options, "trainer.epochs=1"), tmp_path / "given")
    assert (given.total_steps, given.lengthened()) == (17, None)
    fixed, _ = make(small(*options, "trainer.max_steps=4"), tmp_path / "fixed")
    assert (fixed.total_steps, fixed.lengthened()) == (4, None)


@pytest.mark.parametrize(
    ("values", "ends", "message"),
    [
        ([math.nan], 2, "step 2: val/accuracy is nan, so that it cannot choose the best checkpoint .*/last.pt"),
        ([math.inf, math.nan], 4, "step 4: val/accuracy is nan"),
        ([-math.inf, math.inf, -math.inf], 6, "step 6: val/accuracy was not finite at any evaluation"),
        ([math.inf, 0.5, math.nan], 6, None),  # one score is enough
    ],
)
def test_a_monitored_score_that_is_not_finite(
    small: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: list[float], ends: int, message: str | None
) -> None:
    """NaN ends the run where no score has been finite; what it has made is saved, and resuming says the same."""
    measured = iter([*values, *values[-1:]])

    def evaluate(*arguments: Any) -> Evaluation:
        return Evaluation({"accuracy": next(measured)})

    monkeypatch.setattr("seqtrain.training.trainer.evaluate", evaluate)
    options = small("trainer.max_steps=6", "trainer.eval_every=2")
    trainer, _ = make(options, tmp_path / "run")
    if message is None:
        assert trainer.fit() == 0.5 and trainer.progress.best_step == 4
        return
    with pytest.raises(RunError, match=message):
        trainer.fit()
    assert load_checkpoint(tmp_path / "run/checkpoints/last.pt", trainer.run_id)["step"] == ends
    again, _ = make(options, tmp_path / "run", new=False)
    again.resume()
    with pytest.raises(RunError, match=message):
        again.fit()
    assert again.progress.step == ends


def test_histograms_are_told_at_each_evaluation_and_change_nothing(small: Compose, tmp_path: Path) -> None:
    options = ["trainer.max_steps=4", "trainer.eval_every=2", "trainer.figures=false"]
    with_them, recorder = make(small(*options, "trainer.histograms=true"), tmp_path / "with")
    best = with_them.fit()
    without, quiet = make(small(*options), tmp_path / "without")
    assert without.fit() == best
    assert torch.equal(parameters(with_them), parameters(without))
    told = [(step, set(values)) for step, values in recorder.told if any(tag.startswith("weights/") for tag in values)]
    assert [step for step, _ in told] == [2, 4]
    assert {"weights/head.weight", "gradients/head.weight"} <= told[0][1]
    assert not any(tag.startswith("weights/") for _, values in quiet.told for tag in values)
