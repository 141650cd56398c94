"""A short slice of ``scripts/fuzz``: damaged files end in a result, in a remark or in one line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from seqtrain.config.root import Config
from tests.fuzzing.caches import KINDS, Cache
from tests.fuzzing.data_files import FILES, DataFile
from tests.fuzzing.outcome import Target
from tests.fuzzing.runs import RunFiles

Compose = Callable[..., Config]


def ends(target: Target, trials: int) -> set[str]:
    """How the trials of a target ended."""
    return {target.attempt(seed) for seed in range(trials)}


@pytest.mark.parametrize("name", FILES)
def test_data_files(composed: Compose, tmp_path: Path, name: str) -> None:
    assert "refused" in ends(DataFile(name, tmp_path, composed), 20)


@pytest.mark.parametrize("name", KINDS)
def test_caches(composed: Compose, tmp_path: Path, name: str) -> None:
    assert "told" in ends(Cache(name, tmp_path, composed), 12) <= {"told", "read"}


def test_runs(tmp_path: Path) -> None:
    assert "refused" in ends(RunFiles("forecasting", tmp_path), 8)
