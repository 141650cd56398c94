"""Labelled texts, prepared once as memory-mapped tokens and served in batches of similar length."""

import functools
import json
import shutil
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import torch

from seqtrain.atomic import replacing
from seqtrain.config.base import DataConfig, Targets, require
from seqtrain.config.data import TextClassificationConfig
from seqtrain.config.options import preparing
from seqtrain.config.tables import SEPARATORS
from seqtrain.data.base import Batch
from seqtrain.data.cache import cached, digest, opened
from seqtrain.data.digests import CheckedArray, mapped
from seqtrain.data.folds import class_folds, cut_fold, fold_note, refuse_validation, set_folds
from seqtrain.data.locate import SPLITS
from seqtrain.data.row_digests import text_digests
from seqtrain.data.rows.bucketed import BucketedDataset
from seqtrain.data.rows.tokens import TokenRows, count_tokens, flatten
from seqtrain.data.run_tokenizer import read_tokenizer, run_tokenizer
from seqtrain.data.spec import DataSpec
from seqtrain.data.tables.files import file_type
from seqtrain.data.tables.reading import read_table, stdin_lines
from seqtrain.data.tables.table import Table
from seqtrain.data.text.batches import text_batches, token_name, unknown_notes
from seqtrain.data.text.class_names import ClassNames, TrainedClasses
from seqtrain.data.text.columns import texts_of
from seqtrain.data.text.label_sets import label_sets, multilabel_split
from seqtrain.data.text.labelled import (
    check_classes,
    class_counts,
    fingerprint,
    folds_fingerprint,
    joined,
    origin_of,
    usable_rows,
)
from seqtrain.data.text.labels import LabelledTexts, Labels, RawTexts, one_label, stratified_split
from seqtrain.data.text.unlabelled import UnlabelledTexts, joined_batch
from seqtrain.data.vocabulary import PAD, UNKNOWN
from seqtrain.errors import DataError
from seqtrain.paths import expanded

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FORMAT = 3  # version of the prepared files; increase it when their format or contents change


