"""Choose the next token from logits, and find where a generated text should stop.

Shapes: B sequences, V tokens of the vocabulary.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from seqtrain.config.base import require
from seqtrain.errors import RunError


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen; by default, at random from the distribution of the model."""

    temperature: float = 1.0
    """Divisor of the logits: below 1 it favours probable tokens, above 1 improbable ones."""
    top_k: int | None = None
    """Draw only from this number of most probable tokens; None: from all."""
    top_p: float = 1.0
    """Draw only from the smallest set of most probable tokens that has this share of the probability."""
    repetition_penalty: float = 1.0
    """Above 1 it makes tokens that were seen before less probable, below 1 more probable."""
    greedy: bool = False
    """Take the most probable token instead of drawing; of the other values only repetition_penalty is then used."""

    def check(self) -> None:
        """Raise ConfigError for a value outside its range."""
        for key in ("temperature", "top_p", "repetition_penalty"):
            require(math.isfinite(getattr(self, key)), key, getattr(self, key), "a finite number")
        remedy = "above 0; for the most probable token at each step give greedy=true"
        require(self.temperature > 0, "temperature", self.temperature, remedy)
        require(self.top_k is None or self.top_k >= 1, "top_k", self.top_k, "at least 1; leave it out for all tokens")
        require(0 < self.top_p <= 1, "top_p", self.top_p, "in (0, 1]; give 1 for all tokens")
        require(self.repetition_penalty > 0, "repetition_penalty", self.repetition_penalty, "above 0; give 1 for none")


def choose(logits: Tensor, seen: Tensor | None, sampling: Sampling, generator: torch.Generator | None) -> Tensor:
    """Choose the next token of each sequence: the most probable one if greedy, else a random one.

    Args:
        logits: scores of the next token, (B, V), of any floating type.
        seen: whether each sequence holds each token so far, boolean, (B, V); None: no tokens.
        sampling: how to choose.
        generator: source of the draws, on the device of the logits; None for the global one.

    Returns:
        Tokens, int64, (B,).

    Raises:
        RunError: if a sequence has a NaN or infinite logit, or no token with a probability above 0. A logit of minus
            infinity is allowed; it excludes the token.
    """
    if sampling.greedy:
        scores = penalised(logits, seen, sampling.repetition_penalty)
    else:
        scores = filtered(logits, seen, sampling)
    usable = scores.amax(dim=-1).isfinite()  # the maximum is NaN if any logit is
    if not usable.all():
        raise RunError(
            f"sequence {usable.tolist().index(False)}: its logits hold NaN or infinite values, so no token can be "
            "chosen; use another checkpoint, a higher precision, or a temperature and repetition_penalty nearer 1"
        )
    if sampling.greedy:
        return scores.argmax(dim=-1)
    return torch.multinomial(scores.softmax(dim=-1), 1, generator=generator).squeeze(-1)


def filtered(logits: Tensor, seen: Tensor | None, sampling: Sampling) -> Tensor:
    """Logits of the distribution to draw from: after repetition penalty, temperature, top_k and top_p, in this order.

    Of equal logits the lower token ranks first, so that exactly top_k tokens stay. The share of top_p is computed among
    the tokens that top_k leaves; at least one token stays.

    Args:
        logits: scores of the next token, (B, V), of any floating type.
        seen: true for the tokens that each sequence holds so far, boolean, (B, V); None for none.
        sampling: how to choose; ``greedy`` is ignored.

    Returns:
        Logits, (B, V), in float32 or more. The largest is 0, and those of excluded tokens are minus infinity. A row is
        NaN if its largest logit is not finite.

    Source: Fan et al. 2018 (top_k); Holtzman et al. 2020, section 3.1 (top_p).
    """
    scores = penalised(logits, seen, sampling.repetition_penalty)
    # The largest is 0 before the division, so that a low temperature cannot cause overflow.
    scores = (scores - scores.amax(dim=-1, keepdim=True)) / sampling.temperature
    if sampling.top_k is None and sampling.top_p == 1:
        return scores
    ranked, tokens = scores.sort(dim=-1, descending=True, stable=True)
    if sampling.top_k is not None:
        ranked[:, sampling.top_k :] = -math.inf
    if sampling.top_p < 1:
        shares = ranked.softmax(dim=-1)
        before = shares.cumsum(dim=-1) - shares
        ranked = ranked.masked_fill(before >= sampling.top_p, -math.inf)
    return torch.empty_like(ranked).scatter_(-1, tokens, ranked)


def penalised(logits: Tensor, seen: Tensor | None, penalty: float) -> Tensor:
    """Apply the repetition penalty: divide positive logits of seen tokens by it, and multiply negative ones.

    Args:
        logits: scores of the next token, (B, V).
        seen: whether each sequence holds each token so far, boolean, (B, V); None: no tokens.
        penalty: the penalty, above 0.

    Returns:
        Logits, (B, V), in float32 or more.

    Source: Keskar et al. 2019 (CTRL), section 4.1, which divides all logits; this would raise negative ones.
    """
    scores = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if seen is None or penalty == 1:
        return scores
    return torch.where(seen, torch.where(scores > 0, scores / penalty, scores * penalty), scores)


class StopStrings:
    """Finds the first of several stop strings in a text that arrives in pieces.

    The first stop string is the one that ends first; of several that end at the same place, it is the longest.

    Args:
        strings: the stop strings; with an empty list, every text passes.

    Raises:
        ConfigError: if a stop string is empty.
    """

    def __init__(self, strings: list[str]):
        require(all(strings), "stop", strings, "strings of at least one character; leave the empty one out")
        self.strings = strings
        self.held = ""
        self.stopped = False

    def feed(self, piece: str) -> str:
        """Add the next piece and return the text that can be printed: all before a stop string or the start of one.

        After a stop string was found, ``stopped`` is true and all further text is dropped.
        """
        if self.stopped:
            return ""
        text = self.held + piece
        found = [(start + len(string), start) for string in self.strings if (start := text.find(string)) >= 0]
        if found:
            self.stopped = True
            self.held = ""
            return text[: min(found)[1]]
        longest = max(map(len, self.strings), default=1)
        for start in range(max(0, len(text) - longest + 1), len(text)):
            if any(string.startswith(text[start:]) for string in self.strings):
                break
        else:
            start = len(text)
        self.held = text[start:]
        return text[:start]

    def flush(self) -> str:
        """Return the rest of the text after the last piece; it is empty if a stop string was found."""
        rest, self.held = self.held, ""
        return rest
