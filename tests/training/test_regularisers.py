"""R-Drop and mixup against their equations written by hand."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from seqtrain.commands.check_resume import check_resume
from seqtrain.config.root import Config
from tests.objectives import MULTILABEL, PLAIN, divergence, gradients, make, summed_loss

Compose = Callable[..., Config]

CASES = [("classification", []), ("classification", ["model.wide=ngrams"]), ("multilabel", MULTILABEL)]


@pytest.mark.parametrize(("task", "options"), CASES)
def test_rdrop(small: Compose, tmp_path: Path, task: str, options: list[str]) -> None:
    alpha = 1.5
    trainer = make(small(*PLAIN, *options, "model=gru_attn", f"task.rdrop={alpha}"), tmp_path / "a")
    batch = next(trainer.data.train_batches(0))
    model, head, count = trainer.model.train(), trainer.head, batch.targets.numel()
    torch.manual_seed(3)
    first, second = model(batch)[0], model(batch)[0]
    assert not torch.equal(first, second)
    nll = (summed_loss(task, head, first, batch) + summed_loss(task, head, second, batch)) / 2 / count
    p, q = head(first), head(second)
    between = (divergence(task, p, q) + divergence(task, q, p)).mean()
    (nll + alpha / 2 * between).backward()
    wanted = gradients(trainer)
    torch.manual_seed(3)
    trainer.train_step([batch])
    for name, gradient in gradients(trainer).items():
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-4, atol=1e-6, msg=name)
    sums = trainer.progress.sums
    assert sums.loss / sums.weight == pytest.approx(nll.item(), rel=1e-5)
    assert sums.regularisation / sums.weight == pytest.approx(alpha / 2 * between.item(), rel=1e-3)


@pytest.mark.parametrize(("task", "options"), CASES)
def test_mixup(small: Compose, tmp_path: Path, task: str, options: list[str]) -> None:
    """The targets are mixed as the features are, under class weights and label smoothing."""
    weights, smoothing = torch.tensor([1.0, 3.0]), 0.2
    own = ["task.mixup=0.4", "task.class_weights=[1,3]", f"task.label_smoothing={smoothing}"]
    trainer = make(small(*PLAIN, *options, *own, "model=gru_attn"), tmp_path / "a")
    batch = next(trainer.data.train_batches(0))
    model, head = trainer.model.train(), trainer.head
    torch.manual_seed(3)
    np.random.seed(4)
    features = model(batch)[0]
    share, order = np.random.beta(0.4, 0.4), torch.randperm(len(batch.rows))
    logits = head(share * features + (1 - share) * features[order])
    hot = batch.targets.float() if task == "multilabel" else F.one_hot(batch.targets, 2).float()
    mixed = share * hot + (1 - share) * hot[order]
    if task == "multilabel":
        smooth = mixed * (1 - smoothing) + smoothing / 2
        losses = -(weights * smooth * F.logsigmoid(logits) + (1 - smooth) * F.logsigmoid(-logits))
        loss = losses.mean()
    else:
        # torch's cross-entropy weighs the smoothed targets of a row by the weights of their classes.
        smooth = mixed * (1 - smoothing) + smoothing / 2
        loss = -(weights * smooth * logits.log_softmax(-1)).sum() / weights[batch.targets].sum()
    loss.backward()
    wanted = gradients(trainer)
    torch.manual_seed(3)
    np.random.seed(4)
    trainer.train_step([batch])
    for name, gradient in gradients(trainer).items():
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-4, atol=1e-6, msg=name)
    sums = trainer.progress.sums
    clean = trainer.task.loss(head, features, batch) / trainer.task.count(batch)
    assert sums.loss / sums.weight == pytest.approx(clean.item(), rel=0.1)  # after a step of the weights
    assert sums.regularisation / sums.weight == pytest.approx(loss.item() - sums.loss / sums.weight, abs=1e-5)


@pytest.mark.parametrize("options", [["task.rdrop=1", "task.adversarial=1"], ["task.mixup=0.3"]])
def test_resuming_is_exact(small: Compose, tmp_path: Path, options: list[str]) -> None:
    check_resume(small("model=gru_attn", *options), 3, tmp_path)


def test_only_regularised_runs_log_it(small: Compose, tmp_path: Path) -> None:
    for name, options in (("plain", []), ("rdrop", ["task.rdrop=1"])):
        trainer = make(small(*PLAIN, "model=gru", *options), tmp_path / name)
        trainer.train_step([next(trainer.data.train_batches(0))])
        entry = trainer.progress.sums.entry(0.0, trainer.ranks)
        assert ("train/regularisation" in entry) == (name == "rdrop") == (entry.get("train/regularisation", 0) > 0)
