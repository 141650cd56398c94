"""Averages of the weights against plain recurrences in NumPy, and what a run keeps of them."""

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seqtrain.commands.build import build_data, build_model
from seqtrain.config.root import Config
from seqtrain.config.trainer import Average, TrainerConfig
from seqtrain.errors import ConfigError
from seqtrain.runs.directory import RunDirectory
from seqtrain.tasks.language.heads import SoftmaxHead
from seqtrain.training.averaging import Averaging
from seqtrain.training.checkpoint import load_checkpoint
from seqtrain.training.device import seed_everything
from seqtrain.training.evaluation import evaluate
from seqtrain.training.trainer import Trainer

Compose = Callable[..., Config]
Pair = tuple[nn.Module, nn.Module]


def make(config: TrainerConfig, maximize: bool = False, seed: int = 0) -> tuple[Pair, Averaging]:
    """A model and a head that is tied to it."""
    torch.manual_seed(seed)
    embedding = nn.Embedding(7, 3)
    pair = embedding, SoftmaxHead(3, 7, None, embedding)
    return pair, Averaging(config, *pair, maximize)


def flat(*modules: nn.Module) -> np.ndarray:
    """All parameters, in float64."""
    return torch.cat([p.detach().flatten() for p in nn.ModuleList(modules).parameters()]).double().numpy()


@torch.no_grad()
def step(pair: Pair, averaging: Averaging, number: int) -> np.ndarray:
    """Random new weights, as an optimizer's step number ``number`` might give; returns them."""
    generator = torch.Generator().manual_seed(number)
    for parameter in nn.ModuleList(pair).parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator))
    averaging.update()
    return flat(*pair)


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.999])
def test_ema_equals_its_recurrence(decay: float) -> None:
    """The first step's weights begin it; the decay rises as (1 + n) / (10 + n) after n steps."""
    pair, averaging = make(TrainerConfig(average=Average.ema, ema_decay=decay))
    assert averaging.modules() == pair  # nothing to average yet
    mean = step(pair, averaging, 0)
    np.testing.assert_allclose(flat(*averaging.modules()), mean)
    for n in range(1, 30):
        rate = min(decay, (1 + n) / (10 + n))
        mean = rate * mean + (1 - rate) * step(pair, averaging, n)
        averaging.observe(1e9 * n)  # means nothing here
        np.testing.assert_allclose(flat(*averaging.modules()), mean, atol=1e-5)


def test_none_keeps_the_own_weights() -> None:
    pair, averaging = make(TrainerConfig())
    for n in range(3):
        step(pair, averaging, n)
        averaging.observe(float(n))
    assert averaging.modules() == pair
    assert averaging.state_dict()["averaged"] is None
    averaging.load_state_dict(averaging.state_dict())
    assert averaging.modules() == pair


def beginning(losses: list[float], interval: int) -> int | None:
    """The first t > n with v_t > min over l = 0 ... t - n - 1 of v_l, as algorithm 1 and the authors' code have it."""
    for t in range(interval + 1, len(losses)):
        if any(losses[t] > losses[before] for before in range(t - interval)):
            return t
    return None


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("interval", [1, 2, 3, 5, 8])
def test_nt_asgd_begins_when_it_says(interval: int, maximize: bool) -> None:
    """Over many courses of a score, falling and noisy."""
    rng = random.Random(interval)
    begun = set()
    for _ in range(100):
        losses = [rng.choice([1, 3]) * rng.random() - 0.1 * t for t in range(20)]
        _, averaging = make(TrainerConfig(average=Average.nt_asgd, nonmonotone_interval=interval), maximize)
        expected = beginning(losses, interval)
        for t, loss in enumerate(losses):
            averaging.observe(-loss if maximize else loss)
            assert averaging.started == (expected is not None and t >= expected), (losses, t)
        begun.add(expected)
    assert min(t for t in begun if t is not None) == interval + 1 and len(begun) > 3


