"""All that is damaged: data files, entries of the cache, runs and sweeps."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from seqtrain.config.root import Config
from tests.fuzzing.caches import KINDS, Cache
from tests.fuzzing.data_files import FILES, DataFile
from tests.fuzzing.outcome import Target
from tests.fuzzing.runs import TASKS, RunFiles


def targets(folder: Path, composed: Callable[..., Config]) -> Iterator[tuple[str, Callable[[], Target]]]:
    """Name of each target, and what prepares it in a folder."""
    for name in FILES:
        yield f"data/{name}", partial(DataFile, name, folder, composed)
    for name in KINDS:
        yield f"cache/{name}", partial(Cache, name, folder, composed)
    for task in TASKS:
        yield f"run/{task}", partial(RunFiles, task, folder)
