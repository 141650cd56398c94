"""Fixtures that all tests share: small real-looking data, composed configurations, and no way to anything outside."""

import csv
import gc
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from seqtrain.config.root import Config
from seqtrain.sweeps.sharing import num_cores
from tests import command_line
from tests.configs import composer

POSITIVE = ["good", "great", "fine", "lovely", "superb", "moving"]
NEGATIVE = ["bad", "awful", "poor", "dull", "weak", "tedious"]
NEUTRAL = ["the", "a", "film", "plot", "actor", "scene", "was", "and", "with", "of", "music", "story", "ending", "it"]


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: tests of processes spend part of their time waiting for them."""
    return num_cores() + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files of whole commands first: they take longest, and one that begins last would run alone."""
    items.sort(key=lambda item: item.path.parent != Path(__file__).parent)


def pytest_collection_finish() -> None:
    """Spare the garbage collector what is imported and collected by now: a million objects that stay to the end."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)


@pytest.fixture(autouse=True, scope="session")
def isolated(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[None]:
    """A cache with nothing but compiled kernels, no data folder, no hub; one thread: many would slow small tensors.

    The processes of pytest-xdist share the cache, and pytest keeps the kernels, so that each is compiled once.
    """
    base = tmp_path_factory.getbasetemp()
    cache = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    kept = pytestconfig.rootpath / ".pytest_cache/d/kernels"
    copy_libraries(kept, cache / "kernels")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQTRAIN_CACHE_DIR", str(cache))
        patch.delenv("SEQTRAIN_DATA_DIR", raising=False)
        patch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # refuses at once
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hub")))
        patch.setenv("OMP_NUM_THREADS", "1")
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(threads)
    copy_libraries(cache / "kernels", kept)


def copy_libraries(source: Path, target: Path) -> None:
    """Copy compiled kernels that the target lacks. The hash of what a kernel was compiled from is in its name."""
    for path in source.glob("*.so"):
        if not (target / path.name).exists():
            target.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial = target / f"{path.name}.{os.getpid()}"
            shutil.copyfile(path, partial)
            partial.chmod(0o600)
            partial.replace(target / path.name)


def review(rng: random.Random, positive: bool) -> str:
    """A text of 3 to 40 words in which one side's words stand out."""
    words = rng.choices(NEUTRAL, k=rng.randint(2, 36))
    words += rng.choices(POSITIVE if positive else NEGATIVE, k=rng.randint(1, 4))
    rng.shuffle(words)
    return " ".join(words)


def write_reviews(path: Path, count: int, seed: int) -> None:
    """A csv file with columns text and label."""
    rng = random.Random(seed)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for i in range(count):
            writer.writerow([review(rng, i % 2 == 0), "pos" if i % 2 == 0 else "neg"])


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train.csv (300 rows) and test.csv (80 rows)."""
    folder = tmp_path_factory.mktemp("reviews")
    write_reviews(folder / "train.csv", 300, seed=1)
    write_reviews(folder / "test.csv", 80, seed=2)
    return folder


Compose = Callable[..., Config]


@pytest.fixture(scope="session")
def composed() -> Compose:
    """Compose the real conf/ with overrides into a checked Config of its own."""
    return composer()


@pytest.fixture(scope="session")
def small(composed: Compose, reviews: Path) -> Compose:
    """A configuration on the small reviews, with a small model; overrides may change all of it."""

    def composer(*overrides: str) -> Config:
        sizes = ["model.embedding.embed_dim=12"]
        if "model=self_attn" not in overrides:
            sizes.append("model.hidden_size=12")
        dropout = ["model.dropout=0.1", "model.embedding.dropout=0.1"]
        data = [
            "data=text_files",
            f"data.path={reviews}",
            "data.batch_size=16",
            "data.min_count=1",
            "data.vocab_size=100",
        ]
        trainer = [
            "trainer=classification",
            "trainer.epochs=2",
            "trainer.warmup_steps=5",
            "trainer.lr=0.01",
            "device=cpu",
        ]
        quick = ["trainer.figures=false", "trainer.baselines=false", "trainer.probe=false"]
        return composed(*data, *sizes, *dropout, *trainer, *quick, *overrides)

    return composer


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def run_in() -> Callable[[Path], Run]:
    """The real command line in a folder; text in and out is UTF-8, and bytes that are not are surrogates."""

    def in_folder(folder: Path) -> Run:
        def run(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
            return command_line.seqtrain(folder, *arguments, stdin=stdin, **environment)

        return run

    return in_folder


@pytest.fixture(scope="session")
def fails() -> Callable[..., None]:
    """Asserts exit code 1 and one line on stderr that has all parts."""

    def check(result: subprocess.CompletedProcess[str], *parts: str) -> None:
        assert result.returncode == 1, result.stderr
        lines = result.stderr.strip().splitlines()
        assert len(lines) == 1 and lines[0].startswith("seqtrain: error: "), result.stderr
        for part in parts:
            assert part in lines[0], lines[0]

    return check
