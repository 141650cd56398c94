"""Checkpoints: written atomically, verified when read, and loaded without running code from them."""

import logging
import os
import pickle
import struct
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn

from seqtrain.atomic import open_new
from seqtrain.errors import RunError, UserError
from seqtrain.models.state_names import current_names
from seqtrain.regular import open_regular
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
        with open_new(temporary) as file:
            try:
                torch.save(content, file)
            except RuntimeError as error:
                if isinstance(error.__context__, OSError):  # of a full disk, which torch's zip writer hides
                    raise error.__context__ from None
                raise
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
        RunError: if it is missing, truncated, damaged, from another run, contains objects that could run code, or has
            weights that are not finite.
    """
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise RunError(f"{path}: is compressed, as seqtrain writes no checkpoint; use another one")
            damaged = archive.testzip()
        if damaged is not None:
            raise RunError(f"{path}: the checkpoint is damaged (checksum of {damaged}); use another one")
        content = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError as error:
        raise RunError(
            f"{path}: no such checkpoint; the run has not saved it yet (or use the other one of best and last)"
        ) from error
    except (zipfile.BadZipFile, zlib.error, struct.error, OSError) as error:
        raise RunError(f"{path}: the checkpoint is truncated or damaged ({error}); use another one") from error
    except pickle.UnpicklingError as error:
        raise RunError(
            f"{path}: refused, since it contains more than tensors and numbers, and could run code"
        ) from error
    except (UserError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # torch's reader raises errors of many types
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise RunError(f"{path}: the checkpoint cannot be read ({reason}); use another one") from error
    if not isinstance(content, dict) or content.get("run_id") != run_id:
        raise RunError(f"{path}: is a checkpoint of another run; restore this run's own file")
    check_weights(path, content)
    return content


def check_weights(path: Path, content: dict[str, Any]) -> None:
    """Raise RunError unless a checkpoint has a step, and finite weights of a model and a head."""
    if type(content.get("step")) is not int:
        raise RunError(f"{path}: has no number of steps; use another checkpoint")
    for part in ("model", "head"):
        weights = content.get(part)
        if not isinstance(weights, dict):
            raise RunError(f"{path}: has no weights of the {part}; use another checkpoint")
        for name, tensor in weights.items():
            if not (isinstance(name, str) and isinstance(tensor, torch.Tensor) and tensor.layout is torch.strided):
                raise RunError(f"{path}: {part}: {name!r} is no weight; use another checkpoint")
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise RunError(f"{path}: {part}: {name} has values that are not finite; use another checkpoint")


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
