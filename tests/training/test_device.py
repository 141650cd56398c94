"""What training asks of the machine."""

from pathlib import Path

import pytest
import torch

from seqtrain.training import device


@pytest.mark.parametrize("name, rank, chosen", [("auto", None, []), ("cuda", None, []), ("cuda:1", None, [1]),
                                                ("cuda", "3", [3])])  # fmt: skip
def test_a_gpu_is_chosen_by_its_number(
    name: str, rank: str | None, chosen: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[int] = []

    def set_device(device: torch.device) -> None:
        if device.index is None:
            raise ValueError("Expected a torch.device with a specified index or an integer, but got: cuda")
        found.append(device.index)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", set_device)
    monkeypatch.setattr(torch, "empty", lambda *size, device: None)
    if rank is None:
        monkeypatch.delenv("LOCAL_RANK", raising=False)
    else:
        monkeypatch.setenv("LOCAL_RANK", rank)
    assert device.prepare_device(name).type == "cuda"
    assert found == chosen


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
    device.limit_threads_to_quota()
    assert threads == 4
    monkeypatch.delenv("OMP_NUM_THREADS")
    device.limit_threads_to_quota()
    assert threads == expected
