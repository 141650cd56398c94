"""A translator in plain PyTorch, as in tutorials: the model of ``gru_translator``, and a training loop.

A bidirectional GRU reads the source. A GRU decodes the target with additive attention, at once or step by step.
"""

import math
from typing import cast

import torch
from torch import Tensor, nn

from benchmarking.tool import composed
from benchmarking.turns import Turn, Work
from seqtrain.commands.build import build_data
from seqtrain.config.encoder_decoder import TranslatorConfig
from seqtrain.config.translation import TranslationConfig
from seqtrain.data.pairs.batch import PairBatch

RATE, CLIP, PAD = 0.001, 1.0, 0


class Translator(nn.Module):
    """Logits (B, T, V) of the target, from source tokens (B, S) and the tokens before each target (B, T)."""

    def __init__(self, source_vocab: int, target_vocab: int, size: int, dropout: float, stepwise: bool):
        super().__init__()
        self.stepwise = stepwise
        self.drop = nn.Dropout(dropout)
        self.source_vectors = nn.Embedding(source_vocab, size, padding_idx=PAD)
        self.target_vectors = nn.Embedding(target_vocab, size, padding_idx=PAD)
        self.encoder = nn.GRU(size, size, batch_first=True, bidirectional=True)
        self.bridge = nn.Linear(2 * size, size)
        self.decoder = nn.GRU(size, size, batch_first=True)
        self.query = nn.Linear(size, 2 * size, bias=False)
        self.key = nn.Linear(2 * size, 2 * size)
        self.score = nn.Linear(2 * size, 1, bias=False)
        self.joined = nn.Linear(3 * size, size, bias=False)
        self.output = nn.Linear(size, target_vocab)
        self.output.weight = self.target_vectors.weight

    def forward(self, source: Tensor, previous: Tensor) -> Tensor:
        states, last = self.encoder(self.drop(self.source_vectors(source)))
        keys, padding = self.key(states), source == PAD
        state = torch.tanh(self.bridge(torch.cat([last[0], last[1]], dim=-1)))[None]
        vectors = self.drop(self.target_vectors(previous))
        features = []
        for part in vectors.split(1 if self.stepwise else vectors.shape[1], dim=1):
            hidden, state = self.decoder(part, state)
            scores = self.score(torch.tanh(self.query(hidden)[:, :, None] + keys[:, None])).squeeze(-1)
            weights = scores.masked_fill(padding[:, None], -torch.inf).softmax(-1)
            features.append(torch.tanh(self.joined(torch.cat([weights @ states, hidden], dim=-1))))
        return self.output(self.drop(torch.cat(features, dim=1)))


def loop(overrides: list[str], stepwise: bool = False, device: str = "cpu") -> tuple[Turn, int]:
    """A turn of a training loop over the tool's batches; the overrides are those of the tool."""
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    config = composed(overrides)
    data, options, task = build_data(config), config.model, config.task
    assert isinstance(options, TranslatorConfig) and isinstance(task, TranslationConfig)
    assert options.hidden_size == options.embedding.embed_dim and options.dropout == options.embedding.dropout
    vocabularies = cast(int, data.spec.vocab_size), cast(int, data.spec.target_vocab_size)
    model = Translator(*vocabularies, options.hidden_size, options.dropout, stepwise).to(device)
    criterion = nn.CrossEntropyLoss(ignore_index=PAD, label_smoothing=task.label_smoothing)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)
    model.train()
    turns = 0

    def turn(steps: int | None) -> Work:
        nonlocal turns
        work, total = Work(), 0.0
        for batch in data.train_batches(turns):
            batch = cast(PairBatch, batch.to(torch.device(device)))
            optimizer.zero_grad()
            logits = model(batch.inputs, batch.previous)
            loss = criterion(logits.flatten(0, 1), batch.targets.flatten())
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            total += loss.item()
            work.add(batch.num_tokens, batch.inputs.numel())
            if work.steps == steps:
                break
        turns += 1
        assert math.isfinite(total)
        return work

    return turn, sum(p.numel() for p in model.parameters())
