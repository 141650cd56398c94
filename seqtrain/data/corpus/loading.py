"""Read the tokenizer.json of running text, of any kind."""

import json
from pathlib import Path
from typing import Any

from seqtrain.config.corpus import TokenKind
from seqtrain.data.corpus.document_tokenizer import DocumentTokenizer
from seqtrain.data.corpus.tokenizers import BpeTokenizer, ByteTokenizer, CharTokenizer, CorpusTokenizer, WordTokenizer
from seqtrain.data.run_tokenizer import REMEDY, check_size
from seqtrain.data.vocabulary import END, UNKNOWN
from seqtrain.errors import RunError


def load_tokenizer(path: Path) -> CorpusTokenizer:
    """Read a tokenizer.json that ``CorpusTokenizer.save`` wrote.

    Raises:
        RunError: if the file is missing or damaged.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text)
        if "model" in content:
            from tokenizers import Tokenizer

            library = Tokenizer.from_str(text)
            ends = any(token["content"] == END for token in content["added_tokens"])
            return DocumentTokenizer(library) if ends else BpeTokenizer(library)
        match TokenKind(content["kind"]):
            case TokenKind.word:
                return WordTokenizer(*vocabulary(content))
            case TokenKind.char:
                return CharTokenizer(*vocabulary(content))
            case TokenKind.byte:
                return ByteTokenizer()
        raise ValueError(f"no vocabulary of kind {content['kind']}")
    except Exception as error:  # the library raises bare exceptions
        reason = " ".join(str(error).split()) or type(error).__name__
        raise RunError(f"{path}: cannot be read as a tokenizer ({reason}); {REMEDY}") from error


def load_run_tokenizer(path: Path) -> CorpusTokenizer:
    """Read the tokenizer.json of a run.

    Raises:
        RunError: if the file is missing or damaged, or has another number of tokens than the run's model.
    """
    tokenizer = load_tokenizer(path)
    check_size(path, tokenizer.vocab_size)
    return tokenizer


def vocabulary(content: dict[str, Any]) -> tuple[list[str], int | None]:
    """The tokens of a tokenizer.json, and which of them is <unk>; raises an exception if they are not valid."""
    tokens, unknown = content["tokens"], content["unknown"]
    if not all(isinstance(token, str) for token in tokens) or len(set(tokens)) < len(tokens):
        raise ValueError("its tokens are not distinct strings")
    if unknown is not None and tokens[unknown] != UNKNOWN:
        raise ValueError(f"its token {unknown} is not {UNKNOWN}")
    return tokens, unknown
