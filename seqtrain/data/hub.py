"""Fetch datasets from the hub, without output, and without a long wait if it cannot be reached."""

import logging
import os
import socket
import threading
from typing import Any
from urllib.parse import urlsplit

from seqtrain.config.hub import HubConfig
from seqtrain.errors import DataError


def load_from_hub(config: HubConfig) -> Any:
    """Fetch a dataset from the hub, or from the copy of it that `datasets` keeps on this machine.

    Returns:
        A ``datasets.DatasetDict``.

    Raises:
        DataError: after a few seconds, if the dataset is in neither place; names the remedies.
    """
    if offline := not hub_answers():
        os.environ["HF_HUB_OFFLINE"] = "1"
    import datasets
    from huggingface_hub import constants

    if offline:  # both read the variable at their import, which may have been earlier
        datasets.config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    for library in ("datasets", "huggingface_hub", "httpx", "httpx2", "fsspec"):
        logging.getLogger(library).setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    try:
        return datasets.load_dataset(config.hub, config.hub_subset, revision=config.revision)
    except Exception as error:  # the library raises a dozen kinds of error
        reason = " ".join(str(error).split())[:150]
        raise DataError(
            f"data={config.name}: no local copy, and {config.hub} cannot be fetched from the hub ({reason}); "
            f"give data.path=<file or folder>, or set SEQTRAIN_DATA_DIR to a folder that holds {config.folder}/, "
            "or connect to the hub"
        ) from error


def hub_answers(timeout: float = 2.0) -> bool:
    """Whether the hub, or its proxy, accepts a connection within ``timeout`` seconds, including the name look-up."""
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
