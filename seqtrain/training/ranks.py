"""The processes that train one model together, as ``torchrun`` starts them; mostly there is one."""

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from seqtrain.errors import UserError

T = TypeVar("T")

TIMEOUT = timedelta(minutes=30)
"""After which a process that waits for the others gives up."""


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together; every method but ``first`` is to be called by all of them."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def any(self, *flags: bool) -> list[bool]:
        """For each flag, whether it is set in any process."""
        if self.size == 1:
            return list(flags)
        tensor = torch.tensor(flags, dtype=torch.int32)
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return tensor.bool().tolist()

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum of a tensor over the processes, in place."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def gather(self, value: Any) -> list[Any]:
        """A value of every process, in the first; empty in the others."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.gather_object(value, values if self.first else None)
        return values if self.first else []

    def broadcast(self, make: Callable[[], T]) -> T:
        """What the first process makes, in all of them; where that raises an error that a user can mend, all end."""
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
        """Context of a pass through the ``parallel`` module, whose backward exchanges gradients only if ``enabled``."""
        return module.no_sync() if isinstance(module, DistributedDataParallel) and not enabled else nullcontext()

    def parallel(self, module: nn.Module) -> nn.Module:
        """The module with gradients that are the mean over the processes."""
        return module if self.size == 1 else DistributedDataParallel(module)


SOLO = Ranks()
"""One process alone."""


def init_ranks() -> Ranks:
    """Meet the other processes that ``torchrun`` started, by gloo for the CPU and NCCL for GPUs."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return Ranks()
    if not dist.is_initialized():
        gpus = torch.cuda.is_available() and dist.is_nccl_available()
        dist.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", timeout=TIMEOUT)
    return Ranks(dist.get_rank(), size)


def destroy_ranks() -> None:
    """Part from the other processes."""
    if dist.is_initialized():
        dist.destroy_process_group()
