"""Train in several processes that ``torchrun`` started: the first one owns the run directory."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from seqtrain.commands.train import resume, train
from seqtrain.config.loading import to_yaml
from seqtrain.config.root import Config
from seqtrain.run_directory import RunDirectory
from seqtrain.training.ranks import Ranks, join_ranks, leave_ranks


def train_together(config: Config, directory: Path, exact: bool) -> float:
    """Train as one of several processes, in the directory that the first of them claims.

    Args:
        config: the configuration, the same in all.
        directory: where this process was told to write.
        exact: refuse a directory that holds a run, rather than take another name.
    """
    with joined() as ranks:
        run = ranks.share(lambda: RunDirectory.claim(directory, exact=exact, config=to_yaml(config)))
        if directory != run.path:
            with suppress(OSError):
                directory.rmdir()  # made by Hydra under this process's own time
        with run.locked() if ranks.first else nullcontext():
            return train(config, run, ranks)


def resume_together(saved: Config, config: Config, run: RunDirectory) -> float:
    """Go on with a run as one of the processes that trained it."""
    with joined() as ranks, run.locked() if ranks.first else nullcontext():
        return resume(saved, config, run, ranks)


@contextmanager
def joined() -> Iterator[Ranks]:
    """The processes, met and parted from; only the first one reports."""
    ranks = join_ranks()
    if not ranks.first:
        logging.disable(logging.INFO)
    try:
        yield ranks
    finally:
        leave_ranks()
