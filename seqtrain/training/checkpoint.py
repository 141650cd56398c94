"""Checkpoints: written whole or not at all, verified before use, and never able to run code."""

import os
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from seqtrain.atomic import replacing
from seqtrain.errors import RunError


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint beside its place, make it durable, and move it there: a crash leaves the old one or the new.

    Args:
        path: its final place.
        content: tensors, numbers, strings, and lists, tuples and dicts of them.

    Raises:
        OSError: if it cannot be written; the old checkpoint is untouched.
    """
    with replacing(path) as temporary:
        torch.save(content, temporary)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)  # the new name too
    finally:
        os.close(directory)


def load_checkpoint(path: Path, run_id: str, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint of a run.

    ``torch.load`` reads a flipped byte silently, so the CRC of every record in the zip is checked first.

    Raises:
        RunError: if it is missing, cut short, changed, of another run, or would run code.
    """
    if not path.is_file():
        raise RunError(f"{path}: no such checkpoint; the run has not saved one yet (or use the other of best and last)")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise RunError(f"{path}: the checkpoint was changed or damaged (checksum of {damaged}); use another one")
        content = torch.load(path, map_location=device, weights_only=True)
    except (zipfile.BadZipFile, zlib.error, OSError) as error:
        raise RunError(f"{path}: the checkpoint is cut short or damaged ({error}); use another one") from error
    except pickle.UnpicklingError as error:
        raise RunError(f"{path}: refused, since it holds more than tensors and numbers and could run code") from error
    except (RuntimeError, EOFError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{path}: the checkpoint cannot be read ({reason}); use another one") from error
    if not isinstance(content, dict) or content.get("run_id") != run_id:
        raise RunError(f"{path}: is a checkpoint of another run; restore this run's own file")
    return content


def load_weights(model: nn.Module, head: nn.Module, checkpoint: dict[str, Any]) -> None:
    """Set the weights of a model and its head; raises RunError if they are not of its shape."""
    try:
        model.load_state_dict(checkpoint["model"])
        head.load_state_dict(checkpoint["head"])
    except (RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise RunError(
            f"the checkpoint does not fit the model of config.yaml, which was changed since ({reason})"
        ) from error
