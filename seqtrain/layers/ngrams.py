"""Bags of n-grams: the n-grams of a text, how many texts of each class have one, and scores of the classes from them.

An n-gram is known by its key, one integer that is different for every sequence of tokens.

Shapes: B batch, T time, L n-grams of a row, S n-grams of a table, C classes, K scores of a bag.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from seqtrain.layers.dropout import dropout_factors

ABSENT = 2**63 - 1
"""Key of no n-gram; it is above all others, so that it is last where keys are sorted."""
CHUNK = 1 << 22
"""N-grams of texts that are counted at once: 32 MB of keys."""
PACE = 10.0
"""How much faster than a weight of the network a relative change of a ratio is learned. At the network's own rate, few
epochs would leave naive Bayes almost as it was."""


def keys_fit(vocab_size: int, longest: int) -> bool:
    """Whether every n-gram of up to ``longest`` tokens has a key of its own in 63 bits."""
    return (vocab_size + 1) ** longest <= ABSENT


def ngram_keys(tokens: Tensor, lengths: Tensor, vocab_size: int, longest: int) -> Tensor:
    """Keys of the different 1- to ``longest``-grams of each row. An n-gram counts once, however often it is there.

    The key of (a, b, c) is ((a + 1) (V + 1) + b + 1) (V + 1) + c + 1, where V is the size of the vocabulary: a number
    whose digits are the tokens. Padding is in no n-gram.

    Args:
        tokens: (B, T), int64, in [0, V).
        lengths: number of real tokens of each row, (B,).
        vocab_size: V.
        longest: number N of tokens of the longest n-grams.

    Returns:
        Keys (B, N T - N (N - 1) / 2) in ascending order, int64; ``ABSENT`` at the end of rows with fewer.
    """
    digits = tokens + 1
    keys, found = digits, []
    for n in range(1, longest + 1):
        if n > 1:
            keys = keys[:, :-1] * (vocab_size + 1) + digits[:, n - 1 :]
        real = torch.arange(keys.shape[1], device=keys.device) <= (lengths - n)[:, None]
        found.append(keys.masked_fill(~real, ABSENT))
    ordered = torch.cat(found, dim=1).sort(dim=1).values
    repeated = ordered[:, 1:] == ordered[:, :-1]
    ordered[:, 1:].masked_fill_(repeated, ABSENT)
    return ordered.sort(dim=1).values


def count_ngrams(rows: Iterable[tuple[Tensor, Tensor]], num_classes: int) -> tuple[Tensor, Tensor]:
    """Count the texts, and the texts of each class, that have an n-gram.

    Args:
        rows: pairs of the keys of some texts, (B, L), and whether each text is of each class, (B, C).
        num_classes: C.

    Returns:
        All keys, ascending, (S,), and the counts, (S, 1 + C), float64: of all texts, then of those of each class.
    """
    keys, counts = torch.empty(0, dtype=torch.long), torch.empty(0, 1 + num_classes, dtype=torch.double)
    waiting: list[tuple[Tensor, Tensor]] = []
    size = 0
    for found, member in rows:
        real = found != ABSENT
        each = torch.cat([torch.ones(len(member), 1), member], dim=1).double()
        waiting.append((found[real], each.repeat_interleave(real.sum(1), dim=0)))
        size += len(waiting[-1][0])
        if size > CHUNK:
            keys, counts = merged([(keys, counts), *waiting])
            waiting, size = [], 0
    return merged([(keys, counts), *waiting])


def merged(parts: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Keys and counts of several tables, (S,) and (S, 1 + C), as one table with each key once."""
    keys, places = torch.unique(torch.cat([keys for keys, _ in parts]), return_inverse=True)
    each = torch.cat([counts for _, counts in parts])
    return keys, torch.zeros(len(keys), each.shape[1], dtype=torch.double).index_add_(0, places, each)


def most_common(keys: Tensor, counts: Tensor, least: int, size: int) -> tuple[Tensor, Tensor]:
    """The n-grams of at least ``least`` texts, and of these the ``size`` that are in the most texts.

    Of n-grams that are in equally many texts, those with the smallest keys are kept.

    Args:
        keys: ascending, (S,).
        counts: as ``count_ngrams`` returns them, (S, 1 + C).
        least: smallest number of texts.
        size: largest number of n-grams.

    Returns:
        The rest of keys and counts, in the same order.
    """
    enough = counts[:, 0] >= least
    keys, counts = keys[enough], counts[enough]
    kept = counts[:, 0].argsort(descending=True, stable=True)[:size].sort().values
    return keys[kept], counts[kept]


