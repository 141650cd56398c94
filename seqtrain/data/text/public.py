"""Public datasets of labelled texts: from ``data.path``, else $SEQTRAIN_DATA_DIR, else the hub."""

import os
from pathlib import Path
from typing import Any

from seqtrain.config.data import HubTextConfig
from seqtrain.data.hub import load_from_hub
from seqtrain.data.text.classification import TextClassification
from seqtrain.data.text.columns import files_in, find_files, from_table, identify_files, read_files, wanted_splits
from seqtrain.data.text.labels import RawSplit


class HubText(TextClassification):
    """A dataset of the hub, or a local copy of it."""

    config: HubTextConfig

    def files(self) -> dict[str, list[Path]] | None:
        """Files of each split, or None where only the hub is left."""
        if self.config.path is not None:
            return find_files(self.config, self.config.hub_subset)
        root = os.environ.get("SEQTRAIN_DATA_DIR")
        folder = Path(root).expanduser() / self.config.folder if root else None
        return files_in(folder, self.config, self.config.hub_subset) if folder and folder.is_dir() else None

    def identity(self) -> Any:
        files = self.files()
        return (
            identify_files(files) if files else ["hub", self.config.hub, self.config.hub_subset, self.config.revision]
        )

    def read(self) -> dict[str, RawSplit]:
        files = self.files()
        return read_files(files, self.config) if files else read_hub(self.config)


def read_hub(config: HubTextConfig) -> dict[str, RawSplit]:
    """Texts and labels of the wanted splits of a dataset of the hub."""
    loaded = load_from_hub(config)
    raw = {}
    for split, name in wanted_splits(config).items():
        if name in loaded:
            names = getattr(loaded[name].features.get(config.label_column), "names", None)
            raw[split] = from_table(loaded[name].data.table, config, f"{config.hub}, split {name}", names)
    return raw
