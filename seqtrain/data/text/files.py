"""A person's own files of labelled texts."""

from typing import Any

from seqtrain.config.data import TextFilesConfig
from seqtrain.data.text.classification import TextClassification
from seqtrain.data.text.columns import find_files, identify_files, read_files
from seqtrain.data.text.labels import RawSplit


class TextFiles(TextClassification):
    """Files named by ``data.path``: one file, or a folder with files for each split."""

    config: TextFilesConfig

    def identity(self) -> Any:
        return identify_files(find_files(self.config))

    def read(self) -> dict[str, RawSplit]:
        return read_files(find_files(self.config), self.config)
