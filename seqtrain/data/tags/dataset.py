"""The user's own sentences with a tag for each token, from files of columns or JSON Lines.

Shapes: B batch, T time, N sentences of a split.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from seqtrain.atomic import replacing
from seqtrain.config.base import DataConfig, Targets
from seqtrain.config.data import TaggingFilesConfig, Truncate
from seqtrain.data.base import Batch
from seqtrain.data.cache import digest
from seqtrain.data.description import DataDescription
from seqtrain.data.folds import cut_fold, fold_note, refuse_validation, set_folds
from seqtrain.data.locate import SPLITS
from seqtrain.data.row_digests import text_digests
from seqtrain.data.rows.batching import sorted_batches
from seqtrain.data.rows.bucketed import BucketedDataset
from seqtrain.data.rows.tokens import TokenRows, count_tokens, flatten
from seqtrain.data.spec import DataSpec
from seqtrain.data.tables.reading import stdin_lines
from seqtrain.data.tables.table import Table
from seqtrain.data.tags.columns import by_blanks
from seqtrain.data.tags.entities import describe_scheme
from seqtrain.data.tags.formats import Rows, Sentences, find_files, place_of, read_sentences, read_tokens, table_of
from seqtrain.data.tags.words import PAD_ID, UNKNOWN_ID, Words, learn_words
from seqtrain.data.vocabulary import PAD, UNKNOWN
from seqtrain.errors import DataError
from seqtrain.paths import expanded

log = logging.getLogger(__name__)


class TaggingFiles(BucketedDataset):
    """Sentences with a tag for each token, from files at ``data.path``.

    Files are read each time and kept in memory, without a cache on disk. They are small, since people tag by hand:
    15,000 sentences with 218,000 tokens take a second.

    Args:
        config: the options.
        seed: seed of the order of training batches.
        trained: directory of a run, whose vocabulary and tags are used; None learns them from train.
        single_split: take all sentences of the file ``data.path`` as one split, ``test``.
        tokenizer_of: directory of a run, of which the vocabulary alone is used.

    Raises:
        DataError: if the files cannot be found, read or used.
        RunError: if the vocabulary that is used is not one of words.
    """

    config: TaggingFilesConfig

    tokenizes = "texts"
    targets = Targets.step_labels

    def __init__(
        self,
        config: TaggingFilesConfig,
        seed: int,
        trained: Path | None = None,
        single_split: bool = False,
        tokenizer_of: Path | None = None,
    ):
        self.config, self.seed = config, seed
        self.notes = []
        given = trained or tokenizer_of
        words = None if given is None else Words.load(given)
        files = find_files(config, self.notes)
        if single_split:
            files = {"test": files["train"]}
        elif "train" not in files and trained is None:
            raise DataError(
                f"{config.path}: has no file of split {config.train_split!r} (data.train_split) to train on"
            )
        splits = {split: read_sentences(paths, config, self.notes) for split, paths in files.items()}
        if trained is None:
            class_names = find_tags(splits["train"])
        else:
            class_names = DataDescription.read(trained / "data.json").spec.class_names
        for split, part in splits.items():
            check_tags(part, class_names, files[split], config)
        layouts = {split: part.layout for split, part in splits.items()}
        if len(set(layouts.values())) == 1:
            layouts = {"every split": next(iter(layouts.values()))}
        self.notes.append("; ".join(f"{split}: {layout}" for split, layout in layouts.items()))
        if "validation" in splits and trained is None:
            refuse_validation(config.folds, splits["validation"].origin)
        self.sentences = self.finish(splits)
        self.words = words or learn_words(self.sentences["train"].tokens, config)
        self.tokens = {split: self.token_rows(part.tokens) for split, part in self.sentences.items()}
        self.tags = {split: self.tag_rows(part.tags, class_names) for split, part in self.sentences.items()}
        for split, rows in self.tokens.items():
            self.notes += unknown_notes(split, rows)
        counted = next(iter(self.tags.values())).tokens  # of train, if there is one
        if trained is None:
            scheme = describe_scheme(class_names, np.asarray(self.tags["train"].tokens), self.tags["train"].lengths)
            self.notes += [scheme] if scheme else []
        self.spec = DataSpec(
            targets=Targets.step_labels,
            vocab_size=len(self.words.numbers),
            pad_id=PAD_ID,
            class_names=class_names,
            class_counts=np.bincount(counted, minlength=len(class_names)).tolist(),
        )
        self.fingerprint = digest({split: [part.tokens, part.tags] for split, part in self.sentences.items()})
        self.sizes = {split: len(part.tokens) for split, part in self.sentences.items()}

    def finish(self, splits: dict[str, Sentences]) -> dict[str, Sentences]:
        """Take the splits that are missing from train, cut long sentences, and add both to the notes.

        Validation is taken from train if there is none, and test if there is train only.
        """
        limit = self.config.max_length
        for split in ("test", "validation") if splits.keys() == {"train"} else ("validation",):
            size, train = getattr(self.config, f"{split}_size"), splits.get("train")
            folded = split == "validation" and self.config.folds is not None
            if train and split not in splits and (size > 0 or folded):
                if folded:
                    stay, apart = self.fold(train, splits.get("test"))
                else:
                    stay, apart = set_apart(train.tags, size, self.config.split_seed, f"data.{split}_size")
                    self.notes.append(f"{split}: {len(apart)} sentences of train set apart (data.{split}_size)")
                splits |= {"train": train.select(stay), split: train.select(apart)}
        splits = {split: splits[split] for split in SPLITS if split in splits}
        if "test" not in splits:
            self.notes.append("test: there is none; scores are on validation")
        for split, part in splits.items():
            beyond = [len(row) - limit for row in part.tokens if len(row) > limit]
            if beyond:
                self.notes.append(
                    f"{split}: {len(beyond)} sentences cut to {limit} tokens (data.max_length); the {sum(beyond)} "
                    "tokens beyond are not used, nor scored"
                )
        held_out = {tuple(row) for split, part in splits.items() if split != "train" for row in part.tokens}
        repeated = sum(tuple(row) in held_out for row in splits["train"].tokens) if "train" in splits else 0
        if repeated:
            self.notes.append(f"train: the words of {repeated} sentences also occur in validation or test")
        return {split: part.cut(limit) for split, part in splits.items()}

    def fold(self, train: Sentences, test: Sentences | None) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the sentences that stay in train and of those of ``data.fold``."""
        folds, fold, seed = self.config.folds, self.config.fold, self.config.split_seed
        assert folds is not None
        rows: dict[str, list[int]] = {}
        for row, tags in enumerate(train.tags):
            for tag in set(tags):
                rows.setdefault(tag, []).append(row)
        holders = (np.array(rows[tag]) for tag in sorted(rows))
        fold_of = set_folds(holders, len(train.tags), folds, seed)
        self.notes.append(fold_note(fold_of, fold, folds, "sentences"))
        whole = [[part.tokens, part.tags] for part in (train, test) if part]
        self.folds_of = digest([whole, folds, seed])
        return cut_fold(fold_of, fold)

    def token_rows(self, rows: Rows) -> TokenRows:
        """Numbers of the tokens of rows, cut to ``data.max_length``."""
        return self.words.rows(rows, self.config.max_length)

    def tag_rows(self, rows: Rows, class_names: list[str]) -> TokenRows:
        """Numbers of the tags of rows, cut to ``data.max_length``."""
        known = {name: i for i, name in enumerate(class_names)}
        numbers = [[known[tag] for tag in row] for row in rows]
        return TokenRows(*flatten([numbers], len(class_names)), self.config.max_length, Truncate.head)

    def batch(self, split: str, rows: np.ndarray) -> Batch:
        """A batch of the sentences with these numbers, with targets (B, T)."""
        inputs, lengths = self.tokens[split].gather(rows, PAD_ID)
        targets, _ = self.tags[split].gather(rows, 0)
        return Batch(inputs, targets, lengths, rows, num_tokens=int(lengths.sum()))

    def source_rows(self, split: str) -> np.ndarray:
        return self.sentences[split].rows

    def token_names(self) -> list[str]:
        return list(self.words.numbers)

    def token_counts(self) -> np.ndarray:
        return count_tokens(self.tokens["train"].tokens, len(self.words.numbers))

    def row_digests(self, split: str, read: bool = True) -> np.ndarray | None:
        """Digests of the sentences, as of texts: blanks between tokens do not count."""
        return text_digests(" ".join(row) for row in self.sentences[split].tokens)

    def examples(self, split: str, count: int) -> tuple[Batch, list[list[str]]]:
        chosen = np.unique(np.linspace(0, self.sizes[split] - 1, count).astype(int))
        return self.batch(split, chosen), [self.sentences[split].tokens[i] for i in chosen]

    def labelled_tokens(self, split: str) -> tuple[Rows, Rows]:
        """Tokens, as in the file, and tags of each sentence of a split, for baselines."""
        return self.sentences[split].tokens, self.sentences[split].tags

    @classmethod
    def read_rows(cls, config: DataConfig, source: str) -> tuple[Table, list[Any], np.ndarray]:
        """Read the sentences of a file, without tags; in stdin (-) each line is a sentence, split at blanks."""
        assert isinstance(config, TaggingFilesConfig)
        if source == "-":
            rows = [[token for token in by_blanks(line) if token] for line in stdin_lines().values("text")]
            table = table_of({"tokens": rows}, "input=-")
        else:
            table, rows = read_tokens(expanded(source, "input"), config)
        return table, rows, np.array([len(row) > 0 for row in rows], dtype=bool)

    @classmethod
    def new_batches(cls, config: DataConfig, directory: Path, rows: Sequence[Any]) -> Iterator[Batch]:
        """Evaluation batches of rows that are lists of tokens, of any length."""
        assert isinstance(config, TaggingFilesConfig)
        for number, row in enumerate(rows):
            if isinstance(row, str) or not all(isinstance(token, str) for token in row) or not len(row):
                raise DataError(f"sentence {number}: must be a list of tokens, at least one")
        tokens = Words.load(directory).rows(rows, max(map(len, rows)))
        for note in unknown_notes("new sentences", tokens):
            log.warning(note)
        for index in sorted_batches(tokens.lengths, config.eval_batch_tokens):
            inputs, lengths = tokens.gather(index, PAD_ID)
            yield Batch(inputs, torch.zeros_like(inputs), lengths, index, num_tokens=int(lengths.sum()))

    def save(self, directory: Path) -> None:
        """Write a tokenizer.json that splits texts at blanks."""
        tokenizer = Tokenizer(models.WordLevel(self.words.numbers, unk_token=UNKNOWN))
        steps: list[normalizers.Normalizer] = [normalizers.NFC()]
        if self.words.lowercase:
            steps.append(normalizers.Lowercase())
        tokenizer.normalizer = normalizers.Sequence(steps)
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        tokenizer.add_special_tokens([PAD, UNKNOWN])
        with replacing(directory / "tokenizer.json") as temporary:
            tokenizer.save(str(temporary))


