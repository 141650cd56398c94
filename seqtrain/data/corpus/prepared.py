"""Running text as memory-mapped tokens, prepared once as a stream: memory does not grow with the text."""

import functools
import hashlib
import json
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from seqtrain.config.corpus import CorpusConfig, TokenKind
from seqtrain.config.options import preparing
from seqtrain.data.cache import cached, digest, opened
from seqtrain.data.corpus.loading import load_run_tokenizer, load_tokenizer
from seqtrain.data.corpus.passages import Passages
from seqtrain.data.corpus.sources import Corpus, identity, open_corpus
from seqtrain.data.corpus.stream import Chunk, Stream, end_lines
from seqtrain.data.corpus.tokenizers import (
    EOS,
    CorpusTokenizer,
    SymbolTokenizer,
    WordTokenizer,
)
from seqtrain.data.corpus.vocabulary import learn_tokenizer
from seqtrain.data.digests import CheckedArray, mapped
from seqtrain.data.vocabulary import UNKNOWN
from seqtrain.errors import DataError

FORMAT = 2  # version of the prepared files; increase it when their format or contents change


def prepare(config: CorpusConfig, tokenizer: Path | None = None, single_split: bool = False) -> Path:
    """The cache directory of a text's tokens, written if it does not exist yet; ``PreparedCorpus`` opens it.

    Args:
        config: the options.
        tokenizer: tokenizer.json of a trained run; None learns one from train.
        single_split: take all text at ``data.path`` as one split, ``test``; needs a tokenizer.

    Raises:
        DataError: if the text cannot be found or decoded, or is too short.
        RunError: if the given tokenizer cannot be read, or does not fit its run.
    """
    assert tokenizer is not None or not single_split
    key = {"format": FORMAT, "source": identity(config), "options": preparing(config), "whole": single_split}
    return tokenised(key, tokenizer, lambda given, directory: _build(config, given, single_split, directory))


def tokenised(
    key: dict[str, Any], tokenizer: Path | None, build: Callable[[CorpusTokenizer | None, Path], None]
) -> Path:
    """The cache directory of a text's tokens, written if it does not exist yet.

    Args:
        key: what its contents depend on, apart from a given tokenizer, as JSON.
        tokenizer: tokenizer.json of a trained run; None learns one from train.
        build: writes the tokens, by the given tokenizer or by one that it learns, into an empty directory.

    Raises:
        RunError: if the given tokenizer cannot be read, or does not fit its run.
    """
    given = load_run_tokenizer(tokenizer) if tokenizer else None
    if tokenizer:
        content = tokenizer.read_text(encoding="utf-8")
        directory = opened("corpus", digest(key))
        if directory is not None and (directory / "tokenizer.json").read_text(encoding="utf-8") == content:
            return directory  # that of the training run
        key = key | {"tokenizer": content}

    def build_with(directory: Path) -> None:
        build(given, directory)
        if tokenizer:  # as it is, so that a run which took it over finds the same entry when it is resumed
            (directory / "tokenizer.json").write_text(content, encoding="utf-8")

    return cached("corpus", digest(key), build_with)


def _build(config: CorpusConfig, given: CorpusTokenizer | None, single_split: bool, directory: Path) -> None:
    """Write the tokens of every split, their tokenizer and meta.json into an empty directory."""
    words = (given.kind if given else config.tokenizer) is TokenKind.word
    corpus = open_corpus(config, words, single_split)
    tokenizer = given or learn_tokenizer(config, corpus.splits)
    tokenizer.save(directory / "tokenizer.json")
    dtype = np.dtype("<u2" if tokenizer.vocab_size <= 2**16 else "<u4")
    fingerprint = hashlib.blake2b(digest_size=16)
    tallies = {}
    for split, stream in corpus.splits.items():
        tally = tallies[split] = Tally(split, stream, fingerprint)
        documents = tally.write_tokens(directory / f"{split}.tokens", tokenizer, dtype)
        np.save(directory / f"{split}.documents.npy", np.array(documents, dtype=np.int64))
        np.save(directory / f"{split}.digests.npy", tally.passages.digests)
        if tally.tokens < 2:
            raise _too_short(corpus, split, tally.tokens)
    meta = {
        "vocab_size": tokenizer.vocab_size,
        "dtype": dtype.name,
        "unknown": tokenizer.unknown,
        "sorted_by_frequency": isinstance(tokenizer, SymbolTokenizer),
        "sizes": {split: tally.tokens for split, tally in tallies.items()},
        "characters": {split: tally.characters for split, tally in tallies.items()},
        "bytes": {split: tally.bytes for split, tally in tallies.items()},
        "fingerprint": fingerprint.hexdigest(),
        "notes": list(_notes(corpus, tokenizer, tallies, single_split)),
    }
    (directory / "meta.json").write_text(json.dumps(meta))


