"""The process of a contestant: builds it, then makes a turn for each line of input, and answers with a line of JSON."""

import importlib
import json
import os
import resource
import sys
import time
from dataclasses import asdict
from pathlib import Path


def main() -> None:
    task = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # output of libraries must not mix with the answers
    module, _, function = task["make"].partition(":")
    turn, parameters = getattr(importlib.import_module(f"benchmarking.{module}"), function)(**task["options"])
    print(json.dumps({"parameters": parameters}), file=answers)
    for line in sys.stdin:
        started = time.perf_counter()
        work = turn(json.loads(line))
        wait_for_gpu()
        seconds = time.perf_counter() - started
        answer = {"seconds": seconds, "work": asdict(work), "peak_memory": peak_memory(), "gpu_memory": gpu_memory()}
        print(json.dumps(answer), file=answers)


def wait_for_gpu() -> None:
    """Wait until the GPU has finished all work."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def gpu_memory() -> float:
    """Peak memory of tensors on the GPU (MB); 0 without a GPU."""
    torch = sys.modules.get("torch")
    used: float = torch.cuda.max_memory_allocated() / 1024**2 if torch and torch.cuda.is_initialized() else 0.0
    return used


def peak_memory() -> float:
    """Peak memory of this process (MB); on systems without /proc, that of its parent may be included."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


if __name__ == "__main__":
    main()
