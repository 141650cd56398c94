"""The vocabulary of tagged sentences: the number of each word."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import models

from seqtrain.config.data import TaggingFilesConfig, Truncate
from seqtrain.data.rows.tokens import TokenRows, flatten
from seqtrain.data.run_tokenizer import run_tokenizer
from seqtrain.data.vocabulary import PAD, UNKNOWN, by_frequency
from seqtrain.errors import RunError

PAD_ID, UNKNOWN_ID = 0, 1  # numbers of PAD and UNKNOWN; tags are padded with 0 too, which is never read


@dataclass(frozen=True)
class Words:
    """The words of a vocabulary."""

    numbers: dict[str, int]
    """Number of each word, ascending."""
    lowercase: bool
    """Tokens are lowercased before they are looked up."""

    @classmethod
    def load(cls, directory: Path) -> "Words":
        """The words in the tokenizer.json of a run on sentences or on labelled texts.

        Raises:
            RunError: if the file cannot be used, or its tokens are parts of words.
        """
        tokenizer = run_tokenizer(directory)
        if not isinstance(tokenizer.model, models.WordLevel):
            raise RunError(
                f"{directory / 'tokenizer.json'}: its tokens are parts of words, and a tag belongs to a word; take a "
                "run with data.tokenizer=word"
            )
        numbers = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
        normalizer = tokenizer.normalizer
        return cls(dict(numbers), normalizer is not None and normalizer.normalize_str("A") == "a")

    def word(self, token: str) -> str:
        """A token in the form that the vocabulary has: in NFC, and lowercased if the vocabulary is.

        A token that is spelt like <pad> or <unk> is a word as others are. A blank before it tells it from the special
        one.
        """
        token = unicodedata.normalize("NFC", token)
        token = token.lower() if self.lowercase else token
        return f" {token}" if token.lstrip(" ") in (PAD, UNKNOWN) else token

    def rows(self, rows: Sequence[list[str]], length: int) -> TokenRows:
        """Numbers of the tokens of rows, cut to a length."""
        numbers = [[self.numbers.get(self.word(token), UNKNOWN_ID) for token in row] for row in rows]
        return TokenRows(*flatten([numbers], len(self.numbers)), length, Truncate.head)


def learn_words(rows: Sequence[list[str]], config: TaggingFilesConfig) -> Words:
    """The words of train: first padding and <unk>, then others by falling count, equals in alphabetical order."""
    word = Words({}, config.lowercase).word
    counts = Counter(word(token) for row in rows for token in row)
    names = [PAD, UNKNOWN, *by_frequency(counts, config.min_count, ())][: config.vocab_size]
    return Words({name: number for number, name in enumerate(names)}, config.lowercase)