class TextClassification(BucketedDataset):
    """The base of all datasets for text classification; a subclass reads the rows from its source.

    Args:
        config: the options.
        seed: seed of the order of training batches.
        trained: directory of a run, whose tokenizer and classes are used; None learns them from train.
        single_split: take all rows of ``data.path`` as one split, ``test``.
        targets: one class of each text, or the set of labels of each.
        tokenizer_of: directory of a run, of which the tokenizer alone is used.

    Raises:
        ConfigError: for options that contradict each other or the labels.
        DataError: if the data cannot be found, read or used.
    """

    tokenizes = "texts"
    targets = Targets.sequence_class
    other_targets: ClassVar[tuple[str, ...]] = (Targets.sequence_labels,)
    config: TextClassificationConfig
    unlabelled: UnlabelledTexts | None = None
    """Texts without labels that join the training batches; ``prepare_training`` sets it."""

    def __init__(
        self,
        config: TextClassificationConfig,
        seed: int,
        trained: Path | None = None,
        single_split: bool = False,
        targets: str = Targets.sequence_class,
        tokenizer_of: Path | None = None,
    ):
        self.config, self.seed, self.single_split = config, seed, single_split
        self.multilabel = targets == Targets.sequence_labels
        require(self.multilabel or config.label_separator is None, "data.label_separator", config.label_separator,
                "null, unless task=multilabel learns several labels a row")  # fmt: skip
        self.tokenizer_of = trained or tokenizer_of
        self.given_tokenizer = read_tokenizer(self.tokenizer_of) if self.tokenizer_of else None
        self.trained = TrainedClasses.load(trained / "data.json") if trained else None
        self.directory = self.prepare()
        meta = json.loads((self.directory / "meta.json").read_text())
        self.spec = DataSpec(**meta["spec"])
        self.labels_as: str | None = meta["labels_as"]
        self.fingerprint: str = meta["fingerprint"]
        self.folds_of = meta.get("folds_of", "")
        self.notes: list[str] = [*self.file_notes(), *meta["notes"]]
        self.sizes: dict[str, int] = meta["sizes"]
        self.tokens = {
            split: TokenRows(
                self.array(split, "tokens"),
                np.asarray(self.array(split, "offsets")),
                config.max_length,
                config.truncate,
            )
            for split in self.sizes
        }
        self.labels = {split: np.array(self.array(split, "labels")) for split in self.sizes}
        self.splits: dict[str, LabelledTexts] | None = None

    @abstractmethod
    def identity(self) -> Any:
        """What identifies the source and its contents, as JSON, without reading all of it."""

    def file_notes(self) -> list[str]:
        """Remarks on which files make up each split. The prepared files do not know: names are not contents."""
        return []

    @abstractmethod
    def read(self, notes: list[str]) -> dict[str, list[RawTexts]]:
        """Read all rows of the files of each split; remarks on how they were read are added to ``notes``."""

    def prepare(self) -> Path:
        """The directory of prepared arrays: that of the training run, if it exists and fits the options.

        A run learned its tokenizer from train, or took it over from another run.
        """
        options = preparing(self.config)
        key = {"format": FORMAT, "source": self.identity(), "options": options, "whole": self.single_split}
        key |= {"multilabel": True} if self.multilabel else {}
        if self.given_tokenizer is None:
            return cached("text", digest(key), self.build)
        taken_over = key | {"tokenizer": self.given_tokenizer}
        for possible in (key, taken_over):
            directory = opened("text", digest(possible))
            if directory is not None and self.fits(directory):
                return directory
        if self.trained is None:
            return cached("text", digest(taken_over), self.build)
        names, labels_as = self.trained.names, self.trained.labels_as
        key["vocabulary"] = {"tokenizer": self.given_tokenizer, "class_names": names, "labels_as": labels_as}
        return cached("text", digest(key), self.build)

    def fits(self, directory: Path) -> bool:
        """Whether prepared arrays have the given tokenizer and classes."""
        if read_tokenizer(directory) != self.given_tokenizer:
            return False
        return self.trained in (None, TrainedClasses.load(directory / "meta.json"))

    def build(self, directory: Path) -> None:
        """Tokenise every split and write it into an empty directory."""
        from seqtrain.data.text.tokenizer import encode, train_tokenizer

        given = run_tokenizer(self.tokenizer_of) if self.tokenizer_of else None
        splits, classes, notes = self.labelled_texts()
        tokenizer = given or train_tokenizer(self.config, splits["train"].texts)
        for split, part in splits.items():
            tokens, offsets = flatten(encode(tokenizer, part.texts), tokenizer.get_vocab_size())
            notes += unknown_notes(split, tokens, tokenizer)
            arrays = {"tokens": tokens, "offsets": offsets, "labels": part.labels, "rows": part.rows}
            arrays["digests"] = text_digests(part.texts)
            for name, array in arrays.items():
                np.save(directory / f"{split}.{name}.npy", array)
        text = self.given_tokenizer or tokenizer.to_str(pretty=True)
        (directory / "tokenizer.json").write_text(text, encoding="utf-8")
        counted = next(iter(splits.values()))  # train, if there is one
        spec = DataSpec(
            targets=Targets.sequence_labels if self.multilabel else Targets.sequence_class,
            vocab_size=tokenizer.get_vocab_size(),
            pad_id=tokenizer.token_to_id(PAD),
            class_names=classes.names,
            class_counts=class_counts(counted.labels, len(classes.names)).tolist(),
            num_rows=len(counted.labels) if self.multilabel else None,
        )
        meta = {
            "spec": asdict(spec),
            "labels_as": classes.labels_as,
            "fingerprint": fingerprint(splits),
            "sizes": {split: len(part.texts) for split, part in splits.items()},
            "notes": notes,
        }
        if self.config.folds is not None and {"train", "validation"} <= splits.keys():
            meta["folds_of"] = folds_fingerprint(splits, self.config.folds, self.config.split_seed)
        (directory / "meta.json").write_text(json.dumps(meta))

    def labelled_texts(self) -> tuple[dict[str, LabelledTexts], ClassNames, list[str]]:
        """Read and clean the source, number its labels, and take validation from train if the source has none.

        Returns:
            Rows of each split, the classes, and remarks for the user.
        """
        notes: list[str] = []
        raw = self.read(notes)
        if self.single_split:
            raw = {"test": raw["train"]}
        elif "train" not in raw and self.trained is None:
            raise DataError(
                f"{next(iter(raw.values()))[0].origin}: has no split {self.config.train_split!r} to train on"
            )
        remedy = "; if no class applies to a row, write [] in jsonl or parquet" if self.multilabel else ""
        columns = {split: usable_rows(files, self.labels_of, notes, remedy) for split, files in raw.items()}
        classes = ClassNames(columns, self.config, self.trained)
        splits = {split: joined(files, classes, self.multilabel) for split, files in columns.items()}
        if "train" not in splits:
            return splits, classes, notes
        check_classes(splits, classes, origin_of(raw["train"]), notes)
        if "validation" in splits and self.trained is None:
            refuse_validation(self.config.folds, origin_of(raw["validation"]))
        for split in ("test", "validation") if len(splits) == 1 else ("validation",):
            if split not in splits and (parts := self.parts(splits["train"].labels, split, notes)):
                stay, apart = parts
                splits |= {"train": splits["train"].select(stay), split: splits["train"].select(apart)}
        splits = {split: splits[split] for split in SPLITS if split in splits}
        if "test" not in splits:
            notes.append("test: the source has none with labels; scores are on validation")
        held_out = {text for split, part in splits.items() if split != "train" for text in part.texts}
        repeated = sum(text in held_out for text in splits["train"].texts)
        if repeated:
            notes.append(f"train: the text of {repeated} rows also occurs in validation or test")
        return splits, classes, notes

    def parts(self, labels: np.ndarray, split: str, notes: list[str]) -> tuple[np.ndarray, np.ndarray] | None:
        """The rows of train that stay and those set apart for a split, which ``notes`` then says; None if it is off.

        Args:
            labels: class of each row of train, (N,), or whether each class applies to it, (N, C).
            split: test or validation.
            notes: gets how the rows are chosen.
        """
        config, seed = self.config, self.config.split_seed
        if split == "validation" and config.folds is not None:
            if self.multilabel:
                holders = (np.flatnonzero(column) for column in labels.T)
                fold_of = set_folds(holders, len(labels), config.folds, seed)
            else:
                fold_of = class_folds(labels, config.folds, seed)
            notes.append(fold_note(fold_of, config.fold, config.folds, "rows"))
            return cut_fold(fold_of, config.fold)
        size = getattr(config, f"{split}_size")
        if size == 0:
            return None
        key = f"data.{split}_size"
        divide, how = (multilabel_split, "at random") if self.multilabel else (stratified_split, "stratified by class")
        stay, apart = divide(labels, size, seed, key)
        notes.append(f"{split}: {len(apart):,} rows of train set apart ({key}), {how}")
        return stay, apart

    def labels_of(self, raw: RawTexts) -> Labels:
        """The labels of the rows of a source."""
        missing = self.config.missing_values
        if not self.multilabel:
            return one_label(raw, missing)
        separator = self.config.label_separator
        return label_sets(raw, separator and SEPARATORS.get(separator, separator), missing)

    def batch(self, split: str, rows: np.ndarray) -> Batch:
        """A batch of the rows with these numbers."""
        assert self.spec.pad_id is not None
        inputs, lengths = self.tokens[split].gather(rows, self.spec.pad_id)
        targets = torch.from_numpy(self.labels[split][rows])
        return Batch(inputs, targets, lengths, rows, num_tokens=int(lengths.sum()))

    def prepare_training(self) -> None:
        if self.config.unlabelled is None:
            return
        self.unlabelled = UnlabelledTexts.prepared(self)
        self.training_fingerprint = self.unlabelled.fingerprint
        self.notes += self.unlabelled.notes

    def train_batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Training batches of an epoch, each joined by a batch of ``data.unlabelled``, if there are such texts."""
        batches = self.labelled_batches(epoch, start)
        return batches if self.unlabelled is None else map(joined_batch, batches, self.unlabelled.batches(epoch, start))

    def labelled_batches(self, epoch: int, start: int) -> Iterator[Batch]:
        """Training batches of an epoch, in which rare tokens are dropped if ``data.rare_dropout`` is above 0.

        What is dropped depends on seed, epoch and position only, as the order does.
        """
        batches = super().train_batches(epoch, start)
        if not self.config.rare_dropout:
            yield from batches
            return
        unknown = cast(int, self.tokenizer.token_to_id(UNKNOWN))
        for number, batch in enumerate(batches, start):
            # From 1 on: numpy takes [seed, epoch, 0] for [seed, epoch], the source of the order.
            chance = np.random.default_rng([self.seed, epoch, number + 1]).random(batch.inputs.shape, dtype=np.float32)
            dropped = torch.from_numpy(chance < self.drop_rates[batch.inputs.numpy()])
            yield replace(batch, inputs=batch.inputs.masked_fill(dropped, unknown))

    @functools.cached_property
    def drop_rates(self) -> np.ndarray:
        """Probability that ``data.rare_dropout`` drops a token, (V,), float32; 0 for padding.

        Source: Kiperwasser and Goldberg 2016, "Simple and accurate dependency parsing using bidirectional LSTM feature
        representations", word dropout, with 0.25 there.
        """
        assert self.spec.vocab_size is not None
        counts = np.bincount(np.asarray(self.array("train", "tokens")), minlength=self.spec.vocab_size)
        rates = self.config.rare_dropout / (self.config.rare_dropout + counts)
        rates[self.spec.pad_id] = 0
        return rates.astype(np.float32)

    def describe(self) -> dict[str, Any]:
        return super().describe() | {"labels_as": self.labels_as}

    def save(self, directory: Path) -> None:
        with replacing(directory / "tokenizer.json") as temporary:
            shutil.copyfile(self.directory / "tokenizer.json", temporary)

    def token_names(self) -> list[str]:
        return [token_name(self.tokenizer, token) for token in range(self.tokenizer.get_vocab_size())]

    def token_counts(self) -> np.ndarray:
        return count_tokens(self.array("train", "tokens"), self.tokenizer.get_vocab_size())

    def source_rows(self, split: str) -> np.ndarray:
        return np.array(self.array(split, "rows"))

    def row_digests(self, split: str, read: bool = True) -> np.ndarray | None:
        """Digests of the texts, those without labels among train's; arrays of an earlier version have none."""
        if (self.directory / f"{split}.digests.npy").is_file():
            digests = np.asarray(self.array(split, "digests"))
        elif read:
            digests = text_digests(self.labelled_split(split)[0])
        else:
            return None
        return digests if self.unlabelled is None or split != "train" else np.append(digests, self.unlabelled.digests)

    def examples(self, split: str, count: int) -> tuple[Batch, list[list[str]]]:
        chosen = np.unique(np.linspace(0, self.sizes[split] - 1, count).astype(int))
        batch = self.batch(split, chosen)
        words = functools.partial(token_name, self.tokenizer)
        rows = zip(batch.inputs.tolist(), batch.lengths.tolist(), strict=True)
        return batch, [list(map(words, row[:length])) for row, length in rows]

    def labelled_split(self, split: str) -> tuple[list[str], np.ndarray]:
        """Texts and classes of a split, read from the source again, since only baselines need the texts.

        Raises:
            DataError: if the source has changed since it was prepared.
        """
        if self.splits is None:
            self.splits, _, _ = self.labelled_texts()
            if fingerprint(self.splits) != self.fingerprint:
                raise DataError("the data has changed since this run began; train again to score the baselines on it")
        return self.splits[split].texts, self.splits[split].labels

    def texts_at(self, numbers: np.ndarray) -> tuple[list[str], list[str]]:
        """The texts of rows of validation, or of the train that it is a part of, and where they are in the source.

        Args:
            numbers: numbers of the rows, as of ``source_rows``.

        Returns:
            The texts; and the file and line, or row, of each.

        Raises:
            DataError: if the source is gone.
        """
        raw = self.read([])
        files = raw["validation" if "validation" in raw else "train"]
        starts = np.cumsum([0, *(len(file.texts) for file in files)])
        found = []
        for number in numbers.tolist():
            place = int(np.searchsorted(starts, number, side="right")) - 1
            file, row = files[place], number - int(starts[place])
            found.append((file.texts[row] or "", file.at(row)))
        return [text for text, _ in found], [place for _, place in found]

    @classmethod
    def read_rows(cls, config: DataConfig, source: str) -> tuple[Table, list[Any], np.ndarray]:
        """Read a file with a column of texts, or the lines of a txt file or stdin (-); blank texts count as empty."""
        assert isinstance(config, TextClassificationConfig)
        table = stdin_lines() if source == "-" else read_table(expanded(source, "input"), config)
        lines = source == "-" or file_type(Path(source)) == ".txt"
        texts = [text or "" for text in texts_of(table, "text" if lines else config.text_column, config)]
        return table, texts, np.array([text.strip() != "" for text in texts], dtype=bool)

    @classmethod
    def new_batches(cls, config: DataConfig, directory: Path, rows: Sequence[Any]) -> Iterator[Batch]:
        assert isinstance(config, TextClassificationConfig)
        return text_batches(config, run_tokenizer(directory), rows)

    def array(self, split: str, name: str) -> np.ndarray | CheckedArray:
        """A memory-mapped array of the prepared files."""
        return mapped(self.directory / f"{split}.{name}.npy")

    @functools.cached_property
    def tokenizer(self) -> "Tokenizer":
        """The tokenizer that produced the tokens."""
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(self.directory / "tokenizer.json"))
