"""Steps alone, and the range test: its mean against a definition, and its rates on a problem of known curvature."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seqtrain.config.base import Targets
from seqtrain.config.trainer import Optimizer, TrainerConfig
from seqtrain.data.base import Batch, Dataset
from seqtrain.errors import RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.tasks.base import Task
from seqtrain.training.range_test import MEAN_DECAY, RangeTest, diverged, range_test, running_mean
from seqtrain.training.steps import make_steps
from seqtrain.training.trainer import Trainer

CURVATURE = 4.0


class Bowl(nn.Module):
    """A point in a bowl, the middle of which is near 1: curvature / 2 times its squared distance."""

    output_size = 1

    def __init__(self) -> None:
        super().__init__()
        self.point = nn.Parameter(torch.zeros(2))

    def forward(self, batch: Batch, state: Any = None) -> tuple[Tensor, None]:
        distance = self.point - 1 - batch.targets[:, None]
        return CURVATURE / 2 * distance.square().sum(1), None


class Rows(Dataset):
    """Five batches of two rows in an epoch, which differ a little."""

    def __init__(self) -> None:
        self.served: list[tuple[int, int]] = []

    def num_batches(self, epoch: int) -> int:
        return 5

    def train_batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        for index in range(start, 5):
            self.served.append((epoch, index))
            noise = torch.from_numpy(np.random.default_rng([epoch, index]).normal(0, 0.05, 2)).float()
            yield Batch(torch.zeros(2, 1), noise, torch.ones(2, dtype=torch.long), np.arange(2), 2)

    def eval_batches(self, split: str) -> Iterator[Batch]:
        raise AssertionError("nothing is evaluated")

    def source_rows(self, split: str) -> np.ndarray:
        raise NotImplementedError

    def examples(self, split: str, count: int) -> tuple[Batch, list[list[str]]]:
        raise NotImplementedError

    def save(self, directory: Path) -> None:
        raise NotImplementedError


class Mean(Task):
    """The mean of what the model returns is the loss."""

    targets, causal, pooled, monitor, maximize, shown = Targets.sequence_number, False, True, "loss", False, ()

    def build_head(self, model: nn.Module) -> nn.Module:
        return nn.Identity()

    def loss(self, head: nn.Module, features: Tensor, batch: Batch) -> Tensor:
        return features.sum()

    def count(self, batch: Batch) -> Tensor:
        return torch.tensor(float(len(batch.rows)))

    def meter(self, head: nn.Module) -> Any:
        raise AssertionError("nothing is evaluated")


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Trainer]:
    def trainer(**options: Any) -> Trainer:
        config = TrainerConfig(optimizer=Optimizer.sgd, momentum=0.0, max_grad_norm=None, **options)
        run = RunDirectory.claim(tmp_path / "run", exact=False)
        return Trainer(config, Bowl(), nn.Identity(), Mean(), Rows(), run, torch.device("cpu"))

    return trainer


def test_steps_alone_go_on_through_the_epochs(make: Callable[..., Trainer]) -> None:
    trainer = make(accumulate=2, warmup_steps=0, max_steps=100, eval_every=1, lr=0.1)
    losses = list(make_steps(trainer, 4))
    assert trainer.progress.step == 4 and len(losses) == 4 and losses == sorted(losses, reverse=True)
    assert losses[0] == pytest.approx(CURVATURE, rel=0.2)
    data = trainer.data
    assert isinstance(data, Rows)
    assert data.served == [*((0, i) for i in range(5)), (1, 0), (1, 1)]
    assert len(list(make_steps(trainer, 3))) == 3 and trainer.progress.step == 7
    assert not list(trainer.run.checkpoint_path("last").parent.iterdir())


def test_the_mean_is_weighted_by_age() -> None:
    losses = np.random.default_rng(0).normal(size=40)
    for n in (1, 2, 17, 40):
        weights = MEAN_DECAY ** np.arange(n)[::-1]
        assert running_mean(losses)[n - 1] == pytest.approx((weights * losses[:n]).sum() / weights.sum())
    assert running_mean(np.full(9, 3.0)) == pytest.approx(3.0)


def test_when_a_loss_has_diverged() -> None:
    falling = [2.0] * 10 + [1.0] * 60
    assert not diverged(falling)
    assert not diverged([*falling, 3.9])
    rising = [*falling, *[10.0] * 5]
    first = next(n for n in range(1, len(rising) + 1) if diverged(rising[:n]))
    assert running_mean(np.array(rising))[first - 1] > 4 * running_mean(np.array(rising[: first - 1])).min()
    assert not diverged([-1.0] * 30 + [0.5]) and diverged([-1.0] * 30 + [40.0])


def test_rates_on_a_bowl(make: Callable[..., Trainer]) -> None:
    """Gradient descent on a bowl diverges above 2 / curvature, and 1 / curvature is the best there is."""
    trainer = make()
    told: list[float] = []

    class Listener:
        def scalars(self, step: int, values: dict[str, float]) -> None:
            told.append(values["train/learning_rate"])

        def media(self, step: int, figures: dict[str, Any], texts: dict[str, str]) -> None:
            raise AssertionError

        def histograms(self, step: int, values: dict[str, Any]) -> None:
            pass

        def close(self) -> None:
            raise AssertionError

    trainer.observers = [Listener()]
    test = range_test(trainer, 1e-4, 100.0, 120)
    assert test.rates[0] == pytest.approx(1e-4)
    np.testing.assert_allclose(np.diff(np.log(test.rates)), np.log(1e6) / 119)
    assert told == test.rates.tolist() and len(test.losses) == len(test.rates) < 120
    assert "4 times its lowest" in test.ended
    assert test.rates[-1] > 2 / CURVATURE
    lowest, steepest = test.lowest(), test.steepest()
    assert lowest is not None and steepest is not None
    assert 1e-2 < steepest < lowest < 10 / CURVATURE


def test_a_curve_of_known_shape() -> None:
    """A loss that falls along a sigmoid of the logarithm of the rate is steepest at its middle."""
    rates = np.geomspace(1e-5, 1.0, 200)
    losses = 3 - 2 / (1 + np.exp(-4 * (np.log10(rates) + 3))) + np.random.default_rng(0).normal(0, 0.03, 200)
    steepest = RangeTest(rates, losses, "").steepest()
    assert steepest is not None and abs(math.log10(steepest) + 3) < 0.35
    flat = RangeTest(rates, np.full(200, 2.0), "")
    assert flat.steepest() is None and flat.lowest() is None
    rising = RangeTest(rates, np.linspace(1, 2, 200), "")
    assert rising.steepest() is None and rising.lowest() is None


def test_a_loss_that_is_not_finite_ends_it(make: Callable[..., Trainer]) -> None:
    trainer = make()
    model = trainer.model
    assert isinstance(model, Bowl)
    plain = Bowl.forward

    def fails_far_out(self: Bowl, batch: Batch, state: Any = None) -> tuple[Tensor, None]:
        values, _ = plain(self, batch, state)
        return (values * math.inf if self.point.abs().max() > 1.2 else values), None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Bowl, "forward", fails_far_out)
        test = range_test(trainer, 1e-3, 100.0, 100)
    assert "not finite" in test.ended and 0 < len(test.losses) < 100 and np.isfinite(test.losses).all()
    with torch.no_grad():
        model.point.fill_(math.nan)
    with pytest.raises(RunError, match="not finite"):
        range_test(trainer, 1e-3, 1.0, 20)
