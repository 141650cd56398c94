"""Pairs of texts, prepared once as memory-mapped tokens and served in batches of similar length on both sides.

Shapes: B batch, T target steps.
"""

import json
import logging
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqtrain.config.base import DataConfig, Targets
from seqtrain.config.data import Truncate
from seqtrain.config.options import preparing
from seqtrain.config.pairs import PairsConfig
from seqtrain.data.cache import cached, digest, opened
from seqtrain.data.digests import mapped
from seqtrain.data.pairs.batch import PairBatch
from seqtrain.data.pairs.batching import by_length, cut, padding, training_batches
from seqtrain.data.pairs.preparing import prepare, with_all_splits
from seqtrain.data.pairs.reading import Pairs
from seqtrain.data.pairs.stored import StoredTexts
from seqtrain.data.pairs.vocabularies import BEGIN_ID, END_ID, PAD_ID, TARGET_FILE, Vocabularies, with_end
from seqtrain.data.rows.bucketed import BucketedDataset
from seqtrain.data.rows.tokens import TokenRows, count_tokens, flatten
from seqtrain.data.run_tokenizer import read_tokenizer
from seqtrain.data.spec import DataSpec
from seqtrain.data.tables.files import file_type, text_lines
from seqtrain.data.tables.reading import read_table, stdin_lines, table_of_lines
from seqtrain.data.tables.table import Table
from seqtrain.data.text.batches import token_name, unknown_notes
from seqtrain.data.text.columns import texts_of
from seqtrain.errors import DataError
from seqtrain.paths import expanded

log = logging.getLogger(__name__)

FORMAT = 1  # version of the prepared files; increase it when their format or contents change
WHOLE = 2**31  # tokens are dropped with their pair or not at all


