"""Checkpoints: written atomically, verified when read, and loaded without running code from them."""

import logging
import os
import pickle
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn

from seqtrain.errors import RunError
from seqtrain.models.state_names import current_names
from seqtrain.runs.directory import RunDirectory

log = logging.getLogger(__name__)


def save_checkpoint(path: Path, content: dict[str, Any], keep_as: Path | None = None) -> None:
    """Write a checkpoint atomically: after a crash, either the old or the new checkpoint is there.

    The checkpoint is written to a temporary file, synced to the disk, and then renamed.

    Args:
        path: final path of the checkpoint.
        content: tensors, numbers, strings, and lists, tuples and dicts of them.
        keep_as: path to which the old checkpoint is moved; None deletes it.

    Raises:
        OSError: if it cannot be written; the old checkpoint is unchanged.
    """
    temporary = path.with_name(f".{path.name}")  # always the same name: a killed run leaves at most one such file
    try:
        with temporary.open("wb") as file:  # opened here, since torch hides the system's error of a full disk
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        if keep_as is not None and path.exists():
            keep_as.unlink(missing_ok=True)
            try:
                keep_as.hardlink_to(path)  # a link, so that a checkpoint of this name exists at any moment
            except OSError:  # a file system without links
                path.replace(keep_as)
        temporary.replace(path)
    finally:
        with suppress(OSError):  # if the folder is not writable, the error above says so
            temporary.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)  # makes the new name durable too
    finally:
        os.close(directory)


def load_checkpoint(path: Path, run_id: str, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint of a run.

    ``torch.load`` does not notice a changed byte, so the CRC of every record in the zip is checked first.

    Raises:
        RunError: if it is missing, truncated, damaged, from another run, or contains objects that could run code.
    """
    if not path.is_file():
        raise RunError(
            f"{path}: no such checkpoint; the run has not saved it yet (or use the other one of best and last)"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise RunError(f"{path}: the checkpoint is damaged (checksum of {damaged}); use another one")
        content = torch.load(path, map_location=device, weights_only=True)
    except (zipfile.BadZipFile, zlib.error, OSError) as error:
        raise RunError(f"{path}: the checkpoint is truncated or damaged ({error}); use another one") from error
    except pickle.UnpicklingError as error:
        raise RunError(
            f"{path}: refused, since it contains more than tensors and numbers, and could run code"
        ) from error
    except (RuntimeError, EOFError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{path}: the checkpoint cannot be read ({reason}); use another one") from error
    if not isinstance(content, dict) or content.get("run_id") != run_id:
        raise RunError(f"{path}: is a checkpoint of another run; restore this run's own file")
    return content


def last_checkpoint(run: RunDirectory) -> dict[str, Any]:
    """The last checkpoint of a run, or the one before it, with a warning, if the last cannot be used.

    Raises:
        RunError: if neither can be used.
    """
    try:
        return load_checkpoint(run.checkpoint_path("last"), run.id)
    except RunError as error:
        try:
            previous = load_checkpoint(run.checkpoint_path("previous"), run.id)
        except RunError:
            raise error from None
        log.warning("%s", error)
        log.warning("resuming from the checkpoint before it, of step %d", previous["step"])
        return previous


def load_weights(model: nn.Module, head: nn.Module, checkpoint: dict[str, Any]) -> None:
    """Load a checkpoint's weights into a model and its head; raises RunError if their shapes do not match."""
    try:
        for name, module in (("model", model), ("head", head)):
            module.load_state_dict(current_names(checkpoint[name], module.state_dict()))
    except (RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise RunError(
            f"the checkpoint does not fit the model that config.yaml and data.json describe; one of them was changed "
            f"since ({reason})"
        ) from error
