"""Distributed training in several processes that ``torchrun`` started. The first one owns the run directory."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from seqtrain.commands.train import resume, train
from seqtrain.config.loading import to_yaml
from seqtrain.config.root import Config
from seqtrain.runs.directory import RunDirectory
from seqtrain.training.ranks import Ranks, destroy_ranks, init_ranks


def train_distributed(config: Config, directory: Path, exact: bool) -> float:
    """Train as one of several processes, in a run directory that the first of them claims.

    Args:
        config: the configuration, the same in all processes.
        directory: directory that this process was given.
        exact: refuse a directory that already holds a run, instead of choosing another name.
    """
    with process_group() as ranks:
        run = ranks.broadcast(lambda: RunDirectory.claim(directory, exact=exact, config=to_yaml(config)))
        if directory != run.path:
            with suppress(OSError):
                directory.rmdir()  # made by Hydra, named by the start time of this process
        with run.locked() if ranks.first else nullcontext():
            return train(config, run, ranks)


def resume_distributed(saved: Config, config: Config, run: RunDirectory) -> float:
    """Resume a run as one of several processes, as many as have trained it."""
    with process_group() as ranks, run.locked() if ranks.first else nullcontext():
        return resume(saved, config, run, ranks)


@contextmanager
def process_group() -> Iterator[Ranks]:
    """Join the process group, and leave it at the end; only the first process logs."""
    ranks = init_ranks()
    if not ranks.first:
        logging.disable(logging.INFO)
    try:
        yield ranks
    finally:
        destroy_ranks()
