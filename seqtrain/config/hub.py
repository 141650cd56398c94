"""Where public data is looked for."""

from dataclasses import dataclass

from omegaconf import MISSING

from seqtrain.config.base import DataConfig
from seqtrain.config.options import Affects, option


@dataclass
class HubConfig(DataConfig):
    """Public data, read from ``path``, else from a folder of $SEQTRAIN_DATA_DIR, else from the hub."""

    folder: str = option(MISSING, Affects.source)
    """Folder of the data under $SEQTRAIN_DATA_DIR."""
    hub: str = option(MISSING, Affects.source)
    """Name of the dataset on the hub."""
    hub_subset: str | None = option(None, Affects.source)
    """Configuration (subset) of the dataset on the hub, if it has several."""
    revision: str | None = option(None, Affects.source)
    """Revision of the dataset on the hub; null takes the newest at the time of the first preparation."""
