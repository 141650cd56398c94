"""Statistics of translation: an example is a pair of texts.

Shapes: N pairs.
"""

import numpy as np

from seqtrain.tasks.statistics import Floats, Metric, Options, Outputs, Spec, Statistic, TaskStatistics, ratio

BLEU_ORDERS, CHRF_ORDERS, CHRF_BETA = 4, 6, 2


def token_cross_entropy(outputs: Outputs, spec: Spec) -> Statistic:
    """Loss: negative log-probability of a target token, its end included, in nats."""
    return ratio(outputs["nats"], outputs["lengths"])


def token_perplexity(outputs: Outputs, spec: Spec) -> Statistic:
    """Perplexity: the exponential of the loss."""
    loss = token_cross_entropy(outputs, spec)
    return Statistic(loss.terms, lambda means: np.exp(loss.scores(means)))


def bleu(outputs: Outputs, spec: Spec) -> Statistic:
    """BLEU of all pairs together, from 0 to 100, as sacrebleu computes it, with its exponential smoothing.

    ``bleu_counts`` (N, 10) are the words of translation and reference, and for 1 to 4 words in a row how many are
    right, and how many there are.

    Source: Papineni et al. 2002, "BLEU: a method for automatic evaluation of machine translation".
    """
    counts = outputs["bleu_counts"].astype(np.float64)
    return Statistic(counts, lambda means: bleu_of(means * len(counts)))


def bleu_of(sums: Floats) -> Floats:
    """BLEU (...) from summed counts (..., 10)."""
    words, reference = sums[..., 0], sums[..., 1]
    right, whole = sums[..., 2 : 2 + BLEU_ORDERS], sums[..., 2 + BLEU_ORDERS :]
    missed = right < 0.5  # sums of whole numbers, up to rounding
    smoothed = np.where(missed, 0.5 ** missed.cumsum(-1), right)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(smoothed / whole).mean(-1)
        brevity = np.minimum(0.0, 1 - reference / words)
    known = (whole > 0.5).all(-1) & ~missed.all(-1)
    return np.where(known, 100 * np.exp(np.where(known, logs + brevity, 0.0)), 0.0)


def chrf(outputs: Outputs, spec: Spec) -> Statistic:
    """chrF2 of all pairs together, from 0 to 100, as sacrebleu computes it.

    ``chrf_counts`` (N, 18) are, for 1 to 6 letters in a row, how many the translation has, how many the reference, and
    how many both.

    Source: Popovic 2015, "chrF: character n-gram F-score for automatic MT evaluation".
    """
    counts = outputs["chrf_counts"].astype(np.float64)
    return Statistic(counts, lambda means: chrf_of(means * len(counts)))


def chrf_of(sums: Floats) -> Floats:
    """ChrF (...) from summed counts (..., 18)."""
    written, reference, both = (sums[..., i::3] for i in range(3))
    counted = (written > 0.5) & (reference > 0.5)
    orders = np.maximum(counted.sum(-1), 1)
    precision, recall = (
        np.divide(both, whole, out=np.zeros_like(both), where=counted).sum(-1) / orders
        for whole in (written, reference)
    )
    factor = CHRF_BETA**2
    below = factor * precision + recall
    return 100 * np.divide((1 + factor) * precision * recall, below, out=np.zeros_like(below), where=below > 0)


def scoring(spec: Spec, options: Options) -> dict[str, str]:
    """The vocabulary of targets, since losses per token of others are not comparable, and how BLEU reads texts."""
    keys = ("task.lowercase", "task.bleu_tokens", "task.translated_rows")
    return {"vocabulary": str(spec.get("target_vocab_size"))} | {
        key: str(options[key]) for key in keys if key in options
    }


STATISTICS = TaskStatistics(
    "pairs",
    {
        "bleu": Metric(bleu, True, "points of BLEU"),
        "chrf": Metric(chrf, True, "points of chrF"),
        "loss": Metric(token_cross_entropy, unit="nats per token", exponential="perplexity"),
        "perplexity": Metric(token_perplexity),
    },
    must_agree=scoring,
    about={
        "bleu": (
            "BLEU of the translations by sacrebleu, from 0 to 100: more is better. Runs are compared by it only with "
            "the same signature."
        ),
        "chrf": "F-score of the characters that translation and reference share, from 0 to 100: more is better.",
    },
)
