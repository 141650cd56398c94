"""What begins before torch is imported: how its threads wait, and the compilers of the kernels."""

import os
import sys
from pathlib import Path

from seqtrain.config.root import Config
from seqtrain.kernels.compile import start

WAITING = {"GOMP_SPINCOUNT": "10000", "KMP_BLOCKTIME": "1"}
"""How long a waiting thread spins before it sleeps: rounds of libgomp, milliseconds of LLVM's and Intel's runtimes.

By default it spins for some milliseconds. Two runs at once on two cores then hold each other up, since a thread spins
at a barrier on the core that the other run needs. A thread that sleeps at once is slow to wake, which costs a run that
is alone. `scripts/benchmark-sharing` and `scripts/benchmark spin` measure both; docs/performance.md has the figures.
"""
GPU_FILES = ("/dev/nvidiactl", "/dev/kfd")


def share_the_machine() -> None:
    """Have the threads of this process and its children leave the cores to others soon when they wait.

    Nothing is changed where the user has set how threads wait. Must be called before torch is imported.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        for name, value in WAITING.items():
            os.environ.setdefault(name, value)


def start_kernels(config: Config) -> None:
    """Begin to compile what the model will use on the CPU, if it is not compiled yet, while torch is imported.

    With ``device=auto`` this is left until later where there seems to be a GPU.
    """
    gpu = sys.platform == "darwin" or any(Path(file).exists() for file in GPU_FILES)
    if config.device == "cpu" or (config.device == "auto" and not gpu):
        start(config.model.kernels())
