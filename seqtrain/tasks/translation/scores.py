"""Scores of translated texts by sacrebleu: the counts of each pair, and the signature that says how they are made.

Shapes: N pairs.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from seqtrain.config.translation import TranslationConfig
from seqtrain.tasks.base import Evaluation
from seqtrain.tasks.translation.statistics import BLEU_ORDERS, CHRF_ORDERS, STATISTICS

if TYPE_CHECKING:
    from sacrebleu.metrics import BLEU, CHRF

COUNTS = {"bleu_counts": 2 + 2 * BLEU_ORDERS, "chrf_counts": 3 * CHRF_ORDERS}
"""Outputs with the counts of a pair, and how many these are."""


def measures(config: TranslationConfig) -> tuple["BLEU", "CHRF"]:
    """Sacrebleu's BLEU and chrF with the task's options."""
    from sacrebleu.metrics import BLEU, CHRF

    # Without ``force`` it warns of texts whose words stand apart, as those of a baseline do.
    bleu = BLEU(lowercase=config.lowercase, force=True, tokenize=config.bleu_tokens.value)
    bleu.num_refs = 1
    return bleu, CHRF(lowercase=config.lowercase)


def counts_of(
    config: TranslationConfig, translations: Sequence[str], references: Sequence[str]
) -> dict[str, np.ndarray]:
    """The counts of which BLEU and chrF are made, of each pair: (N, 10) and (N, 18), int64."""
    found = {}
    for (name, size), measure in zip(COUNTS.items(), measures(config), strict=True):
        # The function that sacrebleu's own bootstrap uses; it has no public one.
        rows = measure._extract_corpus_statistics(translations, [references])
        found[name] = np.array(rows, dtype=np.int64).reshape(-1, size)
    return found


def signature(config: TranslationConfig) -> str:
    """What BLEU is, as sacrebleu names it."""
    return str(measures(config)[0].get_signature())


def evaluation_of(outputs: dict[str, np.ndarray]) -> Evaluation:
    """All metrics that the outputs have what they need for."""
    needs = {"bleu": "bleu_counts", "chrf": "chrf_counts", "loss": "nats", "perplexity": "nats"}
    metrics = {}
    for name, metric in STATISTICS.metrics.items():
        if needs[name] in outputs and metric.statistic is not None:
            metrics[name] = metric.statistic(outputs, {}).value()
    return Evaluation(metrics, outputs)
