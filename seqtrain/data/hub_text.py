"""Public datasets of labelled texts: from ``data.path``, else $SEQTRAIN_DATA_DIR, else the hub."""

import logging
import os
import socket
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from seqtrain.config.data import HubTextConfig
from seqtrain.data.labels import RawSplit
from seqtrain.data.sources import files_in, find_files, from_table, identify_files, read_files, wanted_splits
from seqtrain.data.text_classification import TextClassification
from seqtrain.errors import DataError


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
    """Fetch a dataset from the hub, or from the copy that `datasets` keeps on this machine.

    Raises:
        DataError: if neither is to be had, within seconds and naming the remedies.
    """
    if not hub_answers():
        os.environ["HF_HUB_OFFLINE"] = "1"
    import datasets

    for library in ("datasets", "huggingface_hub", "httpx", "httpx2", "fsspec"):
        logging.getLogger(library).setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    try:
        loaded = datasets.load_dataset(config.hub, config.hub_subset, revision=config.revision)
    except Exception as error:  # the library raises a dozen kinds for "cannot be had"
        reason = " ".join(str(error).split())[:150]
        raise DataError(
            f"data={config.name}: no local copy, and {config.hub} cannot be had from the hub ({reason}); "
            f"give data.path=<folder>, or set SEQTRAIN_DATA_DIR to a folder that holds {config.folder}/, "
            "or connect to the hub"
        ) from error
    raw = {}
    for split, name in wanted_splits(config).items():
        if name in loaded:
            names = getattr(loaded[name].features.get(config.label_column), "names", None)
            raw[split] = from_table(loaded[name].data.table, config, f"{config.hub}, split {name}", names)
    return raw


def hub_answers(timeout: float = 2.0) -> bool:
    """Whether the hub (or the proxy to it) accepts a connection within ``timeout`` seconds, name look-up included."""
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    proxy = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
    address = urlsplit(proxy or endpoint)
    answered = threading.Event()

    def connect() -> None:
        try:
            port = address.port or (80 if address.scheme == "http" else 443)
            with socket.create_connection((address.hostname or "", port), timeout):
                answered.set()
        except OSError:
            pass

    thread = threading.Thread(target=connect, daemon=True)  # a name look-up has no timeout of its own
    thread.start()
    thread.join(timeout)
    return answered.is_set()
