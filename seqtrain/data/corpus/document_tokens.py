"""Documents as memory-mapped tokens, prepared once: each split is one row of tokens, with <end> after each document.

One file of the source is in memory at a time, and of its texts a few thousand as tokens.
"""

import hashlib
import json
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from pathlib import Path

import numpy as np

from seqtrain.config.corpus import DocumentsConfig, TokenKind
from seqtrain.config.options import preparing
from seqtrain.data.corpus.document_tokenizer import DocumentTokenizer
from seqtrain.data.corpus.documents import HELD_OUT, Texts, find_documents, identity
from seqtrain.data.corpus.prepared import tokenised
from seqtrain.data.corpus.tokenizers import CorpusTokenizer
from seqtrain.data.row_digests import text_digests
from seqtrain.data.vocabulary import END
from seqtrain.errors import DataError, RunError

FORMAT = 2  # version of the prepared files; increase it when their format or contents change

Documents = Callable[[], Iterator[str]]
"""The documents of a split, none of them empty; they can be read any number of times."""


def prepare_documents(config: DocumentsConfig, tokenizer: Path | None = None, single_split: bool = False) -> Path:
    """The cache directory of the tokens of documents, written if it does not exist yet; ``PreparedCorpus`` opens it.

    Args:
        config: the options.
        tokenizer: tokenizer.json of a trained run; None learns one from train.
        single_split: take all documents as one split, ``test``; needs a tokenizer.

    Raises:
        DataError: if the documents cannot be found or read, or are too few.
        RunError: if the given tokenizer cannot be read, does not fit its run, or is not one of documents.
    """
    assert tokenizer is not None or not single_split
    options = preparing(config)
    key = {"documents": FORMAT, "source": identity(config), "options": options, "whole": single_split}

    def build(given: CorpusTokenizer | None, directory: Path) -> None:
        if given is not None and not isinstance(given, DocumentTokenizer):
            raise RunError(
                f"{tokenizer}: is the tokenizer of other running text, without {END}; data={config.name} needs one of "
                "a run on data=text_documents or imdb_reviews"
            )
        write_documents(config, given, single_split, directory)

    return tokenised(key, tokenizer, build)


def write_documents(
    config: DocumentsConfig, given: DocumentTokenizer | None, single_split: bool, directory: Path
) -> None:
    """Write the tokens and digests of every split, their tokenizer and meta.json into an empty directory."""
    from seqtrain.data.text.tokenizer import train_tokenizer

    origin, readers = find_documents(config)
    if single_split:
        readers.pop(HELD_OUT, None)
        parts = list(readers.values())
        readers = {"test": lambda notes: chain.from_iterable(read(notes) for read in parts)}
    surveys = {split: Survey.of(split, texts, origin) for split, texts in readers.items()}
    notes = [note for survey in surveys.values() for note in survey.notes]
    if (held_out := surveys.pop(HELD_OUT, None)) is not None:
        kept = ~np.isin(surveys["train"].digests, held_out.digests)
        surveys["train"] = surveys["train"].select(kept)
        notes.append(
            f"train: {int((~kept).sum()):,} documents left out, which the split {config.held_out_split!r} has too "
            "(data.held_out_split)"
        )
    if not single_split:
        surveys = divided(surveys, config, notes)
        if "test" not in surveys:
            notes.append("test: none is set apart (data.test_split, data.test_size); scores are on validation")
    notes += repeated_notes(surveys)
    tokenizer = given or DocumentTokenizer(train_tokenizer(config, surveys["train"].documents(), (END,)))
    tokenizer.save(directory / "tokenizer.json")
    fingerprint = hashlib.blake2b(b"reversed" if config.reverse else b"", digest_size=16)
    tallies = {}
    for split, survey in surveys.items():
        np.save(directory / f"{split}.digests.npy", survey.digests)
        tally = tallies[split] = Tally(split, fingerprint)
        starts = tally.write_tokens(directory / f"{split}.tokens", survey.documents, tokenizer, config.reverse)
        np.save(directory / f"{split}.documents.npy", np.array(starts, dtype=np.int64))
    shares = (f"{tally.unknown / tally.tokens:.2%} of {split}" for split, tally in tallies.items())
    notes += [
        f"unknown tokens (<unk>): {', '.join(shares)}",
        f"documents: {', '.join(f'{len(survey.digests):,} in {split}' for split, survey in surveys.items())}",
    ]
    meta = {
        "vocab_size": tokenizer.vocab_size,
        "dtype": token_type(tokenizer).name,
        "unknown": tokenizer.unknown,
        "sorted_by_frequency": tokenizer.kind is not TokenKind.bpe,
        "sizes": {split: tally.tokens for split, tally in tallies.items()},
        "characters": {split: tally.characters for split, tally in tallies.items()},
        "bytes": {split: tally.bytes for split, tally in tallies.items()},
        "fingerprint": fingerprint.hexdigest(),
        "notes": notes,
    }
    (directory / "meta.json").write_text(json.dumps(meta))


def token_type(tokenizer: CorpusTokenizer) -> np.dtype:
    """The smallest type that holds every token."""
    return np.dtype("<u2" if tokenizer.vocab_size <= 2**16 else "<u4")


