"""Simple translations: one text for all, the source itself, and word by word by the probabilities of IBM model 1.

Shapes: N pairs, W occurrences of a source word beside a target word in a pair.
"""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from seqtrain.data.pairs.dataset import PairData
from seqtrain.data.text.tokenizer import WORD

MAX_PAIRS = 50_000
"""Pairs of train that model 1 is fitted on at most, spread evenly over it."""
ROUNDS = 5


def translate(data: PairData, split: str, limit: int | None) -> dict[str, list[str]]:
    """Translations of the sources of a split, by method.

    Args:
        data: the pairs.
        split: the split.
        limit: number of sources, from the first on; None for all.
    """
    sources = data.texts(split, "source").all()[:limit]
    count = data.sizes["train"]
    chosen = np.unique(np.linspace(0, count - 1, min(count, MAX_PAIRS)).astype(int))
    sides = ([words(text) for text in data.texts("train", side).at(chosen)] for side in ("source", "target"))
    lexicon = most_probable(*sides)
    by_word = [" ".join(lexicon.get(word, word) for word in words(text)) for text in sources]
    one = most_frequent(data.texts("train", "target").all())
    return {
        "most frequent target": [one] * len(sources),
        "copy of the source": sources,
        "word by word (IBM model 1)": by_word,
    }


def most_frequent(texts: Sequence[str]) -> str:
    """The most frequent text; of equally frequent ones the shortest, and of these the first in alphabetical order."""
    counts = Counter(texts)
    return min(counts, key=lambda text: (-counts[text], len(text), text))


def words(text: str) -> list[str]:
    """The words of a text in lower case, and its punctuation marks."""
    return re.findall(WORD, text.lower())


def most_probable(sources: Sequence[Sequence[str]], targets: Sequence[Sequence[str]]) -> dict[str, str]:
    """The most probable target word of each source word under IBM model 1, fitted by expectation maximisation.

    The model generates each target word t from one of the source words s of its pair, all equally probable, by t(t|s).
    There is no empty source word.

    Args:
        sources: words of each source, N lists.
        targets: words of each target.

    Returns:
        Source word -> target word; of equally probable ones the first in alphabetical order.

    Source: Brown et al. 1993, "The mathematics of statistical machine translation: parameter estimation", section 4.2.
    """
    (source_names, source_numbers), (target_names, target_numbers) = numbered(sources), numbered(targets)
    left, right, places = [], [], []
    place = 0
    for source, target in zip(source_numbers, target_numbers, strict=True):
        left.append(np.tile(source, len(target)))
        right.append(np.repeat(target, len(source)))
        places.append(np.repeat(np.arange(place, place + len(target)), len(source)))
        place += len(target)
    s, at = np.concatenate(left), np.concatenate(places)  # (W,)
    key = s.astype(np.int64) * len(target_names) + np.concatenate(right)
    entries, entry = np.unique(key, return_inverse=True)
    of_source = entries // len(target_names)
    probability = np.ones(len(entries))
    for _ in range(ROUNDS):
        share = probability[entry]
        share /= np.bincount(at, share)[at]
        expected = np.bincount(entry, share, minlength=len(entries))
        probability = expected / np.bincount(of_source, expected)[of_source]
    order = np.lexsort((entries % len(target_names), -probability, of_source))
    first = order[np.unique(of_source[order], return_index=True)[1]]
    return {source_names[of_source[i]]: target_names[entries[i] % len(target_names)] for i in first}


def numbered(rows: Sequence[Sequence[str]]) -> tuple[list[str], list[np.ndarray]]:
    """All words in alphabetical order, and the numbers of the words of each row."""
    names = sorted({word for row in rows for word in row})
    numbers = {name: i for i, name in enumerate(names)}
    return names, [np.array([numbers[word] for word in row], dtype=np.int64) for row in rows]
