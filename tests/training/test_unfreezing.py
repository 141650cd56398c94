"""Rates by depth and gradual unfreezing, against loops of torch with groups that are made by hand."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from seqtrain.commands.build import build_data, build_model
from seqtrain.config.root import Config
from seqtrain.runs.directory import RunDirectory
from seqtrain.training.depth import DepthGroup
from seqtrain.training.device import seed_everything
from seqtrain.training.schedules import learning_rate
from seqtrain.training.trainer import Trainer
from seqtrain.training.unfreezing import Unfreezing

Compose = Callable[..., Config]

MODEL = [
    "model=gru_attn",
    "model.num_layers=2",
    "model.kernel=torch",
    "data.batch_size=64",
]  # 270 rows: 5 steps an epoch
PARTS = ["head", "model.pooling", "model.encoder.layers.1", "model.encoder.layers.0", "model.embedding"]
OPTIMIZERS = {
    "sgd": (torch.optim.SGD, {"momentum": 0.9}),
    "adam": (torch.optim.Adam, {"betas": (0.9, 0.999)}),
    "adamw": (torch.optim.AdamW, {"betas": (0.9, 0.999)}),
}


def make(config: Config, path: Path) -> Trainer:
    seed_everything(config.seed)
    data = build_data(config)
    built = build_model(config, data.spec)
    run = RunDirectory.claim(path, exact=True)
    return Trainer(config.trainer, built.model, built.head, built.task, data, run, built.device)


def step(trainer: Trainer) -> None:
    """One step on the next batch."""
    group = next(trainer.groups())
    trainer.train_step(group)
    trainer.advance(len(group))


def parts_of(trainer: Trainer) -> list[list[nn.Parameter]]:
    """Parameters of the parts, from the top."""
    objective = trainer.objective
    return [list(objective.get_submodule(name).parameters()) for name in PARTS]


def weights(trainer: Trainer) -> list[Tensor]:
    return [parameter.detach().clone() for own in parts_of(trainer) for parameter in own]


def trained_by_hand(trainer: Trainer, steps: int, decay: float, every: float | None) -> list[Tensor]:
    """Weights after some steps, each part with an optimizer of its own that begins once the part is unfrozen."""
    config, parts = trainer.config, parts_of(trainer)
    kind, options = OPTIMIZERS[config.optimizer.value]
    optimizers: list[torch.optim.Optimizer] = []
    trainer.objective.train()
    batches = [batch for epoch in range(steps) for batch in trainer.data.train_batches(epoch)][:steps]
    for number, batch in enumerate(batches):
        count = len(parts) if every is None else min(1 + math.floor(number / 5 / every + 1e-9), len(parts))
        for own in parts[len(optimizers) : count]:
            pair = [
                {"params": [p for p in own if p.dim() >= 2], "weight_decay": config.weight_decay},
                {"params": [p for p in own if p.dim() < 2], "weight_decay": 0.0},
            ]
            optimizers.append(kind(pair, lr=1.0, fused=True, **options))  # type: ignore[arg-type]
        features, _ = trainer.model(batch)
        loss = nn.functional.cross_entropy(trainer.head(features), batch.targets, reduction="sum")
        training = [p for own in parts[:count] for p in own]
        total = torch.tensor(len(batch.targets))
        gradients = torch.autograd.grad(loss * (1 / total), training)
        for parameter, gradient in zip(training, gradients, strict=True):
            parameter.grad = gradient
        nn.utils.clip_grad_norm_([p for p in trainer.parameters if p.grad is not None], config.max_grad_norm or 1e9)
        for depth, optimizer in enumerate(optimizers):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(config, number, trainer.total_steps) * decay**depth
            optimizer.step()
    return weights(trainer)


@pytest.mark.parametrize(("decay", "every"), [(0.4, None), (1.0, 0.6), (0.4, 0.6)])
@pytest.mark.parametrize(
    "options",
    [
        ["trainer.optimizer=sgd", "trainer.schedule=cosine"],
        ["trainer.optimizer=adam", "trainer.schedule=one_cycle", "trainer.max_grad_norm=null"],
        ["trainer.optimizer=adamw", "trainer.schedule=linear", "trainer.max_grad_norm=0.1"],
    ],
)
def test_steps_are_those_of_groups_by_hand(
    small: Compose, tmp_path: Path, options: list[str], decay: float, every: float | None
) -> None:
    """With dropout; of 14 steps, the first to train the embedding is the 13th."""
    given = [*MODEL, *options, "trainer.weight_decay=0.1", "trainer.max_steps=14"]
    own = [f"trainer.layer_lr_decay={decay}", f"trainer.unfreeze={'null' if every is None else every}"]
    trainer, reference = make(small(*given, *own), tmp_path / "a"), make(small(*given), tmp_path / "b")
    seed_everything(3)
    expected = trained_by_hand(reference, 14, decay, every)
    seed_everything(3)
    for _ in range(14):
        step(trainer)
    for value, wanted in zip(weights(trainer), expected, strict=True):
        torch.testing.assert_close(value, wanted, atol=1e-6, rtol=1e-5)
    start = weights(make(small(*given), tmp_path / "c"))
    assert not any(torch.equal(*pair) for pair in zip(weights(trainer), start, strict=True))


def test_a_decay_of_one_changes_nothing(small: Compose, tmp_path: Path) -> None:
    trainers = [
        make(small(*MODEL, *own), tmp_path / str(i)) for i, own in enumerate([[], ["trainer.layer_lr_decay=1"]])
    ]
    assert [len(trainer.optimizer.param_groups) for trainer in trainers] == [2, 2]
    ends = []
    for trainer in trainers:
        seed_everything(3)
        for _ in range(3):
            step(trainer)
        ends.append(weights(trainer))
    assert all(torch.equal(*pair) for pair in zip(*ends, strict=True))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_frozen_groups_stay_as_they_are(small: Compose, tmp_path: Path, optimizer: str) -> None:
    """No gradient, no state of the optimizer and no weight decay, until their time comes."""
    options = [f"trainer.optimizer={optimizer}", "trainer.weight_decay=0.5", "trainer.unfreeze=0.4"]
    trainer = make(small(*MODEL, *options, "trainer.warmup_steps=0"), tmp_path / "run")
    parts, start = parts_of(trainer), weights(trainer)
    for number in range(10):
        step(trainer)
        count = min(1 + number // 2, 5)
        for depth, own in enumerate(parts):
            for parameter in own:
                trains = depth < count
                assert parameter.requires_grad is trains and (parameter.grad is not None) is trains
                assert (parameter in trainer.optimizer.state) is trains
        frozen = [p for own in parts[count:] for p in own]
        assert all(torch.equal(*pair) for pair in zip(frozen, start[len(start) - len(frozen) :], strict=True))


@pytest.mark.parametrize("average", ["ema", "nt_asgd"])
def test_averages_of_frozen_weights_are_the_weights(small: Compose, tmp_path: Path, average: str) -> None:
    options = [f"trainer.average={average}", "trainer.nonmonotone_interval=1", "trainer.eval_every=1", "trainer.lr=1"]
    trainer = make(small(*MODEL, *options, "trainer.unfreeze=1", "trainer.max_steps=5"), tmp_path / "run")
    before = trainer.model.state_dict()
    kept = {name: value.clone() for name, value in before.items()}
    trainer.averaging.started = True
    trainer.fit()
    model, head = trainer.averaging.modules()
    assert model is not trainer.model
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())
    assert not torch.equal(head.state_dict()["weight"], trainer.head.state_dict()["weight"])


def test_all_count_as_trained_after_the_end(small: Compose, tmp_path: Path) -> None:
    trainer = make(small(*MODEL, "trainer.unfreeze=1", "trainer.max_steps=7"), tmp_path / "run")
    trainer.fit()
    assert trainer.unfreezing.num_training == 2 and all(p.requires_grad for p in trainer.parameters)


def test_which_groups_a_run_never_trains(small: Compose, tmp_path: Path) -> None:
    """There are 5 batches in an epoch, and 3 steps of two batches."""
    trainer = make(small(*MODEL, "trainer.unfreeze=1", "trainer.accumulate=2"), tmp_path / "run")
    lower = ["encoder layer 2", "encoder layer 1", "embedding"]
    expected = {1: ["pooling", *lower], 3: ["pooling", *lower], 4: lower, 12: ["embedding"], 13: [], 99: []}
    assert {steps: trainer.untrained(steps) for steps in expected} == expected


def groups(count: int) -> list[DepthGroup]:
    return [DepthGroup(f"part {i}", [nn.Parameter(torch.zeros(1))]) for i in range(count)]


@pytest.mark.parametrize(
    ("every", "epochs", "expected"),
    [(None, 0, 4), (1, 0, 1), (1, 0.99, 1), (1, 1, 2), (0.1, 0.3, 4), (0.1, 0.29, 3), (2.5, 5, 3), (1, 50, 4)],
)
def test_what_is_reached(every: float | None, epochs: float, expected: int) -> None:
    assert Unfreezing(groups(4), every).num_reached(epochs) == expected


def test_changes_are_told_once() -> None:
    unfreezing = Unfreezing(groups(3), 1)
    assert [unfreezing.advance(epochs) for epochs in (0, 0.5, 1, 1.5, 2, 3)] == [True, False, True, False, True, False]
    assert unfreezing.plan() == "part 0 trains from the start, part 1 after 1, part 2 after 2 epochs"
    assert Unfreezing(groups(1), 1).plan() == "part 0 trains from the start"
    assert not Unfreezing(groups(3), None).advance(0)
