"""Adversarial training against the equations written by hand, with torch's own recurrent kernels."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import nn

from seqtrain.commands.build import build_data, build_model
from seqtrain.commands.check_resume import check_resume
from seqtrain.config.root import Config
from seqtrain.errors import ConfigError
from seqtrain.models.sequence import SequenceModel
from seqtrain.runs.directory import RunDirectory
from seqtrain.training.adversarial import Adversary
from seqtrain.training.moves import root_mean_square, unit
from seqtrain.training.trainer import Trainer
from tests.objectives import MULTILABEL, NO_DROPOUT, PLAIN, gradients, make, moved, summed_loss

Compose = Callable[..., Config]


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("classification", ["model=gru_attn", "model.kernel=fused"]),
        ("classification", ["model=lstm", "model.kernel=fused", "model.pooling=max"]),
        ("classification", ["model=rnn", "model.kernel=fused", "model.bidirectional=false"]),
        ("classification", ["model=gru_attn", "model.kernel=fused", "model.wide=ngrams"]),
        ("multilabel", ["model=attn_gru", "model.kernel=torch", *MULTILABEL]),
        ("multilabel", ["model=self_attn", *MULTILABEL]),
    ],
)
def test_the_gradient_of_a_step(small: Compose, tmp_path: Path, task: str, options: list[str]) -> None:
    """One step's gradients of all parameters equal those of the two losses by hand, with torch's kernels."""
    weight, epsilon = 0.7, 3.0
    own = [f"task.adversarial={weight}", f"task.adversarial_epsilon={epsilon}"]
    trainer = make(small(*PLAIN, *NO_DROPOUT, *options, *own), tmp_path / "a")
    batch = next(trainer.data.train_batches(0))
    reference = make(small(*PLAIN, *NO_DROPOUT, *options, "model.kernel=torch"), tmp_path / "b")
    model, head = cast(SequenceModel, reference.model).train(), reference.head
    e = model.embedding(batch.inputs)
    loss = summed_loss(task, head, model.encode(e, batch)[0], batch)
    (g,) = torch.autograd.grad(loss, e, retain_graph=True)
    other = summed_loss(task, head, model.encode(moved(e, g, epsilon, batch.lengths), batch)[0], batch)
    ((loss + weight * other) / batch.targets.numel()).backward()
    trainer.train_step([batch])
    assert other > loss
    wanted, found = gradients(reference), gradients(trainer)
    assert wanted.keys() == found.keys() and len(found) > 4
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=2e-4, atol=2e-6, msg=name)
    # What is logged is the loss of the rows as they are.
    assert trainer.progress.sums.loss / trainer.progress.sums.weight == pytest.approx(
        loss.item() / batch.targets.numel(), rel=1e-5
    )


def test_both_passes_have_the_same_masks(small: Compose, tmp_path: Path) -> None:
    """Of dropout of words, of embedded tokens, between layers, of weights and of features; the generator goes on."""
    dropped = ["model=gru", "model.num_layers=2", "model.dropout=0.4", "model.embedding.dropout=0.4",
               "model.embedding.word_dropout=0.2", "model.weight_drop=0.3"]  # fmt: skip
    trainer = make(small(*PLAIN, *dropped, "task.adversarial=1"), tmp_path / "a")
    model, head = cast(SequenceModel, trainer.model).train(), trainer.head
    batch = next(trainer.data.train_batches(0))
    torch.manual_seed(3)
    e = model.embed(batch.inputs)
    loss = summed_loss("classification", head, model.encode(e, batch)[0], batch)
    after = torch.get_rng_state()
    (g,) = torch.autograd.grad(loss, e, retain_graph=True)
    torch.manual_seed(3)
    again = model.embed(batch.inputs)
    assert torch.equal(e, again)
    other = summed_loss("classification", head, model.encode(moved(again, g, 5.0, batch.lengths), batch)[0], batch)
    ((loss + other) / len(batch.rows)).backward()
    wanted = gradients(trainer)
    torch.manual_seed(3)
    trainer.train_step([batch])
    assert torch.equal(torch.get_rng_state(), after)
    for name, gradient in gradients(trainer).items():
        torch.testing.assert_close(gradient, wanted[name], rtol=2e-4, atol=2e-6, msg=name)


def test_accumulated_batches_are_moved_each_by_itself(small: Compose, tmp_path: Path) -> None:
    trainer = make(small(*PLAIN, *NO_DROPOUT, "task.adversarial=1", "task.class_weights=[1,3]"), tmp_path / "a")
    batches = trainer.data.train_batches(0)
    rows = torch.cat([torch.from_numpy(batch.rows) for batch in (next(batches), next(batches))]).numpy()
    start = {name: value.clone() for name, value in trainer.objective.state_dict().items()}
    found = []
    for parts in ([rows], [rows[:5], rows[5:]]):
        trainer.objective.load_state_dict(start)
        trainer.train_step([trainer.data.batch("train", part) for part in parts])  # type: ignore[attr-defined]
        found.append(gradients(trainer))
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-4, atol=1e-6, msg=name)


def test_longer_vectors_do_not_escape(small: Compose, tmp_path: Path) -> None:
    """The move is as large in proportion, and its part of the gradient has nothing along the vectors' length."""
    trainer = make(small(*PLAIN, *NO_DROPOUT, "task.adversarial=1"), tmp_path / "a")
    adversary, batch = trainer.objective.adversary, next(trainer.data.train_batches(0))
    assert isinstance(adversary, Adversary)
    e = adversary.model.embed(batch.inputs).detach()
    assert torch.allclose(root_mean_square(3 * e, batch.lengths), 3 * root_mean_square(e, batch.lengths))
    e.requires_grad_()
    direction = unit(torch.randn(e.shape))
    ratio = (
        e.flatten(1).norm(dim=1) / (5 * root_mean_square(e, batch.lengths) * direction).flatten(1).norm(dim=1)
    ).sum()
    (slope,) = torch.autograd.grad(ratio, e)
    assert (slope * e).sum().abs() < 1e-4


