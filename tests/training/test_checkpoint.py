import errno
import math
import os
import pickle
import resource
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from seqtrain.errors import RunError
from seqtrain.training.checkpoint import load_checkpoint, save_checkpoint
from seqtrain.training.device import random_state, restore_random_state, seed_everything


def content(**more: Any) -> dict[str, Any]:
    """What a checkpoint of run ``a`` has, and more."""
    return {"run_id": "a", "step": 3, "model": {"w": torch.arange(1000.0)}, "head": {}} | more


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "last.pt"
    save_checkpoint(path, content(nested=[(1, "x"), {"y": None}]))
    return path


def test_round_trip(saved: Path) -> None:
    found = load_checkpoint(saved, "a")
    assert torch.equal(found["model"]["w"], torch.arange(1000.0)) and found["step"] == 3
    assert found["nested"] == [(1, "x"), {"y": None}]
    assert [p.name for p in saved.parent.iterdir()] == ["last.pt"]


def test_without_room_the_old_checkpoint_stays(tmp_path: Path) -> None:
    """Wherever the file ends to grow, also where only torch's zip writer notices it."""
    path, big = tmp_path / "last.pt", content(model={f"w{i}": torch.ones(500) for i in range(300)})
    save_checkpoint(path, content())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in (0, 100, 1000, 9000, 30_000, 300_000, 600_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        try:
            with pytest.raises(OSError) as caught:
                save_checkpoint(path, big)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert caught.value.errno == errno.EFBIG
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"] and len(load_checkpoint(path, "a")["model"]) == 1


def test_every_flipped_byte_of_the_weights_is_noticed(saved: Path) -> None:
    damaged = bytearray(saved.read_bytes())
    start = damaged.find(torch.arange(1000.0).numpy().tobytes())
    assert start > 0
    damaged[start + 1234] ^= 1
    saved.write_bytes(damaged)
    with pytest.raises(RunError, match="is damaged"):
        load_checkpoint(saved, "a")


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_cut_short(saved: Path, keep: float) -> None:
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(keep if keep >= 1 else keep * len(whole))])
    with pytest.raises(RunError, match="truncated or damaged"):
        load_checkpoint(saved, "a")


class Malicious:
    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/never",)


def test_refuses_to_run_code(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    torch.save({"run_id": "a", "x": Malicious()}, path)
    with pytest.raises(RunError, match="could run code"):
        load_checkpoint(path, "a")
    path.write_bytes(pickle.dumps(Malicious()))
    with pytest.raises(RunError, match="truncated or damaged"):
        load_checkpoint(path, "a")
    assert not Path("/tmp/never").exists()


def test_missing_and_of_another_run(saved: Path) -> None:
    with pytest.raises(RunError, match="another run"):
        load_checkpoint(saved, "b")
    with pytest.raises(RunError, match="no such checkpoint"):
        load_checkpoint(saved.with_name("best.pt"), "a")


@pytest.mark.parametrize(
    "change, message",
    [
        ({"model": {"gru.weight": torch.tensor([1.0, math.nan])}}, "model: gru.weight has values that are not finite"),
        ({"head": {"bias": torch.tensor(-math.inf)}}, "head: bias has values that are not finite"),
        ({"model": {"w": 3.0}}, "model: 'w' is no weight"),
        ({"model": {3: torch.ones(1)}}, "model: 3 is no weight"),
        ({"model": [torch.ones(1)]}, "has no weights of the model"),
        ({"head": None}, "has no weights of the head"),
        ({"step": "3"}, "has no number of steps"),
    ],
)
def test_parts_that_cannot_be_used_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    save_checkpoint(tmp_path / "best.pt", content(**change))
    with pytest.raises(RunError, match=f"best.pt: {message}"):
        load_checkpoint(tmp_path / "best.pt", "a")


def test_what_is_no_file_or_larger_than_the_file(saved: Path) -> None:
    with zipfile.ZipFile(saved) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(saved, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, record in records.items():
            archive.writestr(name, record)
    with pytest.raises(RunError, match="is compressed"):
        load_checkpoint(saved, "a")
    saved.unlink()
    os.mkfifo(saved)
    with pytest.raises(RunError, match="Is no regular file"):
        load_checkpoint(saved, "a")


def test_a_failed_write_keeps_the_old_one(saved: Path) -> None:
    with pytest.raises(Exception, match="pickle"):
        save_checkpoint(saved, content(x=lambda: None))
    assert load_checkpoint(saved, "a")["nested"] == [(1, "x"), {"y": None}]
    assert [p.name for p in saved.parent.iterdir()] == ["last.pt"]


@pytest.mark.parametrize(("owner", "call"), [(os, "fsync"), (Path, "unlink"), (Path, "hardlink_to"), (Path, "replace")])
def test_a_crash_while_saving_leaves_the_old_one_in_its_place(
    saved: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, call: str
) -> None:
    """Before each call that changes something; what is left behind goes with the next save."""
    previous = saved.with_name("previous.pt")

    def crash(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(owner, call, crash)
        save_checkpoint(saved, content(number=1), previous)
    assert load_checkpoint(saved, "a")["nested"] == [(1, "x"), {"y": None}]
    save_checkpoint(saved, content(number=1), previous)
    save_checkpoint(saved, content(number=2), previous)
    assert [load_checkpoint(path, "a")["number"] for path in (previous, saved)] == [1, 2]
    assert sorted(saved.parent.iterdir()) == [saved, previous]


def test_keeps_the_old_one_without_links(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, target: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    previous = saved.with_name("previous.pt")
    save_checkpoint(saved, content(number=1), previous)
    assert load_checkpoint(saved, "a")["number"] == 1 and "nested" in load_checkpoint(previous, "a")


def test_random_state_survives_a_checkpoint(tmp_path: Path) -> None:
    import random

    import numpy as np

    seed_everything(5)
    torch.randn(3), np.random.randn(3), random.random()
    save_checkpoint(tmp_path / "c.pt", content(random=random_state()))

    def draw() -> list[float]:
        return [random.random(), float(np.random.randn()), float(torch.randn(())), float(np.random.rand())]

    expected = draw()
    seed_everything(6)
    restore_random_state(load_checkpoint(tmp_path / "c.pt", "a")["random"])
    assert draw() == expected
