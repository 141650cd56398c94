"""The share of the machine's fastest matrix product that training reaches (MFU, model FLOPs utilisation).

Source: Chowdhery et al. 2022, "PaLM", appendix B. Differences: the FLOPs are those of what is computed, not an estimate
from the number of parameters; and the machine's limit is measured, not taken from its data sheet.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch

from seqtrain.config.trainer import Precision
from seqtrain.layers.products import matmul
from seqtrain.training.device import has_bf16
from seqtrain.training.flops import counted_flops

DEVICES = ("cpu", "cuda")
"""Types of devices on which all operators of recurrent layers have a formula."""

FIRST_SIZE, LAST_SIZE = 128, 8192
"""Sides of the square matrices whose products are measured."""

LONG_ENOUGH = 5e-4
"""Seconds that a product must take for larger ones to be no faster."""

REPETITIONS = 8


def matmul_seconds(device: torch.device, dtype: torch.dtype, size: int) -> float:
    """Shortest time of a product of two square matrices, after one that is not measured."""
    a, b = (torch.full((size, size), value, device=device, dtype=dtype) for value in (0.5, 0.25))
    times = []
    for _ in range(REPETITIONS + 1):
        started = time.perf_counter()
        product = matmul(a, b)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
        del product
    return min(times[1:])


@cache
def peak(device: torch.device, dtype: torch.dtype, threads: int) -> float:
    """FLOPs per second of the fastest of some matrix products on a device, measured once in a process.

    The matrices grow until a product takes ``LONG_ENOUGH``. Products are short and repeated, so that other programs
    disturb few of them. It takes less than 0.1 s.

    Args:
        device: the device.
        dtype: number format of the matrices.
        threads: threads that torch uses on the CPU; not read, but other threads have another peak.
    """
    size, fastest = FIRST_SIZE, 0.0
    with torch.no_grad():
        while True:
            seconds = matmul_seconds(device, dtype, size)
            fastest = max(fastest, 2 * size**3 / seconds)
            if seconds >= LONG_ENOUGH or size >= LAST_SIZE:
                return fastest
            size *= 2


class Utilisation:
    """Counts the FLOPs of some steps, and from their number per token and the speed computes the utilisation.

    Counting makes a step 1.1 to 3 times as long, so only the steps 1, 4, 16, 64, ... of a process are counted.

    Args:
        device: device of the model.
        precision: number format of its forward pass.
        processes: how many train together, on as many parts of the machine.
        enabled: whether to measure anything.
    """

    def __init__(self, device: torch.device, precision: Precision, processes: int, enabled: bool):
        self.device, self.processes = device, processes
        self.enabled = enabled and device.type in DEVICES
        bf16 = precision is Precision.bf16 and has_bf16(device)
        self.dtype = torch.bfloat16 if bf16 else torch.float32
        self.steps = self.flops = self.tokens = 0
        self.next_counted = 1

    @contextmanager
    def counting(self, num_tokens: int) -> Iterator[None]:
        """Context of a step on so many tokens of this process."""
        self.steps += 1
        if not self.enabled or self.steps < self.next_counted:
            yield
            return
        self.next_counted *= 4
        with counted_flops() as count:
            yield
        self.flops, self.tokens = self.flops + count.total, self.tokens + num_tokens

    def logged(self, tokens_per_second: float) -> dict[str, float]:
        """The utilisation at a speed of all processes, by tag; empty if nothing was counted."""
        if not self.flops or not self.tokens:
            return {}
        limit = self.processes * peak(self.device, self.dtype, torch.get_num_threads())
        return {"train/mfu": tokens_per_second * self.flops / self.tokens / limit}