def test_unit_rows() -> None:
    x = torch.tensor([[[3.0, 4.0]], [[0.0, 0.0]], [[3e-30, 4e-30]]])
    torch.testing.assert_close(unit(x), torch.tensor([[[0.6, 0.8]], [[0.0, 0.0]], [[0.6, 0.8]]]))


def test_a_row_of_dropped_tokens_has_finite_gradients() -> None:
    e = torch.zeros(1, 3, 2, requires_grad=True)
    root_mean_square(e, torch.tensor([3])).sum().backward()
    assert e.grad is not None and torch.equal(e.grad, torch.zeros(1, 3, 2))


@pytest.mark.parametrize(
    "options", [["trainer.precision=bf16"], ["trainer.accumulate=2", "model.weight_drop=0.2", "trainer.unfreeze=0.1"]]
)
def test_resuming_is_exact(small: Compose, tmp_path: Path, options: list[str]) -> None:
    check_resume(small("model=gru_attn", "task.adversarial=1", *options), 3, tmp_path)


def test_a_frozen_embedding_is_moved_too(small: Compose, tmp_path: Path) -> None:
    trainer = make(small(*PLAIN, *NO_DROPOUT, "task.adversarial=1"), tmp_path / "a")
    batch = next(trainer.data.train_batches(0))
    start = {name: value.clone() for name, value in trainer.objective.state_dict().items()}
    trainer.train_step([batch])
    wanted = gradients(trainer)
    trainer.objective.load_state_dict(start)
    trainer.model.get_parameter("embedding.weight").requires_grad_(False)
    trainer.train_step([batch])
    found = gradients(trainer)
    assert found.keys() == wanted.keys() - {"model.embedding.weight"}
    assert all(torch.equal(gradient, wanted[name]) for name, gradient in found.items())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["task.adversarial=-1"], r"^task\.adversarial=-1\.0: must be at least 0, and finite$"),
        (["task.adversarial_epsilon=0"], r"^task\.adversarial_epsilon=0\.0: must be above 0, and finite$"),
        (["task.virtual_adversarial=inf"], r"^task\.virtual_adversarial=inf: must be at least 0, and finite$"),
        (["task.mixup=0.2", "task.rdrop=1"], r"^task\.mixup=0\.2: must be 0 with task\.rdrop=1\.0$"),
    ],
)
def test_values_out_of_range(small: Compose, options: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        small(*options)


def test_a_model_without_embedded_tokens(small: Compose, tmp_path: Path) -> None:
    config = small("task.adversarial=1")
    data = build_data(config)
    built = build_model(config, data.spec)
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    with pytest.raises(ConfigError, match=r"^task\.adversarial=1\.0: moves embedded tokens, and this model has none"):
        Trainer(config.trainer, nn.Linear(2, 2), built.head, built.task, data, run, built.device)


def test_numbers_have_no_such_option(composed: Compose) -> None:
    with pytest.raises(ConfigError, match=r"^task\.adversarial: no such key in task"):
        composed("data=adding", "+task.adversarial=1")
