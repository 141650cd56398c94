"""The training loop of pytorch/examples word_language_model, reimplemented, at its usual size."""

import math
from typing import cast

import torch
from torch import Tensor, nn

from benchmarking.tool import composed
from benchmarking.turns import Turn, Work
from seqtrain.commands.build import build_data
from seqtrain.config.trainer import Precision
from seqtrain.data.corpus.dataset import RunningText
from seqtrain.training.device import autocast

SIZE, LAYERS, DROPOUT, BPTT, CLIP, RATE = 650, 2, 0.5, 35, 0.25, 20.0


class WordModel(nn.Module):
    """The example's language model: log-probabilities (T * B, V) of tokens (T, B), and the state after them."""

    def __init__(self, vocab_size: int):
        super().__init__()
        self.drop = nn.Dropout(DROPOUT)
        self.vectors = nn.Embedding(vocab_size, SIZE)
        self.lstm = nn.LSTM(SIZE, SIZE, LAYERS, dropout=DROPOUT)
        self.decoder = nn.Linear(SIZE, vocab_size)
        self.decoder.weight = self.vectors.weight
        nn.init.uniform_(self.decoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)

    def forward(self, tokens: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        outputs, state = self.lstm(self.drop(self.vectors(tokens)), state)
        return nn.functional.log_softmax(self.decoder(self.drop(outputs)).flatten(0, 1), dim=-1), state


def loop(batch_size: int, precision: str = "fp32", device: str = "cpu") -> tuple[Turn, int]:
    """A turn of the example's loop: segments of 35 steps, all logits at once, clipping, plain SGD."""
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    data = cast(RunningText, build_data(composed(["data=wikitext2", f"data.batch_size={batch_size}"])))
    length = data.row_length
    train = torch.tensor(data.tokens["train"][: batch_size * length + 1].astype("int64"))
    # Each row of the text becomes a column, which includes the last target.
    columns = train.unfold(0, length + 1, length).t().contiguous().to(device)
    model, criterion = WordModel(cast(int, data.spec.vocab_size)).to(device), nn.NLLLoss()
    model.train()

    def turn(steps: int | None) -> Work:
        work, total = Work(), 0.0
        state = (
            torch.zeros(LAYERS, batch_size, SIZE, device=device),
            torch.zeros(LAYERS, batch_size, SIZE, device=device),
        )
        for start in range(0, length - BPTT, BPTT):
            model.zero_grad()
            state = (state[0].detach(), state[1].detach())
            with autocast(torch.device(device), Precision[precision]):
                scores, state = model(columns[start : start + BPTT], state)
                loss = criterion(scores, columns[start + 1 : start + 1 + BPTT].flatten())
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            for parameter in model.parameters():
                parameter.data.add_(cast(Tensor, parameter.grad), alpha=-RATE)
            total += loss.item()
            work.add(batch_size * BPTT, batch_size * BPTT)
            if work.steps == steps:
                break
        assert math.isfinite(total), "the example's loop diverged: lower RATE"
        return work

    return turn, sum(p.numel() for p in model.parameters())
