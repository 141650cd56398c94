"""Running out of memory is one line that names what to make smaller."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from seqtrain.commands.memory import is_out_of_memory, within_memory
from seqtrain.commands.train import train
from seqtrain.config.root import Config
from seqtrain.errors import DataError, RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import read_json

Compose = Callable[..., Config]


@pytest.mark.parametrize(
    ("allocate", "wanted"),
    [
        (lambda: torch.empty(10**15), "(for 3,725,290.30 GiB at once)"),
        (lambda: torch.empty(10**14, 10**14), ""),
        (lambda: torch.empty(2**70), ""),
        (lambda: torch.nn.GRU(10**20, 3), ""),
        (lambda: np.empty(10**15), "(for 7.11 PiB at once)"),
        (lambda: np.empty(10**19), ""),
        (lambda: pa.allocate_buffer(10**15), "(for 931,322.57 GiB at once)"),
        (lambda: [0] * 10**16, ""),
        (lambda: [0] * 10**20, ""),
    ],
)
def test_what_says_that_memory_is_full(allocate: Callable[[], object], wanted: str) -> None:
    with pytest.raises(RunError) as raised, within_memory(None, "num_samples=9"):
        allocate()
    start = f"out of memory {wanted}".rstrip()
    assert str(raised.value) == f"{start}: make smaller what is large of num_samples=9, or end other programs"


def test_other_errors_pass_as_they_are() -> None:
    gpu = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8 GiB")
    assert is_out_of_memory(gpu) and is_out_of_memory(OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)))
    for error in (ValueError("out of range"), OSError(errno.ENOSPC, "full"), DataError("a.csv: out of memory")):
        with pytest.raises(type(error)) as raised, within_memory():
            raise error
        assert raised.value is error


def test_sizes_of_the_configuration_are_named(small: Compose, tmp_path: Path) -> None:
    config = small("model=gru", "model.hidden_size=1000000000")
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    with pytest.raises(RunError, match=r"out of memory .*data.batch_size=16, .*, model.hidden_size=1000000000, "):
        train(config, run)
    status = read_json(run.status_path)
    assert status["state"] == "failed" and "data.vocab_size=100" in status["error"]
    with pytest.raises(RunError) as raised, within_memory(config, "input=a.csv", trained=True):
        raise MemoryError
    named = "input=a.csv, data.batch_size=16, data.eval_batch_tokens=16384, data.max_length=400, or end"
    assert named in str(raised.value) and "model." not in str(raised.value)