class Tally:
    """Counts of a split's characters, bytes, tokens and documents, made while its text is tokenised.

    Args:
        split: name of the split.
        stream: its text.
        fingerprint: digest of all splits, updated with the name and the text.
    """

    def __init__(self, split: str, stream: Stream, fingerprint: "hashlib.blake2b"):
        self.split, self.stream, self.fingerprint = split, stream, fingerprint
        self.characters = self.bytes = self.tokens = self.unknown = self.documents = 0
        self.passages = Passages()
        self.special: Counter[str] = Counter()
        """Words of the text that are spelt like special tokens."""

    def counted(self) -> Iterator[Chunk]:
        """The chunks, unchanged, counted as they pass."""
        self.fingerprint.update(f"{self.split}\n".encode())
        for chunk in self.stream():
            content = chunk.text.encode()
            self.fingerprint.update(content)
            self.characters += len(chunk.text)
            self.bytes += len(content)
            self.passages.add(chunk.text)
            yield chunk
        self.fingerprint.update(self.bytes.to_bytes(8, "little"))

    def write_tokens(self, path: Path, tokenizer: CorpusTokenizer, dtype: np.dtype) -> "array[int]":
        """Write the tokens chunk by chunk; returns the positions at which documents begin."""
        starts, begins = array("q"), False
        with path.open("wb") as file:
            for chunk in end_lines(self.counted) if tokenizer.kind is TokenKind.word else self.counted():
                ids = tokenizer.encode(chunk.text)
                begins = begins or chunk.starts_document
                if begins and len(ids):  # a document of nothing but blanks has no words
                    starts.append(self.tokens)
                    begins = False
                if isinstance(tokenizer, WordTokenizer):
                    self.special += tokenizer.special_words(chunk.text)
                if tokenizer.unknown is not None:
                    self.unknown += int((ids == tokenizer.unknown).sum())
                self.tokens += len(ids)
                file.write(ids.astype(dtype).tobytes())
        self.documents = len(starts)
        return starts


def _too_short(corpus: Corpus, split: str, tokens: int) -> DataError:
    has = "no text" if tokens == 0 else "1 token"
    remedy = f"raise data.{split}_size, or give more text" if split in corpus.apart else "give it more text"
    return DataError(f"{corpus.origin}: {split} has {has}, and at least 2 tokens are needed; {remedy}")


def _notes(corpus: Corpus, tokenizer: CorpusTokenizer, tallies: dict[str, Tally], single_split: bool) -> Iterator[str]:
    """Remarks for the user on how the text was split and tokenised."""
    for split, how in corpus.apart.items():
        yield f"{split}: {tallies[split].characters:,} characters set apart (data.{split}_size), {how}"
    if not single_split and "test" not in tallies:
        yield "test: the source has none; scores are on validation"
    if tokenizer.unknown is not None:
        shares = (f"{tally.unknown / tally.tokens:.2%} of {split}" for split, tally in tallies.items())
        yield f"unknown tokens (<unk>): {', '.join(shares)}"
    for word, meaning in {EOS: "line ends", UNKNOWN: "unknown words"}.items():
        if any(tally.special[word] for tally in tallies.values()):
            counts = (f"{tally.special[word]:,} in {split}" for split, tally in tallies.items())
            yield f"words {word} of the text, taken as {meaning}: {', '.join(counts)}"
    if any(tally.documents > 1 for tally in tallies.values()):
        yield f"documents: {', '.join(f'{tally.documents:,} in {split}' for split, tally in tallies.items())}"


class PreparedCorpus:
    """The tokens and tokenizer of a directory that ``prepare`` wrote.

    Args:
        directory: path of the directory.
    """

    def __init__(self, directory: Path):
        self.directory = directory
        self.meta: dict[str, Any] = json.loads((directory / "meta.json").read_text())

    def tokens(self, split: str) -> np.ndarray | CheckedArray:
        """Tokens of a split, memory-mapped, (N,), uint16 or uint32."""
        dtype = np.dtype(self.meta["dtype"]).newbyteorder("<")
        return mapped(self.directory / f"{split}.tokens", dtype)

    def documents(self, split: str) -> np.ndarray:
        """Positions at which documents begin in a split, memory-mapped, (D,), int64, ascending from 0."""
        return np.asarray(mapped(self.directory / f"{split}.documents.npy"))

    def digests(self, split: str) -> np.ndarray | None:
        """Digests of the passages or documents of a split, uint64; None if an earlier version prepared them."""
        path = self.directory / f"{split}.digests.npy"
        return np.asarray(mapped(path)) if path.is_file() else None

    @functools.cached_property
    def tokenizer(self) -> CorpusTokenizer:
        """The tokenizer that produced the tokens."""
        return load_tokenizer(self.directory / "tokenizer.json")
