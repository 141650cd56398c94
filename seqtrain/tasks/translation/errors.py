"""What a translator gets wrong, found in its stored translations.

Shapes: N pairs that were translated.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqtrain.config.translation import TranslationConfig
from seqtrain.tasks.statistics import Floats, Outputs
from seqtrain.tasks.translation.search import EXTRA_TOKENS
from seqtrain.tasks.translation.statistics import BLEU_ORDERS, bleu_of, chrf_of
from seqtrain.tasks.translation.written import texts_of

REPEATED = re.compile(r"(?:^|\s)(\S+(?:\s\S+){0,3})(?:\s\1){2,}(?=\s|$)")
"""One to four words that stand three times or more, one after the other."""
FACTOR, LEAST = 2, 3
"""A translation is too short or too long if it differs from its reference by this factor, and by so many words."""


@dataclass(frozen=True)
class Translated:
    """The pairs of a split that a run translated, with the counts that BLEU and chrF are made of."""

    places: NDArray[np.int64]
    """Places of the pairs among the outputs, (N,)."""
    outputs: dict[str, np.ndarray]
    """Outputs of these pairs."""
    texts: list[str]
    """The translations."""

    @classmethod
    def of(cls, outputs: Outputs) -> "Translated | None":
        """Those that a run stored; None if it stored no translations, as earlier versions did.

        Raises:
            RunError: if they are damaged.
        """
        texts = texts_of(outputs)
        if texts is None:
            return None
        places = np.flatnonzero(outputs["translation_lengths"])
        needed = ("bleu_counts", "chrf_counts", "nats", "lengths", "source_lengths", "translation_lengths", "rows")
        kept = {name: np.asarray(outputs[name])[places] for name in needed if name in outputs}
        return cls(places, kept, [texts[place] for place in places])

    @property
    def bleu(self) -> Floats:
        """BLEU of each pair, see ``sentence_bleu``, (N,)."""
        return sentence_bleu(self.outputs["bleu_counts"])

    @property
    def chrf(self) -> Floats:
        """ChrF of each pair, (N,)."""
        return chrf_of(self.outputs["chrf_counts"].astype(np.float64))

    @property
    def losses(self) -> Floats:
        """Loss of each reference in nats per token, (N,)."""
        return self.outputs["nats"] / self.outputs["lengths"]

    def scores(self, chosen: NDArray[np.bool_]) -> tuple[float, float, float]:
        """BLEU and chrF of some pairs together, and the loss of their references; ``chosen``: which, (N,)."""
        bleu, chrf = (self.outputs[name][chosen].astype(np.float64).sum(0) for name in ("bleu_counts", "chrf_counts"))
        loss = self.outputs["nats"][chosen].sum() / max(self.outputs["lengths"][chosen].sum(), 1)
        return float(bleu_of(bleu)), float(chrf_of(chrf)), float(loss)

    def unusual(self, config: TranslationConfig) -> dict[str, NDArray[np.bool_]]:
        """Which translations are unusual, by what is unusual of them, (N,) each."""
        words, reference = self.outputs["bleu_counts"][:, :2].T
        limits = (config.length_limit * self.outputs["source_lengths"]).astype(np.int64) + EXTRA_TOKENS
        return {
            "empty": np.array([not text.strip() for text in self.texts], dtype=bool),
            "repeat a few words three times or more": np.array(list(map(repeats, self.texts)), dtype=bool),
            "less than half as long as the reference": (words * FACTOR < reference) & (reference - words >= LEAST),
            "more than twice as long as the reference": (words > FACTOR * reference) & (words - reference >= LEAST),
            "end only at task.length_limit": self.outputs["translation_lengths"] >= limits,
        }


def repeats(text: str) -> bool:
    """Whether one to four words of a text stand three times or more, one after the other."""
    return REPEATED.search(text) is not None


def sentence_bleu(counts: NDArray[np.integer]) -> Floats:
    """BLEU of single pairs (N,) from their counts (N, 10), as sacrebleu's ``sentence_bleu``.

    A translation of fewer than four words is scored by the numbers of words in a row that it has.
    """
    counts = counts.astype(np.float64)
    words, reference = counts[:, 0], counts[:, 1]
    right, whole = counts[:, 2 : 2 + BLEU_ORDERS], counts[:, 2 + BLEU_ORDERS :]
    has, missed = whole > 0, right == 0
    smoothed = np.where(missed, 0.5 ** (missed & has).cumsum(-1), right)
    logs = np.log(np.where(has, smoothed / np.maximum(whole, 1), 1)).sum(-1) / np.maximum(has.sum(-1), 1)
    brevity = np.minimum(0.0, 1 - reference / np.maximum(words, 1))
    return np.where(right.any(-1), 100 * np.exp(logs + brevity), 0.0)


def unusual_table(found: Translated, config: TranslationConfig) -> str:
    """How many translations are unusual as Markdown, for TensorBoard."""
    lines = ["| translations that | number | of all |", "| --- | ---: | ---: |"]
    for what, which in found.unusual(config).items():
        lines.append(f"| {said(what)} | {which.sum():,} | {100 * which.mean() if len(which) else 0:.1f} % |")
    return "\n".join([*lines, "", f"Of {len(found.texts):,} translations."])


def said(what: str) -> str:
    """What is unusual, after ``translations that``."""
    return what if what.startswith(("repeat", "end")) else f"are {what}"


def lowest(values: Floats, count: int) -> list[int]:
    """Places of the smallest values, at most ``count``, the smallest first."""
    return np.argsort(values, kind="stable")[:count].tolist()


def unlike(first: Sequence[str], second: Sequence[str]) -> tuple[list[bool], list[bool]]:
    """Which words of two texts have no partner in the other one, in the order of both."""
    from difflib import SequenceMatcher

    apart = [True] * len(first), [True] * len(second)
    for block in SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks():
        apart[0][block.a : block.a + block.size] = [False] * block.size
        apart[1][block.b : block.b + block.size] = [False] * block.size
    return apart
