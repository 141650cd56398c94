"""What all vocabularies have in common: the special words, and the order of the others."""

from collections import Counter
from collections.abc import Container

PAD, UNKNOWN = "<pad>", "<unk>"
"""Padding, and what stands for a word that a vocabulary lacks."""
END = "<end>"
"""What ends a document of a corpus of documents."""


def by_frequency(counts: Counter[str], min_count: int, special: Container[str]) -> list[str]:
    """Symbols by falling count, equals in alphabetical order.

    Args:
        counts: of each symbol in train.
        min_count: symbols with a lower count are not kept.
        special: symbols that are not kept either: in a text they would be taken for special words.
    """
    kept = (symbol for symbol, count in counts.items() if count >= min_count and symbol not in special)
    return sorted(kept, key=lambda symbol: (-counts[symbol], symbol))