def unknown_notes(name: str, rows: TokenRows) -> list[str]:
    """A remark, as a list of one, if most tokens of a split are unknown; else an empty list."""
    share = float(np.mean(rows.tokens == UNKNOWN_ID))
    return (
        [f"{name}: {share:.0%} of the tokens are unknown words (data.min_count, data.vocab_size)"]
        if share > 0.5
        else []
    )


def find_tags(part: Sentences) -> list[str]:
    """The different tags of a split, sorted; raises DataError if there is only one."""
    names = sorted({tag for row in part.tags for tag in row})
    if len(names) < 2:
        raise DataError(f"{part.origin}: all tokens have the one tag {names[0]!r}; tagging needs at least two")
    return names


def check_tags(part: Sentences, class_names: list[str], files: list[Path], config: TaggingFilesConfig) -> None:
    """Raise DataError, with file and line, for a tag that is not in ``class_names``."""
    known = set(class_names)
    for row, tags in zip(part.rows, part.tags, strict=True):
        if not known.issuperset(tags):
            token, tag = next((i, tag) for i, tag in enumerate(tags) if tag not in known)
            count = sum(labels.count(tag) for labels in part.tags)
            place = place_of(files, config, int(row), token)
            raise DataError(
                f"{place}: tag {tag!r} ({count} tokens) is not one of the tags of train "
                f"({', '.join(class_names[:20])}{', ...' if len(class_names) > 20 else ''}); change these tags, or "
                "train on data that has them"
            )


