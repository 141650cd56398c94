"""Beam search for the most probable targets of a batch of sources; a beam of one is greedy search.

Shapes: B sources, K hypotheses of a source (the beam), V tokens, S source steps.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from seqtrain.config.translation import TranslationConfig
from seqtrain.data.pairs.batch import PairBatch
from seqtrain.data.pairs.vocabularies import BEGIN_ID, END_ID, PAD_ID
from seqtrain.layers.attention import recorded_weights
from seqtrain.layers.masks import real_steps
from seqtrain.layers.memory import map_tensors
from seqtrain.tasks.language.beam import continued, normalised
from seqtrain.tasks.language.generation import without_onednn

EXTRA_TOKENS = 10  # that a translation may have above ``length_limit`` times its source
LEAVING_SHARE = 4  # finished sources leave once they are one in so many: to copy all others costs about a step


class Writer(Protocol):
    """A model that reads a source, and then writes token by token."""

    @property
    def attention(self) -> nn.Module | None:
        """The attention to the source, if there is one."""

    def read(self, batch: PairBatch) -> tuple[Any, Any]:
        """What it remembers of the sources, with a method ``rows``, and the state before the first token."""

    def step(self, tokens: Tensor, memory: Any, state: Any) -> tuple[Tensor, Any]:
        """Features (N, H) after tokens (N,), and the new state, whose tensors have the rows as last axis but one."""


def chosen_rows(state: Any, index: Tensor) -> Any:
    """The state of rows with these numbers."""
    return map_tensors(state, lambda tensor: tensor.index_select(-2, index))


def written_logits(head: nn.Module, features: Tensor) -> Tensor:
    """Logits (N, V) of the next token; padding and ``<begin>`` are never written."""
    logits: Tensor = head(features).float()
    logits[:, [PAD_ID, BEGIN_ID]] = -torch.inf
    return logits


@dataclass
class Pace:
    """How many sources were searched, and how long it took."""

    sentences: int = 0
    seconds: float = 0.0

    @contextmanager
    def measured(self, sentences: int) -> Iterator[None]:
        """Add the search for so many sources, and its duration."""
        started = time.monotonic()
        yield
        self.sentences, self.seconds = self.sentences + sentences, self.seconds + time.monotonic() - started

    def __str__(self) -> str:
        rate = self.sentences / max(self.seconds, 1e-9)
        return f"{self.sentences:,} sentences translated in {self.seconds:.2f} s ({rate:,.0f} sentences/s)"


@dataclass(frozen=True)
class Hypothesis:
    """A translation that the search found."""

    tokens: list[int]
    """Its tokens, with the end if it was reached."""
    log_probability: float
    """Log-probability, in nats, of the tokens."""
    score: float
    """What the translations of a source are ranked by: see ``scores``."""


def search(model: nn.Module, head: nn.Module, batch: PairBatch, config: TranslationConfig) -> list[list[Hypothesis]]:
    """Translate the sources of a batch.

    At each step every hypothesis is continued by every token, and the K most probable continuations of a source are
    kept, where one that has ended competes with its log-probability. So a beam that holds all targets up to the limit
    finds the best of them, and a beam of one takes the most probable token at each step. A source is finished when all
    of its hypotheses have ended; it then leaves the batch, and the others go on without it.

    Args:
        model: the translator, in evaluation mode.
        head: map from features to logits.
        batch: the sources.
        config: size of the beam, penalties and limit.

    Returns:
        The K hypotheses of each source, the best first; fewer if there are not as many.
    """
    translator = cast(Writer, model)
    limits = (config.length_limit * batch.lengths).long() + EXTRA_TOKENS
    attention = translator.attention if config.coverage_penalty > 0 else None
    with torch.no_grad(), without_onednn(), ExitStack() as stack:
        recorded = {} if attention is None else stack.enter_context(recorded_weights(attention))
        beam = Beam(translator, batch, config, limits, next(iter(recorded.values()), None))
        while len(beam.places):
            beam.advance(head)
            beam.release()
    return beam.found


class Beam:
    """The hypotheses of the unfinished sources of a batch, side by side: row b * K + k is hypothesis k of source b.

    Args:
        model: the translator.
        batch: the sources.
        config: see ``search``.
        limits: most tokens of each source's translation, (B,).
        weights: receives the weights of the attention at each step; None if they are not needed.
    """

    def __init__(
        self, model: Writer, batch: PairBatch, config: TranslationConfig, limits: Tensor,
        weights: list[Tensor] | None,
    ):  # fmt: skip
        B, K, device = len(batch.lengths), config.beam_size, batch.lengths.device
        self.model, self.config, self.limits, self.weights = model, config, limits, weights
        memory, state = model.read(batch)
        row = torch.arange(B, device=device).repeat_interleave(K)
        self.memory, self.state = memory.rows(row), chosen_rows(state, row)
        self.places = torch.arange(B, device=device)
        self.found: list[list[Hypothesis]] = [[] for _ in range(B)]
        """Hypotheses of each source that has left, the best first."""
        self.totals = torch.full((B, K), -torch.inf, dtype=torch.double, device=device)
        self.totals[:, 0] = 0.0  # a source begins with one hypothesis
        self.ended = torch.zeros((B, K), dtype=torch.bool, device=device)
        self.tokens = torch.full((B, K, 1), BEGIN_ID, device=device)
        self.lengths = torch.zeros((B, K), dtype=torch.long, device=device)
        self.covered = torch.zeros((B, K, batch.inputs.shape[1]), dtype=torch.double, device=device)
        self.real = real_steps(batch.lengths, batch.inputs.shape[1])

    def advance(self, head: nn.Module) -> None:
        """Continue all hypotheses by a token."""
        B, K = self.totals.shape
        features, state = self.model.step(self.tokens[:, :, -1].flatten(), self.memory, self.state)
        logits = written_logits(head, features)
        self.totals, parent, token = continued(self.totals, self.ended, logits.log_softmax(-1).view(B, K, -1))
        row = (torch.arange(B, device=parent.device)[:, None] * K + parent).flatten()
        before = self.ended.flatten()[row].view(B, K)
        self.tokens = torch.cat([self.tokens.flatten(0, 1)[row].view(B, K, -1), token[..., None]], dim=-1)
        self.lengths = self.lengths.flatten()[row].view(B, K) + ~before
        if self.weights is not None:
            attended = self.weights.pop()[:, 0].double().view(B, K, -1)
            self.covered = (self.covered + attended * ~self.ended[..., None]).flatten(0, 1)[row].view(B, K, -1)
        self.state = chosen_rows(state, row)
        dead = self.totals.isinf()  # a small vocabulary has fewer continuations than the beam has places
        self.ended = before | (token == END_ID) | (self.lengths >= self.limits[:, None]) | dead

    def release(self) -> None:
        """Let finished sources leave with their hypotheses, if they are many enough or all."""
        done = self.ended.all(1)
        count, whole = int(done.sum()), len(done)
        if count * LEAVING_SHARE < whole:
            return
        for place, hypotheses in zip(self.places[done].tolist(), self.hypotheses(done), strict=True):
            self.found[place] = hypotheses
        stay = (~done).nonzero().squeeze(1)
        row = (stay[:, None] * self.totals.shape[1] + torch.arange(self.totals.shape[1], device=stay.device)).flatten()
        self.memory, self.state = self.memory.rows(row), chosen_rows(self.state, row)
        for name in ("places", "limits", "totals", "ended", "tokens", "lengths", "covered", "real"):
            setattr(self, name, getattr(self, name)[stay])

    def scores(self) -> Tensor:
        """Scores of the hypotheses, (B, K): log-probability / ((5 + length) / 6)^a + b * sum_s log min(covered_s, 1).

        ``covered_s`` is the sum of the attention that source step s received.

        Source: Wu et al. 2016, "Google's neural machine translation system", eq. 14.
        """
        scores = normalised(self.totals, self.lengths, self.config.length_penalty)
        if self.weights is not None:
            logs = self.covered.clamp(1e-9, 1).log() * self.real[:, None]
            scores = scores + self.config.coverage_penalty * logs.sum(-1)
        return scores

    def hypotheses(self, chosen: Tensor) -> list[list[Hypothesis]]:
        """The hypotheses of the sources where ``chosen`` (B,) is true, the best first."""
        scores, order = self.scores()[chosen].sort(dim=1, descending=True, stable=True)
        totals = self.totals[chosen].gather(1, order)
        tokens = self.tokens[chosen].take_along_dim(order[..., None], 1)[..., 1:]
        columns = (part.tolist() for part in (tokens, totals, scores, self.lengths[chosen].gather(1, order)))
        return [
            [
                Hypothesis(row[:length], total, score)
                for row, total, score, length in zip(*source, strict=True)
                if total > -torch.inf
            ]
            for source in zip(*columns, strict=True)
        ]