@dataclass
class Survey:
    """The documents of a split, and what one reading of them has shown."""

    documents: Documents
    digests: np.ndarray
    """Digest of each document, (N,), uint64; equal for texts that differ in blanks and case only."""
    notes: list[str] = field(default_factory=list)
    """Remarks on how the texts were read."""

    @classmethod
    def of(cls, split: str, texts: Texts, origin: str) -> "Survey":
        """Read a split once; raises DataError if it has no document."""
        notes: list[str] = []
        digests, rows = [np.empty(0, dtype=np.uint64)], 0
        for part in texts(notes):
            digests.append(text_digests(text for text in part if text is not None and is_document(text)))
            rows += len(part)
        found = np.concatenate(digests)
        if not len(found):
            raise DataError(f"{origin}: {split} has no document: none of its {rows} rows has a text")
        if empty := rows - len(found):
            notes.append(f"{split}: {empty:,} rows with empty text dropped")
        return cls(partial(present, texts), found, notes)

    def select(self, kept: np.ndarray) -> "Survey":
        """The documents at which ``kept``, (N,), is true."""
        documents = self.documents
        return Survey(
            lambda: (text for text, keep in zip(documents(), kept.tolist(), strict=True) if keep), self.digests[kept]
        )


def is_document(text: str | None) -> bool:
    """Whether a text is there, and not of blanks alone."""
    return text is not None and text.strip() != ""


def present(texts: Texts) -> Iterator[str]:
    """The texts that are documents."""
    for part in texts([]):
        yield from (text for text in part if text is not None and is_document(text))


def divided(surveys: dict[str, Survey], config: DocumentsConfig, notes: list[str]) -> dict[str, Survey]:
    """All splits in their order: test and validation are set apart from train where the source has none.

    Equal documents of train stay together, so that none of those set apart is trained on.
    """
    train, others = surveys["train"], {split: part for split, part in surveys.items() if split != "train"}
    for split in ("test", "validation"):
        size, key = getattr(config, f"{split}_size"), f"data.{split}_size"
        if split in others or size == 0:
            continue
        different, numbers = np.unique(train.digests, return_inverse=True)
        count = round(size * len(different)) if size < 1 else round(size)
        if not 0 < count < len(different):
            raise DataError(
                f"{key}={size:g}: sets {'none' if count == 0 else 'all'} of the {len(different)} different documents "
                "of train apart; give a fraction below 1, or a number of documents that leaves some"
            )
        chosen = np.zeros(len(different), dtype=bool)
        chosen[np.random.default_rng([config.split_seed, split == "test"]).permutation(len(different))[:count]] = True
        apart = chosen[numbers]
        others[split], train = train.select(apart), train.select(~apart)
        notes.append(
            f"{split}: {int(apart.sum()):,} documents of train set apart at random ({key}); a classifier on the same "
            "texts sets apart others"
        )
    return {"train": train} | {split: others[split] for split in ("validation", "test") if split in others}


def repeated_notes(surveys: dict[str, Survey]) -> list[str]:
    """A remark, as a list of one, on documents of train that validation or test has too."""
    if "train" not in surveys:
        return []
    held_out = np.concatenate([part.digests for split, part in surveys.items() if split != "train"])
    repeated = int(np.isin(surveys["train"].digests, held_out).sum())
    return [f"train: the text of {repeated:,} documents also occurs in validation or test"] if repeated else []


class Tally:
    """Counts of a split's characters, bytes and tokens, made while it is tokenised.

    Args:
        split: name of the split.
        fingerprint: digest of all splits, updated with the name and the documents.
    """

    def __init__(self, split: str, fingerprint: "hashlib.blake2b"):
        self.split, self.fingerprint = split, fingerprint
        self.characters = self.bytes = self.tokens = self.unknown = 0

    def counted(self, documents: Documents) -> Iterator[str]:
        """The documents, unchanged, counted as they pass."""
        self.fingerprint.update(f"{self.split}\n".encode())
        for text in documents():
            content = text.encode("utf-8", "surrogatepass")
            self.fingerprint.update(len(content).to_bytes(8, "little") + content)
            self.characters += len(text)
            self.bytes += len(content)
            yield text

    def write_tokens(
        self, path: Path, documents: Documents, tokenizer: DocumentTokenizer, reverse: bool
    ) -> "array[int]":
        """Write the tokens of documents, each with <end> after it; returns the positions at which they begin."""
        from seqtrain.data.text.tokenizer import CHUNK, encode

        starts, dtype, texts = array("q"), token_type(tokenizer), self.counted(documents)
        with path.open("wb") as file:
            while chunk := list(islice(texts, CHUNK)):
                for rows in encode(tokenizer.library, chunk):
                    for row in rows:
                        starts.append(self.tokens)
                        self.tokens += len(row) + 1
                    ended = ([*(reversed(row) if reverse else row), tokenizer.end] for row in rows)
                    tokens = np.fromiter(chain.from_iterable(ended), dtype)
                    self.unknown += int((tokens == tokenizer.unknown).sum())
                    file.write(tokens.tobytes())
        return starts