def set_apart(tags: Rows, size: float, seed: int, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Choose sentences at random, except those with a tag that no other remaining sentence has.

    Args:
        tags: tags of each sentence.
        size: sentences to choose: a fraction below 1, or a number of sentences.
        seed: seed of the choice.
        key: the option that gives the size, for the error.

    Returns:
        Numbers of the sentences that stay and of those chosen, in ascending order each. Every tag stays in the first.

    Raises:
        DataError: if no sentence would be chosen, or all.
    """
    count = max(1, round(size * len(tags) if size < 1 else size))
    holders = Counter(tag for row in tags for tag in set(row))  # number of remaining sentences with each tag
    chosen: list[int] = []
    for i in np.random.default_rng(seed).permutation(len(tags)):
        held = set(tags[i])
        if len(chosen) < count and all(holders[tag] > 1 for tag in held):
            chosen.append(i)
            holders.subtract(held)
    if not chosen or count >= len(tags):
        share = "all" if count >= len(tags) else "none"
        raise DataError(
            f"{key}={size:g}: sets {share} of the {len(tags)} sentences apart; give a fraction below 1, or a number of "
            "sentences that leaves every tag in train"
        )
    apart = np.sort(np.array(chosen))
    return np.setdiff1d(np.arange(len(tags)), apart, assume_unique=True), apart
