"""The process of a contestant: makes it, then does a turn for each line that comes in, and answers by a line."""

import importlib
import json
import os
import resource
import sys
import time
from dataclasses import asdict


def main() -> None:
    task = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    module, _, function = task["make"].partition(":")
    turn, parameters = getattr(importlib.import_module(f"benchmarking.{module}"), function)(**task["options"])
    print(json.dumps({"parameters": parameters}), file=answers)
    for line in sys.stdin:
        started = time.perf_counter()
        work = turn(json.loads(line))
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)
        print(json.dumps({"seconds": seconds, "work": asdict(work), "peak_memory": peak}), file=answers)


if __name__ == "__main__":
    main()