class PairData(BucketedDataset):
    """The base of all pairs of texts; a subclass reads them from its source.

    Args:
        config: the options.
        seed: seed of the order of training batches.
        trained: directory of a run, whose tokenizers are used; None learns them from train.
        single_split: take all pairs of ``data.path`` as one split, ``test``.
        tokenizer_of: directory of a run, of which the tokenizers alone are used.

    Raises:
        DataError: if the data cannot be found, read or used.
        RunError: if the tokenizers that are used are missing or damaged.
    """

    tokenizes = "pairs of texts"
    targets = Targets.translation
    config: PairsConfig

    def __init__(
        self,
        config: PairsConfig,
        seed: int,
        trained: Path | None = None,
        single_split: bool = False,
        tokenizer_of: Path | None = None,
    ):
        self.config, self.seed, self.single_split = config, seed, single_split
        self.given = trained or tokenizer_of
        self.directory = self.prepared()
        meta = json.loads((self.directory / "meta.json").read_text())
        self.spec = DataSpec(**meta["spec"])
        self.fingerprint: str = meta["fingerprint"]
        self.notes: list[str] = [*self.file_notes(), *meta["notes"]]
        self.sizes: dict[str, int] = meta["sizes"]
        self.tokens = {split: self.rows_of(split, "source") for split in self.sizes}
        self.target_tokens = {split: self.rows_of(split, "target") for split in self.sizes}
        if "train" in self.sizes:
            share = padding(self.order(0), self.tokens["train"].lengths, self.target_tokens["train"].lengths)
            self.notes.append(f"train: {share:.1%} of the tokens of its batches are padding")

    @abstractmethod
    def identity(self) -> Any:
        """What identifies the source and its contents, as JSON, without reading all of it."""

    def file_notes(self) -> list[str]:
        """Remarks on which files make up each split. The prepared files do not know: names are not contents."""
        return []

    @abstractmethod
    def read(self, notes: list[str]) -> dict[str, Pairs]:
        """Read all pairs of each split; remarks on how they were read are added to ``notes``."""

    def prepared(self) -> Path:
        """The directory of prepared pairs: with given tokenizers, the one that they were learned for, if it is there.

        A run learned its tokenizers from train, or took them over from another run.
        """
        key = {"format": FORMAT, "source": self.identity(), "options": preparing(self.config)}
        key |= {"whole": self.single_split}
        if self.given is None:
            return cached("pairs", digest(key), self.build)
        texts = tokenizer_texts(self.given)
        learned = opened("pairs", digest(key))
        if learned is not None and tokenizer_texts(learned) == texts:
            return learned
        return cached("pairs", digest(key | {"tokenizers": texts}), self.build)

    def build(self, directory: Path) -> None:
        """Read, split and tokenise the pairs into an empty directory."""
        notes: list[str] = []
        pairs = self.read(notes)
        if self.single_split:
            pairs = {"test": pairs["train"]}
        elif "train" not in pairs and self.given is None:
            raise DataError(
                f"{next(iter(pairs.values())).origin}: has no split {self.config.train_split!r} to train on"
            )
        else:
            pairs = with_all_splits(pairs, self.config, notes)
        given = Vocabularies.load(self.given) if self.given else None
        spec, sizes = prepare(pairs, given, self.config, directory, notes)
        contents = {split: [part.sources, part.targets] for split, part in pairs.items()}
        meta = {"spec": asdict(spec), "fingerprint": digest(contents), "sizes": sizes, "notes": notes}
        (directory / "meta.json").write_text(json.dumps(meta))

    def rows_of(self, split: str, side: str) -> TokenRows:
        """The tokens of one side of a split."""
        tokens, offsets = (mapped(self.directory / f"{split}.{side}.{name}.npy") for name in ("tokens", "offsets"))
        return TokenRows(tokens, np.asarray(offsets), WHOLE, Truncate.head)

    def order(self, epoch: int) -> list[np.ndarray]:
        if self.epoch_batches is None or self.epoch_batches[0] != epoch:
            lengths = self.tokens["train"].lengths, self.target_tokens["train"].lengths
            sizes = self.config.batch_size, self.config.batch_tokens
            self.epoch_batches = epoch, training_batches(*lengths, *sizes, np.random.default_rng([self.seed, epoch]))
        return self.epoch_batches[1]

    def eval_batches(self, split: str) -> Iterator[PairBatch]:
        """Batches with every pair of a split once, with the target texts."""
        lengths = self.tokens[split].lengths, self.target_tokens[split].lengths
        for rows in cut(by_length(*lengths), *lengths, self.config.eval_batch_tokens):
            batch = self.batch(split, rows)
            batch.references = np.array(self.texts(split, "target").at(rows), dtype=object)
            batch.decode = self.vocabularies.decode
            yield batch

    def batch(self, split: str, rows: np.ndarray) -> PairBatch:
        """A batch of the pairs with these numbers."""
        source, lengths = self.tokens[split].gather(rows, PAD_ID)
        target, target_lengths = self.target_tokens[split].gather(rows, PAD_ID)
        return pair_batch(source, lengths, target, target_lengths, rows)

    def texts(self, split: str, side: str) -> StoredTexts:
        """The texts of one side, ``source`` or ``target``, of a split."""
        return StoredTexts(self.directory / f"{split}.{side}")

    @cached_property
    def vocabularies(self) -> Vocabularies:
        """The tokenizers that produced the tokens."""
        return Vocabularies.load(self.directory)

    def source_rows(self, split: str) -> np.ndarray:
        return np.array(mapped(self.directory / f"{split}.rows.npy"))

    def row_digests(self, split: str, read: bool = True) -> np.ndarray:
        """Digests of the sources."""
        return np.array(mapped(self.directory / f"{split}.digests.npy"))

    def token_names(self) -> list[str]:
        """Names of the tokens of sources."""
        tokenizer = self.vocabularies.source
        return [token_name(tokenizer, token) for token in range(tokenizer.get_vocab_size())]

    def token_counts(self) -> np.ndarray:
        return count_tokens(self.tokens["train"].tokens, self.vocabularies.source.get_vocab_size())

    def examples(self, split: str, count: int) -> tuple[PairBatch, list[list[str]]]:
        """A few pairs of a split, always the same, and the names of their source tokens."""
        chosen = np.unique(np.linspace(0, self.sizes[split] - 1, count).astype(int))
        batch = self.batch(split, chosen)
        rows = zip(batch.inputs.tolist(), batch.lengths.tolist(), strict=True)
        return batch, [self.vocabularies.names("source", row[:length]) for row, length in rows]

    @classmethod
    def read_rows(cls, config: DataConfig, source: str) -> tuple[Table, list[Any], np.ndarray]:
        """Read the source texts of a table, or the lines of any other file or of stdin (-); blank ones are empty."""
        assert isinstance(config, PairsConfig)
        if source == "-":
            table, name = stdin_lines(), "text"
        else:
            path = expanded(source, "input")
            lines = file_type(path) in (".txt", f".{config.source}")
            table = table_of_lines(text_lines(path), str(path)) if lines else read_table(path, config)
            name = "text" if lines else config.source
        texts = [text or "" for text in texts_of(table, name, config, "data.source")]
        return table, texts, np.array([text.strip() != "" for text in texts], dtype=bool)

    @classmethod
    def new_batches(cls, config: DataConfig, directory: Path, rows: Sequence[Any]) -> Iterator[PairBatch]:
        """Evaluation batches of source texts, whose targets are nothing but the end."""
        assert isinstance(config, PairsConfig)
        for number, row in enumerate(rows):
            if not isinstance(row, str) or not row.strip():
                raise DataError(f"text {number}: must be a string that is not blank, got {row!r:.50}")
        known = Vocabularies.load(directory)
        tokens, offsets = flatten(with_end(known.source, rows), known.source.get_vocab_size())
        for note in unknown_notes("new texts", tokens, known.source):
            log.warning(note)
        table = TokenRows(tokens, offsets, WHOLE, Truncate.head)
        for index in cut(by_length(table.lengths, table.lengths), table.lengths, table.lengths,
                         config.eval_batch_tokens):  # fmt: skip
            source, lengths = table.gather(index, PAD_ID)
            ends = torch.full((len(index), 1), END_ID)
            batch = pair_batch(source, lengths, ends, torch.ones(len(index), dtype=torch.long), index)
            batch.decode = known.decode
            yield batch

    def save(self, directory: Path) -> None:
        self.vocabularies.save(directory)


def pair_batch(source: Tensor, lengths: Tensor, target: Tensor, target_lengths: Tensor, rows: np.ndarray) -> PairBatch:
    """A batch of padded tokens."""
    begin = torch.full((len(target), 1), BEGIN_ID)
    return PairBatch(
        inputs=source,
        targets=target,
        lengths=lengths,
        rows=rows,
        num_tokens=int(lengths.sum()),
        previous=torch.cat([begin, target[:, :-1]], dim=1),
        target_lengths=target_lengths,
    )


def tokenizer_texts(directory: Path) -> list[str]:
    """The contents of both tokenizers' files in a directory."""
    return [read_tokenizer(directory), read_tokenizer(directory, TARGET_FILE)]
