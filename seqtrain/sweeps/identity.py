"""Hashes that identify a job and a sweep across invocations."""

import hashlib
import json
import re
from collections.abc import Sequence
from enum import Enum
from typing import Any

from seqtrain.config.loading import flatten
from seqtrain.config.options import identifying
from seqtrain.config.root import Config

NOT_IN_COMMAND_HASH = re.compile(
    r"\+*(device|hydra/launcher|hydra\.verbose|(sweep|hydra\.launcher|hydra\.sweep)\.[^=]*"
    r"|hydra\.sweeper\.(max_batch_size|n_jobs|n_trials|max_failure_rate))="
)
"""Overrides that set where, how and how long the jobs of a sweep run, but not which jobs exist."""


def job_hash(config: Config) -> str:
    """First ten hex digits of the SHA-256 of all options that affect a job's results.

    With ``budget.params`` the width is a result: a single width does not count. Several widths count, since they
    set the ratio between them.
    """
    identifies = identifying(config)
    counted = {key: value for key, value in flatten(config) if key in identifies}
    widths = [f"model.{key}" for key in config.model.widths(causal=False)] if config.budget.params is not None else []
    solved = widths if len(widths) == 1 and isinstance(counted.get(widths[0]), int) else []
    return digest(counted | dict.fromkeys(solved))[:10]


def command_hash(arguments: Sequence[str]) -> str:
    """Eight hex digits that identify a sweep's command; the order of the overrides does not matter."""
    flags = ("-m", "--multirun", "hydra.mode=MULTIRUN")
    return digest(sorted(a for a in arguments if a not in flags and NOT_IN_COMMAND_HASH.match(a) is None))[:8]


def digest(value: Any) -> str:
    """SHA-256 of a value's JSON; enums by name."""
    text = json.dumps(value, sort_keys=True, default=lambda item: item.name if isinstance(item, Enum) else str(item))
    return hashlib.sha256(text.encode()).hexdigest()
