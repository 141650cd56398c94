"""Limits of the machine: products of large matrices, and copies of arrays larger than its caches."""

import statistics
import time
from collections.abc import Callable

import torch

from seqtrain.layers.products import matmul

SIZE, NUMBERS = 2048, 2**26


def limits_table(threads: int, repeats: int) -> str:
    """The measured limits as a Markdown table of medians."""
    torch.set_num_threads(threads)
    single, half = torch.randn(2, SIZE, SIZE), torch.randn(2, SIZE, SIZE).bfloat16()
    source, target = torch.randn(NUMBERS), torch.empty(NUMBERS)
    flops, copied = 2e-9 * SIZE**3, 8e-9 * NUMBERS
    timed: dict[str, tuple[Callable[[], object], float, str]] = {
        f"fp32 product of {SIZE} x {SIZE}": (lambda: matmul(single[0], single[1]), flops, "GFLOP/s"),
        "the same by torch's own choice of library": (lambda: single[0] @ single[1], flops, "GFLOP/s"),
        f"bf16 product of {SIZE} x {SIZE}": (lambda: half[0] @ half[1], flops, "GFLOP/s"),
        "copy of 256 MB, read and written": (lambda: target.copy_(source), copied, "GB/s"),
    }
    lines = ["| what | median | min-max |", "|---|---:|---:|"]
    for name, (run, amount, unit) in timed.items():
        run()
        rates = []
        for _ in range(repeats):
            started = time.perf_counter()
            run()
            rates.append(amount / (time.perf_counter() - started))
        lines.append(f"| {name} | {statistics.median(rates):.0f} {unit} | {min(rates):.0f}-{max(rates):.0f} |")
    return "\n".join(lines)
