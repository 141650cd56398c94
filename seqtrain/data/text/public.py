"""Public datasets of labelled texts: from ``data.path``, else $SEQTRAIN_DATA_DIR, else the hub."""

from typing import Any

from seqtrain.config.data import HubTextConfig
from seqtrain.data.hub import load_from_hub
from seqtrain.data.locate import wanted_splits
from seqtrain.data.tables.table import Table
from seqtrain.data.text.classification import TextClassification
from seqtrain.data.text.columns import find_files, from_table, identify_files, read_files
from seqtrain.data.text.labels import RawTexts


class HubText(TextClassification):
    """A dataset from the hub, or a local copy of it."""

    config: HubTextConfig

    def identity(self) -> Any:
        config, files = self.config, find_files(self.config, [])
        return identify_files(files) if files else ["hub", config.hub, config.hub_subset, config.revision]

    def file_notes(self) -> list[str]:
        notes: list[str] = []
        find_files(self.config, notes)
        return notes

    def read(self, notes: list[str]) -> dict[str, list[RawTexts]]:
        files = find_files(self.config, [])
        return read_files(files, self.config, notes) if files else read_hub(self.config, notes)


def read_hub(config: HubTextConfig, notes: list[str]) -> dict[str, list[RawTexts]]:
    """Texts and labels of the wanted splits of a dataset on the hub."""
    loaded = load_from_hub(config)
    raw = {}
    for split, name in wanted_splits(config).items():
        if name in loaded:
            features = loaded[name].features.arrow_schema.metadata
            columns = loaded[name].data.table.replace_schema_metadata(features)
            table = Table(columns, f"{config.hub}, split {name}")
            raw[split] = [from_table(table, config, notes)]
    return raw
