"""The device, the precision, the memory allocator, the threads and the random generators of a process."""

import ctypes
import os
import random
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqtrain.config.trainer import Precision
from seqtrain.errors import ConfigError
from seqtrain.kernels.machine import bf16_products
from seqtrain.torchrun import local_rank

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # quota of the container of this process, on Linux


def prepare_device(name: str) -> torch.device:
    """The torch device of a name (``auto``: a GPU if there is one), checked by a first allocation.

    Also sets up the process: memory, threads, and flushing of denormal numbers to zero on the CPU. Saturated gates
    decay into denormals, which can make a step up to 10 times slower.

    Raises:
        ConfigError: if torch does not know the device or cannot use it here.
    """
    torch.set_flush_denormal(True)
    keep_freed_memory()
    limit_threads_to_quota()
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if name == "cuda" and (rank := local_rank()) is not None:  # one GPU for each process
        name = f"cuda:{rank}"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
        if device.type == "cuda" and device.index is not None:  # without an index, the current GPU is used
            torch.cuda.set_device(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device={name}: cannot be used here ({reason}); use auto, cpu, cuda:<n> or mps") from error
    return device


def keep_freed_memory() -> None:
    """Make glibc keep freed large blocks for the next step, instead of returning them to the system.

    By default, glibc maps every tensor over 32 MB afresh at each step, and the system has to clear its pages. Has no
    effect with another C library.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def trim_memory() -> None:
    """Make glibc return the memory that ``keep_freed_memory`` kept.

    Without this, memory fragments more and more when batches have many different shapes.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def limit_threads_to_quota() -> None:
    """Use no more threads than a container's CPU quota allows.

    By default, torch uses one thread for each physical core, and does not consider quotas. When the quota is used up,
    the system pauses threads until the next period; other threads wait for them, and a step takes many times longer.
    If ``OMP_NUM_THREADS`` is set, nothing is changed.
    """
    with suppress(OSError, ValueError):  # no such file, or "max" for no quota
        quota, period = map(int, CPU_QUOTA.read_text().split())
        if "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(min(torch.get_num_threads(), max(1, quota // period)))


def prepare_determinism(wanted: bool) -> None:
    """Make torch refuse operations whose result depends on the order of threads, or allow them again."""
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS refuses
    torch.backends.cudnn.benchmark = False
    if wanted != torch.are_deterministic_algorithms_enabled():  # the call loads torch's compiler, which takes a second
        torch.use_deterministic_algorithms(wanted)


def has_bf16(device: torch.device) -> bool:
    """Whether bf16 is useful on a device. On a CPU without bf16 matrix products it is slower and less exact."""
    return device.type != "cpu" or bf16_products()


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    """Context of the forward pass: bf16 autocast if the device has bf16, else no autocast."""
    if precision is Precision.bf16 and has_bf16(device):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def seed_everything(seed: int) -> None:
    """Seed all random number generators: those of Python, NumPy, and torch on all devices."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def random_state() -> dict[str, Any]:
    """States of all random generators, as tensors, numbers and tuples, so that loading them unpickles no code."""
    name, keys, position, has_gauss, cached_gaussian = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": (str(name), torch.from_numpy(np.asarray(keys, dtype=np.int64)), position, has_gauss, cached_gaussian),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Restore the states of all random generators from ``random_state``."""
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.device_count() == len(state["cuda"]):
        torch.cuda.set_rng_state_all(state["cuda"])
