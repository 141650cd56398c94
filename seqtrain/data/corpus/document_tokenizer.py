"""The tokenizer of documents: that of labelled texts, with one more special token at the end of each document."""

import functools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seqtrain.config.corpus import TokenKind
from seqtrain.data.corpus.tokenizers import REPLACEMENT, BpeTokenizer, CorpusTokenizer, text_lengths
from seqtrain.data.text.batches import token_name
from seqtrain.data.vocabulary import END, PAD, UNKNOWN

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class DocumentTokenizer(CorpusTokenizer):
    """A tokenizer of the library `tokenizers` with the tokens <pad>, <unk> and <end>.

    Args:
        library: the tokenizer.
    """

    def __init__(self, library: "Tokenizer"):
        library.encode_special_tokens = True  # what is spelt like a special token is ordinary text
        numbers = library.get_vocab()
        self.tokens = sorted(numbers, key=numbers.__getitem__)
        self.library, self.vocab_size = library, len(numbers)
        self.unknown, self.end = numbers[UNKNOWN], numbers[END]

    @functools.cached_property
    def kind(self) -> TokenKind:  # type: ignore[override]
        """What a token is, as the file of the tokenizer tells."""
        from seqtrain.data.text.tokenizer import CHARACTER

        content = json.loads(self.library.to_str())
        if content["model"]["type"] == "BPE":
            return TokenKind.bpe
        return TokenKind.char if content["pre_tokenizer"]["pattern"] == {"Regex": CHARACTER} else TokenKind.word

    def names(self) -> list[str]:
        return [token_name(self.library, token) for token in range(self.vocab_size)]

    def encode(self, text: str) -> np.ndarray:
        return np.array(self.library.encode(text, add_special_tokens=False).ids, dtype=np.int64)

    def unknown_parts(self, text: str) -> list[str]:
        encoding = self.library.encode(text, add_special_tokens=False)
        unknown = [
            text[a:b] for token, (a, b) in zip(encoding.ids, encoding.offsets, strict=True) if token == self.unknown
        ]
        return list(dict.fromkeys(unknown))

    def decode(self, ids: Iterable[int]) -> str:
        """The documents of tokens, each but the last with a line end after it; words have a blank between them."""
        documents: list[list[int]] = [[]]
        for token in ids:
            if token == self.end:
                documents.append([])
            else:
                documents[-1].append(int(token))
        return "\n".join(map(self.decode_document, documents))

    def decode_document(self, ids: list[int]) -> str:
        """The text of tokens of one document."""
        if self.kind is TokenKind.bpe:
            return str(self.library.decode(ids, skip_special_tokens=False))
        blank, unknown = (" ", UNKNOWN) if self.kind is TokenKind.word else ("", REPLACEMENT)
        return blank.join(unknown if token == self.unknown else self.tokens[token] for token in ids)

    def token_lengths(self) -> tuple[np.ndarray, np.ndarray]:
        """Lengths of tokens in the normalised text, 0 of special ones but <unk>.

        All are 0 for words, since what is between them is no part of a token: such texts have no bits per character.
        """
        if self.kind is TokenKind.word:
            return np.zeros(self.vocab_size, dtype=np.int64), np.zeros(self.vocab_size, dtype=np.int64)
        if self.kind is TokenKind.bpe:
            characters, num_bytes = BpeTokenizer(self.library).token_lengths()
            special = [token in (PAD, UNKNOWN, END) for token in self.tokens]
            characters[special] = num_bytes[special] = 0
            return characters, num_bytes
        texts = {PAD: "", END: "", UNKNOWN: REPLACEMENT}
        return text_lengths([texts.get(token, token) for token in self.tokens])

    def save(self, path: Path) -> None:
        path.write_text(self.library.to_str(), encoding="utf-8")
