"""Damaged entries of the cache: each is prepared anew, and gives the same data."""

import hashlib
import logging
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from seqtrain.commands.build import build_data
from seqtrain.config.root import Config
from seqtrain.data.base import Dataset
from seqtrain.data.digests import DIGESTS
from seqtrain.errors import UserError
from tests.fuzzing.data_files import FILES, OPTIONS
from tests.fuzzing.mutations import mutated
from tests.fuzzing.outcome import SECONDS, Wrong, within

KINDS = ("texts.csv", "sets.jsonl", "corpus.txt")


def digest(data: Dataset) -> str:
    """Digest of all that a model would get of a dataset."""
    state = hashlib.blake2b(f"{data.fingerprint} {data.spec} {data.sizes}".encode())
    for batches in (data.train_batches(0), *(data.eval_batches(split) for split in data.sizes)):
        for batch in batches:
            for values in (batch.inputs, batch.targets, batch.lengths):
                state.update(np.ascontiguousarray(values.numpy()).tobytes())
    return state.hexdigest()


class Cache:
    """The entry of one dataset, of which one file is damaged at each trial.

    Args:
        name: of the data file, one of ``KINDS``.
        folder: where to write data and cache.
        composed: composes a configuration.
    """

    def __init__(self, name: str, folder: Path, composed: Callable[..., Config]):
        self.name, self.cache, self.whole = f"cache/{name}", folder / f"cache-{name}", folder / f"whole-{name}"
        path, content = folder / name, FILES[name]
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        self.config = composed(*OPTIONS[name.partition(".")[0]], f"data.path={path}")
        self.expected = self.read()
        shutil.copytree(self.cache, self.whole)
        self.files = sorted(path.relative_to(self.cache) for path in self.cache.rglob("*") if path.stat().st_size)
        self.files = [path for path in self.files if (self.cache / path).is_file()]

    def read(self) -> str:
        """Digest of the data that this cache gives; what is said of it is kept."""
        self.said: list[str] = []
        handler = logging.Handler()
        handler.emit = lambda record: self.said.append(record.getMessage())  # type: ignore[method-assign]
        log = logging.getLogger("seqtrain")
        log.addHandler(handler)
        try:
            return self.prepared()
        finally:
            log.removeHandler(handler)

    def prepared(self) -> str:
        """Digest of the data that this cache gives."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SEQTRAIN_CACHE_DIR", str(self.cache))
            return digest(build_data(self.config))

    def attempt(self, seed: int) -> str:
        rng = random.Random(f"{self.name} {seed}")
        shutil.rmtree(self.cache)
        shutil.copytree(self.whole, self.cache)
        path = self.cache / rng.choice(self.files)
        content = path.read_bytes()
        damaged = mutated(content, rng, rng.choice([1, 1, 4]))
        path.write_bytes(damaged)
        try:
            with within(SECONDS):
                found = self.read()
        except UserError as error:
            raise Wrong(f"{path.name}: is refused, not prepared anew: {error}") from error
        except Wrong:
            raise
        except Exception as error:
            raise Wrong(f"{path.name}: ends in {type(error).__name__}: {error}") from error
        if found != self.expected:
            raise Wrong(f"{path.name}: gives other data")
        told = any("prepared anew" in said for said in self.said)
        if damaged != content and path.name != DIGESTS and not told:  # of digests only what they say counts
            raise Wrong(f"{path.name}: is prepared anew without a word")
        return "told" if told else "read"
