"""TensorBoard on a folder of runs, as a process that ends with its ``with`` block."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def board(runs: Path) -> Iterator[str]:
    """Run ``seqtrain board`` on a folder of runs; yields its address once it shows all runs."""
    command = [sys.executable, "-m", "seqtrain", "board", str(runs), "port=0"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        if not address:
            sys.exit(f"seqtrain board {runs}: ended; try it by hand")
        wanted = {path.parent for level in ("*", "*/*") for path in runs.glob(f"{level}/metrics.jsonl")}
        wait_for(address, len(wanted) + 1)  # the columns are one
        yield address
    finally:
        process.terminate()  # SIGINT may be ignored, where a shell started the script in the background
        process.wait()


def wait_for(address: str, runs: int) -> None:
    """Wait until TensorBoard shows so many runs."""
    for _ in range(1200):
        with urllib.request.urlopen(address + "data/runs") as answer:
            if answer.read().decode().count('"') // 2 >= runs:
                return
        time.sleep(0.1)
    sys.exit("TensorBoard did not show the runs within two minutes")
