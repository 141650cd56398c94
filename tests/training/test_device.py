"""What training asks of the machine."""

from pathlib import Path

import pytest
import torch

from seqtrain.training import device

QUOTAS = [
    *(("150000 100000", 1), ("350000 100000", 3), ("20000 100000", 1), ("900000 100000", 4)),
    *(("max 100000", 4), ("", 4), (None, 4)),
]


@pytest.mark.parametrize("content, expected", QUOTAS)
def test_threads_keep_to_a_quota(
    content: str | None, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = 4

    def set_num_threads(count: int) -> None:
        nonlocal threads
        threads = count

    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(torch, "set_num_threads", set_num_threads)
    monkeypatch.setattr(device, "CPU_QUOTA", tmp_path / "cpu.max")
    if content is not None:
        (tmp_path / "cpu.max").write_text(content + "\n")
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    device.heed_cpu_quota()
    assert threads == 4
    monkeypatch.delenv("OMP_NUM_THREADS")
    device.heed_cpu_quota()
    assert threads == expected