def log_count_ratios(counts: Tensor) -> Tensor:
    """For each n-gram and class, how much likelier a text of the class has it than another text, in logarithms.

    With p and q the numbers of texts with the n-gram in the class and outside it, each plus 1, and |p|, |q| their sums
    over all n-grams:

        r = log((p / |p|) / (q / |q|))

    A class that has no n-gram, or all, cannot be told from others: its ratios are 0.

    Args:
        counts: as ``count_ngrams`` returns them, (S, 1 + C).

    Returns:
        The ratios in nats, (S, C), float64.

    Source: Wang and Manning 2012, "Baselines and bigrams", section 2.1, with smoothing 1; one class against the rest.
    """
    inside, outside = counts[:, 1:], counts[:, :1] - counts[:, 1:]
    p, q = 1 + inside, 1 + outside
    ratios = (p / p.sum(0)).log() - (q / q.sum(0)).log()
    return ratios * ((inside.sum(0) > 0) & (outside.sum(0) > 0))


class NgramBag(nn.Module):
    """Scores of the classes from the n-grams of a text: a linear map that starts as naive Bayes.

        s_c = Σ_g r_gc (1 + PACE w_gc)

    over the n-grams g of the text that the table knows. The log-count ratios r are set by ``fill``, and w is learned,
    from 0 on. Weight decay on w draws the map towards naive Bayes.

    Of two classes that exclude each other, the ratios differ by their sign only. One score is then computed, and the
    scores of the two are -s / 2 and s / 2.

    Args:
        vocab_size: number of tokens.
        longest: number of tokens of the longest n-grams.
        size: number S of n-grams of the table.
        num_classes: number C of classes.
        exclusive: a text has one class only.
        dropout: probability of dropping an n-gram of a text.
        row_dropout: probability of scoring 0 for a whole text in training, so that the network beside it learns from
            that text alone. Other texts are not scaled up for it.
    """

    keys: Tensor
    ratios: Tensor

    def __init__(
        self,
        vocab_size: int,
        longest: int,
        size: int,
        num_classes: int,
        *,
        exclusive: bool,
        dropout: float,
        row_dropout: float,
    ):
        super().__init__()
        self.vocab_size, self.longest, self.p, self.row_p = vocab_size, longest, dropout, row_dropout
        self.num_classes, self.halved = num_classes, exclusive and num_classes == 2
        num_scores = 1 if self.halved else num_classes
        # The last row is that of all n-grams that the table does not know: its ratios are 0.
        self.register_buffer("keys", torch.full((size + 1,), ABSENT))
        self.register_buffer("ratios", torch.zeros(size + 1, num_scores))
        self.changes = nn.Embedding(size + 1, num_scores, _weight=torch.zeros(size + 1, num_scores))

    @torch.no_grad()
    def fill(self, keys: Tensor, ratios: Tensor) -> None:
        """Set the n-grams of the table, and their ratios.

        Args:
            keys: ascending, (S,).
            ratios: for each class, (S, C).
        """
        self.keys[:-1] = keys
        self.ratios[:-1] = ratios[:, 1:] if self.halved else ratios

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Scores (B, C), float32, of rows of tokens (B, T) with ``lengths`` (B,) real ones."""
        found = ngram_keys(tokens, lengths, self.vocab_size, self.longest)
        slots = torch.searchsorted(self.keys, found)
        slots = torch.where(self.keys[slots] == found, slots, len(self.keys) - 1)
        weights = self.ratios[slots] * (1 + PACE * self.changes(slots))
        if self.training and self.p > 0:
            weights = weights * dropout_factors((*slots.shape, 1), self.p, weights)
        scores = weights.sum(1)
        if self.training and self.row_p > 0:
            scores = scores * (dropout_factors((len(scores), 1), self.row_p, scores) > 0)
        return torch.cat([-scores, scores], dim=1) / 2 if self.halved else scores
