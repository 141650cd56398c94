"""What a run saved of its series, in scaler.json, and the options that follow from it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from seqtrain.config.series import SeriesConfig
from seqtrain.data.series.times import STEP
from seqtrain.errors import RunError


def read_saved(path: Path) -> dict[str, Any]:
    """Read the scaler.json that ``save`` wrote; raises RunError if it cannot be read."""
    try:
        state: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read ({error}); restore it, or train again") from error
    return state


def as_trained(config: SeriesConfig, saved: dict[str, Any]) -> SeriesConfig:
    """The options with the targets and the frequency of a run, so that the columns of the file do not decide them."""
    frequency = config.frequency or (None if saved["frequency"] == STEP else saved["frequency"])
    return replace(config, targets=saved["names"][: saved["num_targets"]], frequency=frequency)
