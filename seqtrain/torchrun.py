"""What ``torchrun`` tells a process in its environment: how many there are, and which one it is."""

import os
from collections.abc import Mapping

from seqtrain.errors import ConfigError

LIMITS = {"WORLD_SIZE": (1, 2**31), "RANK": (0, 2**31), "LOCAL_RANK": (0, 2**31), "MASTER_PORT": (1, 2**16)}
"""Variables that are whole numbers: lowest value, and one above the highest."""


def world_size(environment: Mapping[str, str] = os.environ) -> int:
    """Number of processes that train together; 1 without ``torchrun``.

    Raises:
        ConfigError: if the number, or what several processes need to find each other, is absent or wrong.
    """
    if "WORLD_SIZE" not in environment:
        return 1
    size = whole_number("WORLD_SIZE", environment)
    if size > 1:
        rank = whole_number("RANK", environment)
        if rank >= size:
            raise ConfigError(f"RANK={rank}: must be below WORLD_SIZE={size}; start the processes by torchrun")
        whole_number("MASTER_PORT", environment)
        if not environment.get("MASTER_ADDR"):
            raise ConfigError("MASTER_ADDR: must be set with WORLD_SIZE; start the processes by torchrun")
    return size


def local_rank(environment: Mapping[str, str] = os.environ) -> int | None:
    """Number of this process among those on its machine; None without ``torchrun``.

    Raises:
        ConfigError: if it is not a whole number.
    """
    return whole_number("LOCAL_RANK", environment) if "LOCAL_RANK" in environment else None


def whole_number(name: str, environment: Mapping[str, str]) -> int:
    """A variable as a number; raises ConfigError if it is absent, or not a whole number within its limits."""
    low, high = LIMITS[name]
    text = environment.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and low <= int(text) < high):
        raise ConfigError(
            f"{name}={text:.40}: must be a whole number from {low} to {high - 1}; start the processes by torchrun, or "
            f"unset WORLD_SIZE, RANK and LOCAL_RANK"
        )
    return int(text)
