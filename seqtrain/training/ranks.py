"""The processes that train one model together, as started by ``torchrun``; usually there is only one."""

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from inspect import signature
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from seqtrain.errors import RunError, UserError
from seqtrain.torchrun import world_size

T = TypeVar("T")

SYNC_BUFFERS = next(
    name
    for name in ("forward_sync_buffers", "broadcast_buffers")  # the second one until torch 2.12
    if name in signature(DistributedDataParallel).parameters
)
"""Option of DistributedDataParallel: the first process sends its buffers to the others before each pass."""

TIMEOUT = timedelta(minutes=30)
"""How long a process waits for the others before it gives up."""


@dataclass(frozen=True)
class Ranks:
    """The rank of this process among those that train together. All of them must call each method."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the first process, which writes the files."""
        return self.rank == 0

    def any(self, *flags: bool) -> list[bool]:
        """For each flag, whether it is true in any process."""
        if self.size == 1:
            return list(flags)
        tensor = torch.tensor(flags, dtype=torch.int32)
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return tensor.bool().tolist()

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum of a tensor over all processes, computed in place."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, in the first process; an empty list in the others."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.gather_object(value, values if self.first else None)
        return values if self.first else []

    def broadcast(self, make: Callable[[], T]) -> T:
        """The result of ``make``, which only the first process calls, in all processes.

        If ``make`` raises a UserError or an OSError, the first process raises it, and all others exit.
        """
        if self.size == 1:
            return make()
        value: T | None = None
        error: UserError | OSError | None = None
        if self.first:
            try:
                value = make()
            except (UserError, OSError) as raised:
                error = raised
        box = [value, error is not None]
        dist.broadcast_object_list(box)
        if error is not None:
            raise error
        if box[1]:
            sys.exit(1)  # the first process says why
        return box[0]  # type: ignore[return-value]

    def gradient_sync(self, module: nn.Module, enabled: bool) -> AbstractContextManager[Any]:
        """Context for a pass through the ``parallel`` module; backward synchronises gradients only if ``enabled``."""
        return module.no_sync() if isinstance(module, DistributedDataParallel) and not enabled else nullcontext()

    def parallel(self, module: nn.Module) -> nn.Module:
        """The module, wrapped so that its gradients are the mean over all processes."""
        # Buffers are the same everywhere from the start, and a step changes them alike.
        buffers: dict[str, Any] = {SYNC_BUFFERS: False}
        return module if self.size == 1 else DistributedDataParallel(module, **buffers)


SOLO = Ranks()
"""Ranks of a single process."""


def init_ranks() -> Ranks:
    """Join the process group of ``torchrun``, with gloo for CPU tensors and NCCL for GPU tensors.

    Raises:
        ConfigError: if the environment variables of ``torchrun`` are wrong.
        RunError: if the first process cannot be reached, or its port is taken.
    """
    size = world_size()
    if size == 1:
        return Ranks()
    if not dist.is_initialized():
        gpus = torch.cuda.is_available() and dist.is_nccl_available()
        try:
            dist.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", timeout=TIMEOUT)
        except dist.DistError as error:
            where = f"MASTER_ADDR={os.environ['MASTER_ADDR']} MASTER_PORT={os.environ['MASTER_PORT']}"
            raise RunError(f"{where}: the processes cannot meet there ({str(error).splitlines()[0]})") from error
    return Ranks(dist.get_rank(), size)


def destroy_ranks() -> None:
    """Leave the process group."""
    if dist.is_initialized():
        dist.destroy_process_group()