def test_nt_asgd_does_not_begin_before_the_interval_has_passed() -> None:
    """However bad the scores; one that is as good as the best begins nothing either."""
    _, averaging = make(TrainerConfig(average=Average.nt_asgd, nonmonotone_interval=5))
    for score in (1.0, 9.0, 8.0, 9.0, 9.0, 9.0, 1.0, 1.0):
        averaging.observe(score)
        assert not averaging.started
    averaging.observe(1.1)
    assert averaging.started


def test_nt_asgd_is_the_plain_mean_of_the_weights_that_follow() -> None:
    pair, averaging = make(TrainerConfig(average=Average.nt_asgd, nonmonotone_interval=1))
    step(pair, averaging, 0)
    averaging.observe(1.0)
    step(pair, averaging, 1)
    assert averaging.modules() == pair
    averaging.observe(2.0)
    step(pair, averaging, 2)
    averaging.observe(2.0)
    assert averaging.modules() == pair  # not before the first step of the mean
    weights = []
    for n in range(3, 12):
        weights.append(step(pair, averaging, n))
        averaging.observe(-float(n))  # better ones do not stop it
        assert averaging.modules() != pair
        np.testing.assert_allclose(flat(*averaging.modules()), np.mean(weights, 0), atol=1e-6)


@pytest.mark.parametrize("average", [Average.ema, Average.nt_asgd])
def test_tied_weights_stay_tied(average: Average) -> None:
    pair, averaging = make(TrainerConfig(average=average, nonmonotone_interval=1))
    for n in range(4):
        step(pair, averaging, n)
        averaging.observe(float(n))
    model, head = averaging.modules()
    assert head.weight is model.weight and model.weight is not pair[0].weight
    assert pair[1].weight is pair[0].weight
    state = averaging.state_dict()
    _, other = make(TrainerConfig(average=average, nonmonotone_interval=1), seed=1)
    other.load_state_dict(state)
    model, head = other.modules()
    assert head.weight is model.weight


@pytest.mark.parametrize("stop", range(6))
@pytest.mark.parametrize("average", [Average.ema, Average.nt_asgd])
def test_goes_on_from_a_saved_state(average: Average, stop: int) -> None:
    """Through a file that may hold no code; saved before, at and after the beginning."""
    config = TrainerConfig(average=average, nonmonotone_interval=2, ema_decay=0.9)
    scores = [3.0, 2.0, 1.0, 2.5, 0.5, 9.0, 1.0, 1.0]
    pair, averaging = make(config)
    other_pair, other = make(config, seed=1)
    for n, score in enumerate(scores):
        step(pair, averaging, n)
        averaging.observe(score)
        if n == stop:
            file = io.BytesIO()
            torch.save(averaging.state_dict(), file)
            file.seek(0)
            other.load_state_dict(torch.load(file, weights_only=True))
        if n > stop:
            step(other_pair, other, n)
            other.observe(score)
            assert other.started == averaging.started
            assert np.array_equal(flat(*other.modules()), flat(*averaging.modules()))
    assert averaging.started and other.modules() != other_pair


def test_options() -> None:
    for name, value in (("ema_decay", 1.0), ("ema_decay", -0.1), ("nonmonotone_interval", 0)):
        with pytest.raises(ConfigError, match=rf"trainer\.{name}={value}: must be"):
            TrainerConfig(**{name: value}).check("trainer")  # type: ignore[arg-type]


def trainer_of(config: Config, path: Path, new: bool = True) -> Trainer:
    """A trainer whose averaging is told that every evaluation is worse than the one before it."""
    run = RunDirectory.claim(path, exact=True) if new else RunDirectory(path)
    seed_everything(config.seed)
    data = build_data(config)
    built = build_model(config, data.spec)
    trainer = Trainer(config.trainer, built.model, built.head, built.task, data, run, built.device)
    observe = trainer.averaging.observe
    trainer.averaging.observe = lambda score: observe(-float(trainer.progress.step))  # type: ignore[method-assign]
    return trainer


