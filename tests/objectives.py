"""Trainers of small classifiers, and parts of their losses written by hand."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqtrain.commands.build import build_data, build_model
from seqtrain.commands.wide import fill_wide, find_ngrams
from seqtrain.config.root import Config
from seqtrain.data.base import Batch
from seqtrain.runs.directory import RunDirectory
from seqtrain.training.device import seed_everything
from seqtrain.training.trainer import Trainer

PLAIN = ["trainer.optimizer=sgd", "trainer.max_grad_norm=null", "data.batch_size=8", "trainer.warmup_steps=0"]
NO_DROPOUT = ["model.dropout=0", "model.embedding.dropout=0", "model.wide_dropout=0", "model.wide_row_dropout=0"]
MULTILABEL = ["task=multilabel", "data.label_separator=pipe"]


def make(config: Config, folder: Path) -> Trainer:
    seed_everything(config.seed)
    data = build_data(config)
    ngrams = find_ngrams(config, data)
    built = build_model(config, data.spec)
    fill_wide(built, data, ngrams)
    run = RunDirectory.claim(folder, exact=True)
    return Trainer(config.trainer, built.model, built.head, built.task, data, run, built.device)


def gradients(trainer: Trainer) -> dict[str, Tensor]:
    named = trainer.objective.named_parameters()
    return {name: p.grad.clone() for name, p in named if p.grad is not None}


def summed_loss(task: str, head: nn.Module, features: Tensor, batch: Batch) -> Tensor:
    logits = head(features)
    if task == "multilabel":
        return F.binary_cross_entropy_with_logits(logits, batch.targets.float(), reduction="sum")
    return F.cross_entropy(logits, batch.targets, reduction="sum")


def moved(e: Tensor, g: Tensor, epsilon: float, lengths: Tensor) -> Tensor:
    """e + epsilon rms(e) g / ||g||, row by row."""
    rows = []
    for row, gradient, length in zip(e, g, lengths.tolist(), strict=True):
        scale = row[:length].square().mean().sqrt()
        rows.append(row + epsilon * scale * gradient / gradient.norm())
    return torch.stack(rows)


def divergence(task: str, p: Tensor, q: Tensor) -> Tensor:
    """KL(p || q) of each row from logits, in its definition."""
    if task == "classification":
        p, q = p.softmax(-1), q.softmax(-1)
        return (p * (p / q).log()).sum(-1)
    p, q = p.sigmoid(), q.sigmoid()
    return (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).mean(-1)
