"""Rows of test that the weights of a new run were trained on already, in the runs that it starts from."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from seqtrain.commands.build import build_data
from seqtrain.commands.sources import Source
from seqtrain.config.root import Config
from seqtrain.data.base import Dataset
from seqtrain.data.seen import read_seen
from seqtrain.errors import DataError, UserError


@dataclass
class SeenRows:
    """What the weights of a run will have seen after training."""

    digests: np.ndarray | None
    """Digests of the rows of its train, and of those of the runs that it starts from, ascending; None: not known."""
    counts: dict[str, int] = field(default_factory=dict)
    """Rows of each held-out split that those runs were trained on."""
    notes: list[str] = field(default_factory=list)


def find_seen(config: Config, data: Dataset, sources: Sequence[Source]) -> SeenRows:
    """Count the rows of validation and test that the weights of the runs were trained on.

    Args:
        config: the configuration.
        data: the dataset.
        sources: the runs; with none, nothing is read again for the digests.

    Raises:
        DataError: if there are more of test than train has in common with test; of validation, without a test split.
    """
    own = data.row_digests("train", read=bool(sources))
    if not sources:
        return SeenRows(None if own is None else np.unique(own))
    before = [trained_on(source) for source in sources]
    unknown = [str(source) for source, digests in zip(sources, before, strict=True) if digests is None]
    if own is None or unknown:
        whose = " and ".join(unknown) or f"data={config.data.name}"
        why = f"of {whose} it is not known which rows are in train"
        return SeenRows(None, notes=[f"rows of test that the weights have seen cannot be counted: {why}"])
    seen = np.unique(np.concatenate([digests for digests in before if digests is not None]))
    found = SeenRows(np.union1d(seen, own))
    scored = "test" if "test" in data.sizes else "validation"
    for split in ("validation", "test"):
        rows = data.row_digests(split) if split in data.sizes else None
        if rows is None:
            continue
        trained, shared = int(np.isin(rows, seen).sum()), int(np.isin(rows, own).sum())
        many = f"{trained:,} of {len(rows):,} {data.digested} of {split}"
        found.counts[split] = trained
        found.notes.append(
            f"{many} are among those that the weights of {' and '.join(map(str, sources))} were trained on; train "
            f"itself has {shared:,} of them"
        )
        if split == scored and trained > shared:
            raise DataError(
                f"{sources[0]}: its weights were trained on {many}, and train itself has {shared:,}: scores would be "
                f"too good; train it again without them, or give other rows as {split}"
            )
    return found


def trained_on(source: Source) -> np.ndarray | None:
    """Digests of the rows that the weights of a run were trained on; None if they are not known."""
    if (digests := read_seen(source.run.path, source.described)) is not None:
        return digests
    if source.config.init is not None:
        return None
    try:  # its data was prepared by an earlier version, which made no digests
        data = build_data(source.config, trained=source.run.path)
        return data.row_digests("train") if data.fingerprint == source.described.fingerprint else None
    except (UserError, OSError):
        return None
