"""Virtual adversarial training against the equations written by hand, with torch's own recurrent kernels."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch

from seqtrain.commands.check_resume import check_resume
from seqtrain.config.root import Config
from seqtrain.data.text.unlabelled import joined_batch
from seqtrain.models.sequence import SequenceModel
from seqtrain.training.objective import Turn
from tests.objectives import MULTILABEL, NO_DROPOUT, PLAIN, divergence, gradients, make, moved

Compose = Callable[..., Config]


@pytest.mark.parametrize("unlabelled", [False, True])
@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("classification", ["model=gru_attn", "model.kernel=fused"]),
        ("multilabel", ["model=lstm", "model.kernel=fused", *MULTILABEL]),
    ],
)
def test_the_gradient_of_a_step(
    small: Compose, tmp_path: Path, task: str, options: list[str], unlabelled: bool
) -> None:
    """One step's gradients of all parameters equal those of the loss by hand, in float64, with torch's kernels."""
    weight, epsilon = 2.0, 8.0
    own = [f"task.virtual_adversarial={weight}", f"task.virtual_adversarial_epsilon={epsilon}"]
    trainer = make(small(*PLAIN, *NO_DROPOUT, *options, *own), tmp_path / "a")
    batch, other = list(trainer.data.train_batches(0))[:2]
    rows = [batch, other.shard(0, 2)] if unlabelled else [batch]
    reference = make(small(*PLAIN, *NO_DROPOUT, *options, "model.kernel=torch"), tmp_path / "b")
    objective = reference.objective.double().train()
    model, head = cast(SequenceModel, objective.model), objective.head
    torch.manual_seed(3)
    values = []
    for part in rows:
        e = model.embedding(part.inputs)
        p = head(model.encode(e, part)[0]).detach()
        d = torch.randn(e.shape) * (torch.arange(e.shape[1]) < part.lengths[:, None])[..., None]
        near = moved(e.detach(), d.double(), 0.1, part.lengths).requires_grad_()
        (g,) = torch.autograd.grad(divergence(task, p, head(model.encode(near, part)[0])).sum(), near)
        far = moved(e, g, epsilon, part.lengths)
        values.append(divergence(task, p, head(model.encode(far, part)[0])))
    loss, _, _ = objective(batch, None)
    count = batch.targets.numel()
    wanted_part = torch.cat(values).mean()
    (loss / count + weight * wanted_part).backward()
    whole = joined_batch(batch, rows[1]) if unlabelled else batch
    torch.manual_seed(3)
    part = trainer.objective(whole, None, Turn.virtual)[1]
    assert part.item() == pytest.approx((weight * count * wanted_part).item(), rel=1e-3) and part > 0
    torch.manual_seed(3)
    trainer.train_step([whole])
    wanted, found = gradients(reference), gradients(trainer)
    assert wanted.keys() == found.keys()
    for name, gradient in wanted.items():
        error = (found[name] - gradient).norm() / gradient.norm()
        assert error < 3e-3, (name, error)
    assert all(p.requires_grad for p in trainer.parameters)


def test_all_passes_have_the_same_masks(small: Compose, tmp_path: Path) -> None:
    """With other masks the divergence of unmoved rows would not be 0."""
    dropped = ["model=gru", "model.num_layers=2", "model.dropout=0.4", "model.embedding.dropout=0.4",
               "model.embedding.word_dropout=0.2", "model.weight_drop=0.3"]  # fmt: skip
    tiny = ["task.virtual_adversarial=1", "task.virtual_adversarial_epsilon=1e-5"]
    trainer = make(small(*PLAIN, *dropped, *tiny), tmp_path / "a")
    batch = next(trainer.data.train_batches(0))
    trainer.objective.train()
    before = torch.get_rng_state()
    assert abs(trainer.objective(batch, None, Turn.virtual)[1].item()) < 1e-5
    assert not torch.equal(torch.get_rng_state(), before)


def test_bf16_finds_the_direction_in_fp32(small: Compose, tmp_path: Path) -> None:
    options = ["task.virtual_adversarial=1", "task.virtual_adversarial_epsilon=8", *NO_DROPOUT, "model=gru_attn"]
    trainer = make(small(*PLAIN, *options), tmp_path / "a")
    batch = next(trainer.data.train_batches(0))
    found = []
    for enabled in (False, True):
        torch.manual_seed(1)
        trainer.objective.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            part = trainer.objective(batch, None, Turn.virtual)[1]
        part.backward()
        assert all(p.grad is not None for p in trainer.parameters)
        found.append(part.item())
    assert found[1] == pytest.approx(found[0], rel=0.1)


@pytest.mark.parametrize("options", [[], ["trainer.precision=bf16", "task.adversarial=1", "model.wide=ngrams"]])
def test_resuming_is_exact(small: Compose, reviews: Path, tmp_path: Path, options: list[str]) -> None:
    unlabelled = [f"data.unlabelled={reviews / 'test.csv'}", "data.test_split=null", "data.unlabelled_batch_size=6"]
    check_resume(small("model=gru_attn", "task.virtual_adversarial=1", *unlabelled, *options), 3, tmp_path)


def test_a_share_of_a_batch_has_a_share_of_both(small: Compose, tmp_path: Path) -> None:
    trainer = make(small(*PLAIN), tmp_path / "a")
    batch, other = list(trainer.data.train_batches(0))[:2]
    other = other.shard(0, 2)
    whole = joined_batch(batch, other)
    first, second = whole.shard(0, 2), whole.shard(1, 2)
    assert first.rows.tolist() == batch.rows[::2].tolist() and second.rows.tolist() == batch.rows[1::2].tolist()
    assert first.unlabelled.rows.tolist() == other.rows[::2].tolist()  # type: ignore[attr-defined]
    assert second.unlabelled.rows.tolist() == other.rows[1::2].tolist()  # type: ignore[attr-defined]
    assert replace(whole).shard(0, 1) is not batch
