"""Scheduled sampling: which tokens the decoder reads, the course of the probability, and exact resume."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from seqtrain.commands.build import Built, build_model
from seqtrain.commands.check_resume import check_resume
from seqtrain.commands.train import train
from seqtrain.config.root import Config
from seqtrain.data.pairs.batch import PairBatch
from seqtrain.data.pairs.dataset import pair_batch
from seqtrain.data.pairs.vocabularies import BEGIN_ID, END_ID, PAD_ID
from seqtrain.data.spec import DataSpec
from seqtrain.layers.masks import real_steps
from seqtrain.runs.directory import RunDirectory
from seqtrain.tasks.translation import task as translation
from seqtrain.tasks.translation.scheduled_sampling import sampled_previous
from seqtrain.training.device import seed_everything
from tests.pairs import OPTIONS, SMALL, write_splits

Compose = Callable[..., Config]

V = 12
SIZES = ["data=pair_files", "device=cpu", "model.kernel=torch"]
RECURRENT = ["model.hidden_size=8", "model.embedding.embed_dim=6"]
ATTENTION = ["model.embedding.embed_dim=8", "model.num_heads=2", "model.feed_forward_size=12"]


def build(composed: Compose, model: str, *options: str) -> Built:
    """A model in training mode."""
    seed_everything(3)
    spec = DataSpec(targets="translation", vocab_size=30, target_vocab_size=V, pad_id=0)
    sizes = ATTENTION if model == "attn_translator" else RECURRENT
    built = build_model(composed(f"model={model}", *SIZES, *sizes, *options), spec)
    for parameter in built.model.parameters():  # so that predictions differ from step to step
        parameter.data *= 2
    built.model.train(), built.head.train()
    return built


def batch_of(*lengths: int) -> PairBatch:
    """Pairs with targets of these lengths, beside padding."""
    generator = torch.Generator().manual_seed(0)
    B, T = len(lengths), max(lengths) + 2
    targets = torch.randint(4, V, (B, T), generator=generator)
    for row, length in enumerate(lengths):
        targets[row, length - 1], targets[row, length:] = END_ID, PAD_ID
    sources = torch.randint(4, 30, (B, 5), generator=generator)
    return pair_batch(sources, torch.full((B,), 5), targets, torch.tensor(lengths), np.arange(B))


def predictions(built: Built, batch: PairBatch, previous: Tensor) -> Tensor:
    """The most probable token at each step of a pass over all that was read, (B, T), without dropout."""
    built.model.eval(), built.head.eval()
    with torch.no_grad():
        logits = built.head(built.model(replace(batch, previous=previous))[0])
    built.model.train(), built.head.train()
    logits[..., [PAD_ID, BEGIN_ID]] = -torch.inf
    return torch.as_tensor(logits.argmax(-1))


@pytest.mark.parametrize("model", ["gru_translator", "lstm_translator", "attn_translator"])
def test_predictions_replace_true_tokens(composed: Compose, model: str) -> None:
    """What is read is the true token, or the prediction after all that was read before; with 1 always the latter."""
    built, batch = build(composed, model), batch_of(7, 3, 1, 5, 6, 7)
    inner = real_steps(batch.target_lengths, 9)[:, 1:]
    before = batch.previous.clone()
    for probability in (1.0, 0.5):
        read = sampled_previous(built.model, built.head, batch, probability)
        assert built.model.training and built.head.training and not read.requires_grad
        predicted = predictions(built, batch, read)[:, :-1]
        true, replaced = batch.previous[:, 1:], read[:, 1:] != batch.previous[:, 1:]
        assert (read[:, 0] == BEGIN_ID).all() and not replaced[~inner].any()
        assert (read[:, 1:][replaced] == predicted[replaced]).all()
        wrong = (predicted != true) & inner
        assert wrong.sum() > 10
        share = replaced[wrong].double().mean()
        assert share == 1 if probability == 1 else 0.2 < share < 0.8
    assert torch.equal(batch.previous, before)


def test_probability_0_is_teacher_forcing(composed: Compose) -> None:
    """The same features, of the same draws of dropout, whatever the option is before the first step."""
    batch, found = batch_of(7, 3, 1, 5), []
    for value in (0.0, 0.9):
        built = build(composed, "gru_translator", f"task.scheduled_sampling={value}")
        for share in (0.0, 0.5):
            built.task.begin_step(share)
            seed_everything(1)
            found.append(built.task.features(built.model, built.head, batch, None)[0])
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])
    assert not torch.equal(found[0], found[3])


def test_the_probability_grows_with_the_steps(
    composed: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[float] = []

    def recorded(model: torch.nn.Module, head: torch.nn.Module, batch: PairBatch, probability: float) -> Tensor:
        used.append(probability)
        return sampled_previous(model, head, batch, probability)

    monkeypatch.setattr(translation, "sampled_previous", recorded)
    path = write_splits(tmp_path / "pairs", train=24)
    quick = ["trainer.max_steps=4", "trainer.figures=false", "trainer.baselines=false", "trainer.probe=false"]
    config = composed(
        *OPTIONS, *SMALL, *quick, f"data.path={path}", "model=gru_translator", "task.scheduled_sampling=0.8"
    )
    train(config, RunDirectory.claim(tmp_path / "run", exact=True))
    assert used == pytest.approx([0.2, 0.4, 0.6])


def test_a_resumed_run_draws_the_same(composed: Compose, tmp_path: Path) -> None:
    path = write_splits(tmp_path / "pairs")
    quick = ["trainer.warmup_steps=2", "trainer.eval_every=2", "trainer.figures=false", "trainer.baselines=false"]
    config = composed(
        *OPTIONS, *SMALL, *quick, f"data.path={path}", "model=gru_translator", "task.scheduled_sampling=1"
    )
    assert check_resume(config, 3, tmp_path / "check") > 30
