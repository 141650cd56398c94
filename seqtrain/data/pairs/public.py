"""Pairs of texts from the user's own files, and public ones from a local copy or the hub."""

from typing import Any

from seqtrain.config.pairs import HubPairsConfig, PairFilesConfig
from seqtrain.data.pairs.dataset import PairData
from seqtrain.data.pairs.files import PairFile, find_files, identify_files
from seqtrain.data.pairs.reading import Pairs, read_hub, read_pairs


class PairFiles(PairData):
    """Pairs of texts at ``data.path``."""

    config: PairFilesConfig

    def files(self, notes: list[str]) -> dict[str, list[PairFile]]:
        """Files of each split; remarks on them are added to ``notes``."""
        files = find_files(self.config, notes)
        assert files is not None  # this dataset has no other source
        return files

    def identity(self) -> Any:
        return identify_files(self.files([]))

    def file_notes(self) -> list[str]:
        notes: list[str] = []
        self.files(notes)
        return notes

    def read(self, notes: list[str]) -> dict[str, Pairs]:
        return read_pairs(self.files([]), self.config, notes)


class HubPairs(PairData):
    """Pairs of texts from the hub, or a local copy of them."""

    config: HubPairsConfig

    def identity(self) -> Any:
        config, files = self.config, find_files(self.config, [])
        return identify_files(files) if files else ["hub", config.hub, config.hub_subset, config.revision]

    def file_notes(self) -> list[str]:
        notes: list[str] = []
        find_files(self.config, notes)
        return notes

    def read(self, notes: list[str]) -> dict[str, Pairs]:
        files = find_files(self.config, [])
        return read_pairs(files, self.config, notes) if files else read_hub(self.config, notes)
