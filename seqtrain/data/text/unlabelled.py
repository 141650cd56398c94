"""Texts without labels that join the training batches of labelled texts: ``data.unlabelled``.

They are tokenised once by the tokenizer of train, and memory-mapped. Texts that are also in test are left out.

Shapes: N texts.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, compress, count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import torch

from seqtrain.config.data import HubTextConfig, TextClassificationConfig
from seqtrain.data.base import Batch
from seqtrain.data.cache import cached, digest
from seqtrain.data.digests import mapped
from seqtrain.data.hub import load_from_hub
from seqtrain.data.locate import NoSplitError, file_digest, find_path, split_files, visible_files
from seqtrain.data.row_digests import text_digests
from seqtrain.data.rows.batching import bucketed_batches
from seqtrain.data.rows.tokens import TokenRows, flatten
from seqtrain.data.tables.files import SUFFIXES, file_type
from seqtrain.data.tables.reading import read_table
from seqtrain.data.tables.table import Table
from seqtrain.data.text.batches import unknown_notes
from seqtrain.data.text.columns import from_folders, texts_of
from seqtrain.data.text.labelled import fingerprint
from seqtrain.data.text.labels import LabelledTexts
from seqtrain.data.vocabulary import PAD
from seqtrain.errors import DataError
from seqtrain.paths import expanded

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FORMAT = 1  # version of the prepared files
HELD_OUT = ("validation", "test")
STREAM = 1  # apart from the random numbers of the labelled order


class Labelled(Protocol):
    """The dataset of labelled texts that the others join."""

    config: TextClassificationConfig
    seed: int
    directory: Path

    @property
    def tokenizer(self) -> "Tokenizer": ...

    def labelled_texts(self) -> tuple[dict[str, LabelledTexts], Any, list[str]]: ...


@dataclass
class JoinedBatch(Batch):
    """A batch of labelled rows, and one of rows without labels."""

    unlabelled: Batch | None = None
    """Its targets mean nothing."""

    def shard(self, rank: int, size: int) -> Self:
        other = None if self.unlabelled is None else self.unlabelled.shard(rank, size)
        return replace(super().shard(rank, size), unlabelled=other)

    def to(self, device: torch.device) -> Self:
        other = None if self.unlabelled is None else self.unlabelled.to(device)
        return replace(super().to(device), unlabelled=other)


def joined_batch(batch: Batch, unlabelled: Batch) -> Batch:
    """A batch of labelled rows, joined by rows without labels."""
    return JoinedBatch(**vars(batch), unlabelled=unlabelled)


class UnlabelledTexts:
    """Texts without labels, in batches of similar length.

    Args:
        directory: the prepared files.
        config: sizes of batches and texts.
        pad_id: token that pads rows.
        seed: seed of the order.
    """

    def __init__(self, directory: Path, config: TextClassificationConfig, pad_id: int, seed: int):
        self.config, self.pad_id, self.seed = config, pad_id, seed
        meta = json.loads((directory / "meta.json").read_text())
        self.notes: list[str] = meta["notes"]
        self.fingerprint: str = meta["fingerprint"]
        tokens, offsets = (mapped(directory / f"{name}.npy") for name in ("tokens", "offsets"))
        self.digests = np.asarray(mapped(directory / "digests.npy"))
        """Digests of the texts, (N,), uint64."""
        self.rows = TokenRows(tokens, np.asarray(offsets), config.max_length, config.truncate)

    @classmethod
    def prepared(cls, labelled: Labelled) -> Self:
        """The texts that ``data.unlabelled`` names, read and tokenised if they have not been before.

        Raises:
            DataError: if there are none, or they cannot be read.
        """
        config = labelled.config
        sources = find_unlabelled(config)
        # Of a dataset from the hub, the labelled texts tell which it is.
        contents = [file_digest(path) for path in sources] or [f"split {config.unlabelled}"]
        key = digest({"format": FORMAT, "labelled": labelled.directory.name, "contents": contents})
        directory = cached("unlabelled", key, partial(build, labelled, sources))
        return cls(directory, config, labelled.tokenizer.token_to_id(PAD) or 0, labelled.seed)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """An endless series of batches for an epoch of the labelled texts, from number ``start`` on.

        Every text occurs once before any occurs again. The order depends on seed and epoch only.
        """
        orders = (self.order(epoch, turn) for turn in count())
        for rows in islice(chain.from_iterable(orders), start, None):
            inputs, lengths = self.rows.gather(rows, self.pad_id)
            yield Batch(inputs, torch.zeros(len(rows), dtype=torch.long), lengths, rows, int(lengths.sum()))

    def order(self, epoch: int, turn: int) -> list[np.ndarray]:
        """Row numbers of the batches of one pass over all texts, the ``turn``-th within an epoch."""
        config, rng = self.config, np.random.default_rng([self.seed, epoch, turn, STREAM])
        size = config.unlabelled_batch_size
        tokens = config.batch_tokens if size is None else None
        return bucketed_batches(self.rows.lengths, size or config.batch_size, tokens, rng)


def find_unlabelled(config: TextClassificationConfig) -> list[Path]:
    """The files that ``data.unlabelled`` names: of a split of the source, a file itself, or all files of a folder.

    Empty for a split of a dataset that is fetched from the hub.

    Raises:
        DataError: if there is no such split, file or folder, or the split is there in two formats.
    """
    name = config.unlabelled or ""
    public = config if isinstance(config, HubTextConfig) else None
    source = find_path(config, "", public.folder if public else None) if public or config.path else None
    if source is not None and source.is_dir():
        try:
            return split_files(source, {name: name}, SUFFIXES, [], public.hub_subset if public else None)[name]
        except NoSplitError:
            pass  # it may be a path
    path = expanded(name, "data.unlabelled")
    if path.is_file():
        return [path]
    if path.is_dir():
        files = list(visible_files(path, SUFFIXES)) or list(visible_files(path, (".txt",)))
        if files:
            return files
        raise DataError(f"data.unlabelled={name}: the folder holds no {', '.join(SUFFIXES)} or .txt files")
    if public and source is None:
        return []
    where = f"no split of {source}, and " if source else ""
    raise DataError(f"data.unlabelled={name}: is {where}no file or folder; give a split, a file or a folder of files")


def build(labelled: Labelled, sources: list[Path], directory: Path) -> None:
    """Read and tokenise the texts, and write them into an empty directory.

    Raises:
        DataError: if no text is left.
    """
    from seqtrain.data.text.tokenizer import encode

    config, tokenizer, notes = labelled.config, labelled.tokenizer, list[str]()
    texts = [text for text in read_texts(config, sources, notes) if text is not None and text.strip()]
    splits, _, _ = labelled.labelled_texts()
    digests = text_digests(texts)
    held_out = {split: np.isin(digests, text_digests(splits[split].texts)) for split in HELD_OUT if split in splits}
    counts = {split: int(found.sum()) for split, found in held_out.items()}
    stay = ~held_out["test"] if "test" in held_out else np.ones(len(texts), dtype=bool)
    kept = list(compress(texts, stay.tolist()))
    if not kept:
        raise DataError(
            f"data.unlabelled={config.unlabelled}: has no text that is not empty and not in test; give others"
        )
    notes.append(
        f"unlabelled: {len(kept):,} texts; {counts.get('test', 0):,} others are dropped, since test has them; "
        f"{counts.get('validation', 0):,} are in validation too"
    )
    tokens, offsets = flatten(encode(tokenizer, kept), tokenizer.get_vocab_size())
    for name, array in {"tokens": tokens, "offsets": offsets, "digests": digests[stay]}.items():
        np.save(directory / f"{name}.npy", array)
    notes += unknown_notes("unlabelled", tokens, tokenizer)
    whole = LabelledTexts(kept, np.zeros(0), np.arange(len(kept)))
    (directory / "meta.json").write_text(
        json.dumps({"notes": notes, "fingerprint": fingerprint({"unlabelled": whole})})
    )


def read_texts(config: TextClassificationConfig, sources: list[Path], notes: list[str]) -> Iterable[str | None]:
    """The texts of all files; of a txt file alone each line is one, and of several each file.

    Raises:
        DataError: if a file cannot be read, or the hub has no such split.
    """
    if not sources:
        assert isinstance(config, HubTextConfig)
        loaded = load_from_hub(config)
        if config.unlabelled not in loaded:
            raise DataError(
                f"data.unlabelled={config.unlabelled}: is no split of {config.hub} ({', '.join(loaded)}), and no file "
                "or folder"
            )
        return table_texts(Table(loaded[config.unlabelled].data.table, config.hub), config.text_column, config, notes)
    if len(sources) > 1 and file_type(sources[0]) == ".txt":
        return from_folders(sources).texts
    tables = (read_table(path, config) for path in sources)
    columns = ("text" if file_type(path) == ".txt" else config.text_column for path in sources)
    return chain.from_iterable(table_texts(table, c, config, notes) for table, c in zip(tables, columns, strict=True))


def table_texts(table: Table, column: str, config: TextClassificationConfig, notes: list[str]) -> list[str | None]:
    """The texts of a column; remarks on them are added to ``notes``."""
    texts = texts_of(table, column, config)
    notes += table.notes
    return texts
