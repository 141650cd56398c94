"""TensorBoard on a folder of runs, as a process that ends with its ``with`` block."""

import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def tensorboard(runs: Path) -> Iterator[str]:
    """Run TensorBoard on a folder of runs; yields its address once it shows all runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(runs), "--port", str(port), "--host=127.0.0.1"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}/"
    try:
        wanted = len([path for path in runs.iterdir() if (path / "metrics.jsonl").exists()])
        for _ in range(120):
            time.sleep(1)
            try:
                with urllib.request.urlopen(address + "data/runs") as answer:
                    if answer.read().decode().count('"') // 2 >= wanted:
                        break
            except OSError:
                continue
        else:
            sys.exit("TensorBoard did not show the runs within two minutes")
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