def watch(trainer: Trainer, weights: dict[int, np.ndarray], stop: int | None = None) -> None:
    """Note the raw weights after each step; interrupt before the step after ``stop``."""
    original = trainer.train_step

    def train_step(group: Any) -> None:
        if trainer.progress.step == stop:
            raise KeyboardInterrupt
        original(group)
        weights[trainer.progress.step] = flat(trainer.model, trainer.head)

    trainer.train_step = train_step  # type: ignore[method-assign]


def saved(trainer: Trainer, name: str) -> np.ndarray:
    """The weights in a checkpoint."""
    other = trainer.averaging.own
    content = load_checkpoint(trainer.run.checkpoint_path(name), trainer.run_id)
    parts: list[Tensor] = []
    for module, key in zip(other, ("model", "head"), strict=True):
        parts += [content[key][parameter].flatten() for parameter, _ in module.named_parameters()]
    return torch.cat(parts).double().numpy()


OPTIONS = {
    "ema": ["trainer.average=ema", "trainer.ema_decay=0.9"],
    "nt_asgd": ["trainer.average=nt_asgd", "trainer.nonmonotone_interval=1"],
}


@pytest.mark.parametrize("average", OPTIONS)
def test_best_holds_the_averaged_weights_and_last_the_raw_ones(small: Compose, tmp_path: Path, average: str) -> None:
    trainer = trainer_of(small(*OPTIONS[average], "trainer.max_steps=24", "trainer.eval_every=2"), tmp_path / "run")
    weights: dict[int, np.ndarray] = {}
    told: dict[str, float] = {}
    watch(trainer, weights)
    trainer.tell = lambda values: told.update(values)  # type: ignore[method-assign]
    trainer.fit()
    means = dict(weights)
    if average == "ema":
        for n in range(1, 24):
            rate = min(0.9, (1 + n) / (10 + n))
            means[n + 1] = rate * means[n] + (1 - rate) * weights[n + 1]
    else:
        for n in range(7, 25):  # since the third evaluation, after step 6
            means[n] = np.mean([weights[k] for k in range(7, n + 1)], 0)
    assert trainer.progress.best_step > 6
    np.testing.assert_allclose(saved(trainer, "best"), means[trainer.progress.best_step], atol=1e-5)
    assert np.array_equal(saved(trainer, "last"), weights[24])
    model, head = trainer.averaging.modules()
    np.testing.assert_allclose(flat(model, head), means[24], atol=1e-5)
    assert not np.allclose(means[24], weights[24], atol=1e-3)
    batches = trainer.data.eval_batches("validation")
    metrics = evaluate(model, head, trainer.task, batches, trainer.device, trainer.config.precision).metrics
    assert metrics["loss"] == told["val/loss"]  # what is scored is the mean


@pytest.mark.parametrize("average", OPTIONS)
def test_resumed_equals_uninterrupted(small: Compose, tmp_path: Path, average: str) -> None:
    """Bit for bit, raw and averaged weights and both checkpoints, with dropped recurrent weights too."""
    options = [*OPTIONS[average], "trainer.max_steps=20", "trainer.eval_every=4", "model.weight_drop=0.3"]
    whole = trainer_of(small(*options), tmp_path / "whole")
    whole.fit()
    assert whole.averaging.started
    stopped = trainer_of(small(*options), tmp_path / "stopped")
    watch(stopped, {}, stop=14)
    with pytest.raises(KeyboardInterrupt):
        stopped.fit()
    resumed = trainer_of(small(*options, "seed=7"), tmp_path / "stopped", new=False)  # other weights, other RNG
    resumed.data.seed = 0  # type: ignore[attr-defined]
    resumed.resume()
    assert resumed.progress.step == 12
    resumed.fit()
    assert (whole.progress.best, whole.progress.best_step) == (resumed.progress.best, resumed.progress.best_step)
    assert np.array_equal(flat(whole.model, whole.head), flat(resumed.model, resumed.head))
    assert np.array_equal(flat(*whole.averaging.modules()), flat(*resumed.averaging.modules()))
    for name in ("best", "last"):
        assert np.array_equal(saved(whole, name), saved(resumed, name))
    assert whole.averaging.scores == resumed.averaging.scores
