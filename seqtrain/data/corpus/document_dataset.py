"""Documents for next-token prediction: running text in which each document is read apart from the others."""

from dataclasses import fields
from pathlib import Path

import numpy as np

from seqtrain.config.base import require
from seqtrain.config.corpus import DocstringDocumentsConfig, DocumentsConfig, SegmentConfig, TextDocumentsConfig
from seqtrain.data.corpus.dataset import RunningText
from seqtrain.data.corpus.document_tokens import prepare_documents
from seqtrain.data.corpus.documents import document_files
from seqtrain.data.corpus.tokenizers import CorpusTokenizer


class Documents(RunningText):
    """Documents one after the other, each with <end> after it.

    With ``state=reset_document`` the state is reset before the first token of a document, and before the <end> that
    closes the one before it. So the features of a document are those of the document alone, as a classifier computes
    them, its first token is predicted from <end> alone, and <end> from the whole document.
    """

    tokenizes = "texts"
    digested = "documents"

    config: DocumentsConfig

    def prepare(self, tokenizer: Path | None, single_split: bool) -> Path:
        if self.config.path is not None and isinstance(self.config, DocstringDocumentsConfig):
            require(single_split, "data.path", self.config.path, "null: these documents are the machine's own library")
            names = {field.name for field in fields(TextDocumentsConfig)}
            shared = {name: value for name, value in vars(self.config).items() if name in names}
            self.config = TextDocumentsConfig(**shared)
        return prepare_documents(self.config, tokenizer, single_split)

    def file_notes(self) -> list[str]:
        notes: list[str] = []
        if isinstance(self.config, DocstringDocumentsConfig):
            return notes
        document_files(self.config, notes)
        return notes

    def restarts(self, split: str, positions: np.ndarray) -> np.ndarray:
        """True at the steps that read the first token of a document, or the <end> before it, (B, T)."""
        return super().restarts(split, positions) | super().restarts(split, positions + 1)

    @classmethod
    def tokens_of(cls, config: SegmentConfig, tokenizer: CorpusTokenizer, text: str) -> np.ndarray:
        assert isinstance(config, DocumentsConfig)
        tokens = super().tokens_of(config, tokenizer, text)
        return tokens[::-1] if config.reverse else tokens
