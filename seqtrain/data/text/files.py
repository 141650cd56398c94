"""Labelled texts from the user's own files."""

from pathlib import Path
from typing import Any

from seqtrain.config.data import TextFilesConfig
from seqtrain.data.text.classification import TextClassification
from seqtrain.data.text.columns import find_files, identify_files, read_files
from seqtrain.data.text.labels import RawTexts


class TextFiles(TextClassification):
    """Labelled texts at ``data.path``: one file, or a folder with files for each split."""

    config: TextFilesConfig

    def files(self) -> tuple[dict[str, list[Path]], list[str]]:
        """Files of each split, and remarks on them."""
        notes: list[str] = []
        files = find_files(self.config, notes)
        assert files is not None  # this dataset has no other source
        return files, notes

    def identity(self) -> Any:
        return identify_files(self.files()[0])

    def file_notes(self) -> list[str]:
        return self.files()[1]

    def read(self, notes: list[str]) -> dict[str, list[RawTexts]]:
        return read_files(self.files()[0], self.config, notes)
