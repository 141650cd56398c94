"""Counts of floating-point operations (FLOPs) of the kernels, which torch's own counters do not see."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

listeners: list[Callable[[int], None]] = []
"""Functions that are told the FLOPs of each call of a kernel. Without any, nothing is counted."""


@contextmanager
def reported_flops(listener: Callable[[int], None]) -> Iterator[None]:
    """Context in which a function is told the FLOPs of each call of a kernel: the multiplications and additions of its
    matrix products, over real steps.
    """
    listeners.append(listener)
    try:
        yield
    finally:
        listeners.remove(listener)


def report(flops: int) -> None:
    """Tell all listeners the FLOPs of a call."""
    for listener in listeners:
        listener(flops)
