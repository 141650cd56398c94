"""Text classifiers in plain PyTorch, as in tutorials: the model of ``gru_attn`` or ``lstm_attn``, and a training loop.

Embeddings of size 128, a bidirectional layer of 128 per direction, attention pooling, and dropout of 0.5 on embeddings
and features.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torch.utils.data import DataLoader

from benchmarking.rows import CLIP, DROPOUT, RATE, SIZE, load_rows
from benchmarking.turns import Turn, Work
from seqtrain.config.trainer import Precision
from seqtrain.data.rows.batching import bucketed_batches
from seqtrain.training.device import autocast


class Classifier(nn.Module):
    """A text classifier: tokens (B, T) with lengths (B,) to class scores (B, classes)."""

    def __init__(self, cell: str, vocab_size: int, num_classes: int, packed: bool):
        super().__init__()
        self.packed = packed
        self.drop = nn.Dropout(DROPOUT)
        self.vectors = nn.Embedding(vocab_size, SIZE, padding_idx=0)
        layer = {"gru": nn.GRU, "lstm": nn.LSTM}[cell]
        self.layer = layer(SIZE, SIZE, batch_first=True, bidirectional=True)
        self.hidden = nn.Linear(2 * SIZE, 2 * SIZE)
        self.query = nn.Linear(2 * SIZE, 1, bias=False)
        self.output = nn.Linear(2 * SIZE, num_classes)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        vectors = self.drop(self.vectors(tokens))
        if self.packed:
            rows = pack_padded_sequence(vectors, lengths, batch_first=True, enforce_sorted=False)
            states, _ = pad_packed_sequence(self.layer(rows)[0], batch_first=True)
        else:
            states, _ = self.layer(vectors)
        scores = self.query(torch.tanh(self.hidden(states))).squeeze(-1)
        weights = scores.masked_fill(tokens == 0, -torch.inf).softmax(-1)
        return self.output(self.drop(torch.bmm(weights[:, None], states).squeeze(1)))


class Buckets:
    """A batch sampler that draws the same batches as the tool."""

    def __init__(self, lengths: np.ndarray, batch_size: int):
        self.lengths, self.batch_size, self.rng = lengths, batch_size, np.random.default_rng(0)

    def __iter__(self) -> Iterator[list[int]]:
        for rows in bucketed_batches(self.lengths, self.batch_size, None, self.rng):
            yield rows.tolist()


def collate(rows: list[tuple[Tensor, int]]) -> tuple[Tensor, Tensor, Tensor]:
    """Make one padded batch of rows: tokens, lengths and labels."""
    tokens = [tokens for tokens, _ in rows]
    lengths, labels = torch.tensor([len(row) for row in tokens]), torch.tensor([label for _, label in rows])
    return pad_sequence(tokens, batch_first=True), lengths, labels


def loop(
    rows: str,
    cell: str,
    packed: bool = False,
    bucketed: bool = False,
    batch_size: int = 64,
    device: str = "cpu",
    precision: str = "fp32",
) -> tuple[Turn, int]:
    """A turn of a training loop over a DataLoader, shuffled, or bucketed into batches of rows of similar length."""
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    found = load_rows(rows)
    parts = np.split(found["tokens"].astype(np.int64), found["offsets"][1:-1])
    dataset = list(zip(map(torch.from_numpy, parts), found["labels"].tolist(), strict=True))
    loader: DataLoader[tuple[Tensor, int]] = (
        DataLoader(dataset, batch_sampler=Buckets(np.diff(found["offsets"]), batch_size), collate_fn=collate)  # type: ignore[arg-type]
        if bucketed
        else DataLoader(dataset, batch_size=batch_size, shuffle=True, collate_fn=collate)  # type: ignore[arg-type]
    )
    model = Classifier(cell, found["vocab_size"], found["num_classes"], packed).to(device)
    criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)
    model.train()

    def turn(steps: int | None) -> Work:
        work, total = Work(), 0.0
        for tokens, lengths, labels in loader:
            optimizer.zero_grad()
            with autocast(torch.device(device), Precision[precision]):
                loss = criterion(model(tokens.to(device), lengths), labels.to(device))
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            total += loss.item()
            work.add(int(lengths.sum()), tokens.numel())
            if work.steps == steps:
                break
        assert np.isfinite(total)
        return work

    return turn, sum(p.numel() for p in model.parameters())
