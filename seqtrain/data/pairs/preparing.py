"""Pairs of texts made ready for a model: cleaned, split and tokenised."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from seqtrain.config.base import Targets
from seqtrain.config.pairs import PairsConfig
from seqtrain.data.locate import SPLITS
from seqtrain.data.pairs.reading import Pairs
from seqtrain.data.pairs.stored import store
from seqtrain.data.pairs.vocabularies import PAD_ID, Vocabularies, with_end
from seqtrain.data.row_digests import text_digests
from seqtrain.data.rows.tokens import flatten
from seqtrain.data.spec import DataSpec
from seqtrain.data.text.batches import unknown_notes
from seqtrain.errors import DataError


def with_all_splits(pairs: Mapping[str, Pairs], config: PairsConfig, notes: list[str]) -> dict[str, Pairs]:
    """Take the splits that are missing from train: validation, and test if there is train only."""
    splits = dict(pairs)
    for split in ("test", "validation") if splits.keys() == {"train"} else ("validation",):
        size = getattr(config, f"{split}_size")
        if split not in splits and "train" in splits and size > 0:
            stay, apart = set_apart(len(splits["train"].rows), size, config.split_seed, f"data.{split}_size")
            notes.append(f"{split}: {len(apart):,} pairs of train set apart (data.{split}_size), at random")
            splits |= {"train": splits["train"].select(stay), split: splits["train"].select(apart)}
    if "test" not in splits:
        notes.append("test: there is none; scores are on validation")
    held_out = {text for split, part in splits.items() if split != "train" for text in part.sources}
    repeated = sum(text in held_out for text in splits["train"].sources) if "train" in splits else 0
    if repeated:
        notes.append(f"train: the source of {repeated:,} pairs also occurs in validation or test")
    return {split: splits[split] for split in SPLITS if split in splits}


def set_apart(count: int, size: float, seed: int, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the pairs that stay and of those chosen at random, in ascending order each.

    Args:
        count: number of pairs.
        size: pairs to choose: a fraction below 1, or a number of pairs.
        seed: seed of the choice.
        key: the option that gives the size, for the error.

    Raises:
        DataError: if no pair would stay.
    """
    chosen = max(1, round(size * count if size < 1 else size))
    if chosen >= count:
        raise DataError(f"{key}={size:g}: sets all of the {count} pairs apart; give a fraction below 1, or fewer pairs")
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[chosen:]), np.sort(order[:chosen])


def prepare(splits: dict[str, Pairs], given: Vocabularies | None, config: PairsConfig, directory: Path,
            notes: list[str]) -> tuple[DataSpec, dict[str, int]]:  # fmt: skip
    """Tokenise all splits, drop what is too long in train, and write both into a directory.

    Args:
        splits: the pairs.
        given: the tokenizers; None learns them from train.
        config: the options.
        directory: where to.
        notes: receives what is dropped.

    Returns:
        The spec, and the number of pairs of each split.

    Raises:
        DataError: if all of train is too long.
    """
    known = given or Vocabularies.learn(config, splits["train"].sources, splits["train"].targets)
    sizes = {}
    for split, part in splits.items():
        numbers = [
            [row for chunk in with_end(tokenizer, texts) for row in chunk]
            for tokenizer, texts in ((known.source, part.sources), (known.target, part.targets))
        ]
        if split == "train":
            part, numbers = without_long(part, numbers, config.max_length, notes)
        for side, tokenizer, texts, rows in zip(
            ("source", "target"), (known.source, known.target), (part.sources, part.targets), numbers, strict=True
        ):
            tokens, offsets = flatten([rows], tokenizer.get_vocab_size())
            notes += unknown_notes(f"{split}, {side}", tokens, tokenizer)
            np.save(directory / f"{split}.{side}.tokens.npy", tokens)
            np.save(directory / f"{split}.{side}.offsets.npy", offsets)
            store(texts, directory / f"{split}.{side}")
        np.save(directory / f"{split}.rows.npy", part.rows)
        np.save(directory / f"{split}.digests.npy", text_digests(part.sources))
        sizes[split] = len(part.rows)
    known.save(directory)
    spec = DataSpec(
        targets=Targets.translation,
        vocab_size=known.source.get_vocab_size(),
        target_vocab_size=known.target.get_vocab_size(),
        pad_id=PAD_ID,
    )
    return spec, sizes


def without_long(
    part: Pairs, numbers: list[list[list[int]]], limit: int, notes: list[str]
) -> tuple[Pairs, list[list[list[int]]]]:
    """The pairs of train that have at most ``limit`` tokens on each side, and their tokens; the end does not count."""
    fits = np.array([max(map(len, sides)) <= limit + 1 for sides in zip(*numbers, strict=True)])
    if fits.all():
        return part, numbers
    long = np.flatnonzero(~fits)
    first = f"the first is pair {part.rows[long[0]] + 1:,} of {part.origin}"
    if not fits.any():
        raise DataError(f"data.max_length={limit}: all {len(long):,} pairs of train are longer; raise it")
    notes.append(f"train: {len(long):,} pairs of more than {limit} tokens on a side dropped (data.max_length); {first}")
    kept = np.flatnonzero(fits)
    return part.select(kept), [[rows[i] for i in kept] for rows in numbers]
