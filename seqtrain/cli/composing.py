"""Composes a training run by Hydra, and runs it once or, in a sweep, many times.

What needs torch is imported once the configuration is known to be sound.
"""

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager, suppress
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.seqtrain_grid.sweeper import GridSweeper
from seqtrain.cli.given import check_words
from seqtrain.cli.head_start import start_kernels
from seqtrain.cli.hydra_setup import add_to_hydra, conf_directory
from seqtrain.cli.one_line import EXPECTED, one_line
from seqtrain.cli.size_check import check_groups, check_width
from seqtrain.cli.sweep_arguments import key_of, sweep_arguments
from seqtrain.config import loading, registry
from seqtrain.console import results_are_files
from seqtrain.errors import ConfigError
from seqtrain.runs.directory import RunDirectory
from seqtrain.sweeps.identity import command_hash
from seqtrain.sweeps.ledger import Sweep
from seqtrain.torchrun import world_size

log = logging.getLogger(__name__)


def train(arguments: Sequence[str]) -> None:
    """Compose by Hydra, and train once or, with --multirun, many times."""
    if several_processes() and {"-m", "--multirun", "hydra.mode=MULTIRUN"} & set(arguments):
        raise ConfigError("-m: a sweep starts its jobs itself; leave torchrun out")
    check_words(arguments)
    compose(sweep_arguments(arguments), train_job)


def compose(arguments: Sequence[str], job: Callable[[DictConfig], Any]) -> None:
    """Call a job with what Hydra composes of the arguments."""
    check_groups(arguments)
    add_to_hydra()
    GridSweeper.one_line = staticmethod(one_line)
    name = command_hash(arguments)
    OmegaConf.register_new_resolver("command_hash", lambda: name, replace=True)
    sys.argv = [sys.argv[0], *arguments]
    hydra.main(config_path=str(conf_directory()), config_name="train", version_base="1.3")(job)()


def several_processes() -> bool:
    """Whether ``torchrun`` started this process as one of several."""
    return world_size() > 1


class JobFailed(BaseException):
    """Carries a job's error past Hydra, which would print lines of its own for an Exception."""


@contextmanager
def past_hydra(directory: Path) -> Iterator[None]:
    """Carry a job's error past Hydra, and remove the directory that Hydra made if nothing is in it.

    What stdout does not take is dropped, since a job leaves its results in the directory.

    Raises:
        JobFailed: for what a user can mend; in a sweep the error itself, since the other jobs continue.
    """
    results_are_files()
    try:
        yield
    except EXPECTED as error:
        with suppress(OSError):
            directory.rmdir()
        settings = HydraConfig.get()
        if settings.mode is RunMode.MULTIRUN:
            log.error("%s failed: %s", directory.name, one_line(error))
            raise
        raise JobFailed from error


@contextmanager
def where_typed() -> Iterator[None]:
    """Work in the directory in which the command was typed: relative paths start there, also with hydra.job.chdir."""
    settings = HydraConfig.get()
    if settings.job.chdir:
        log.info("hydra.job.chdir=true: has no effect; a run writes into its own directory in any case")
    with chdir(settings.runtime.cwd):
        yield


def train_job(tree: DictConfig) -> float:
    """Train one composed configuration; returns the monitored value, which sweepers optimise."""
    registry.load_plugins()  # in a process of its own a job begins here
    settings = HydraConfig.get()
    directory = Path(settings.runtime.output_dir)
    exact = any(key_of(o) == "hydra.run.dir" for o in settings.overrides.hydra)
    with where_typed(), past_hydra(directory):
        config = loading.to_config(tree)
        check_width(config, settings.overrides.task)
        start_kernels(config)
        sweep = Sweep(directory.parent)
        if settings.mode is RunMode.MULTIRUN and (job := sweep.find(directory.name)) is not None:
            from seqtrain.commands.sweep import run_job

            return run_job(config, sweep, job, settings.job.num)
        if several_processes():
            from seqtrain.commands.distributed import train_distributed

            return train_distributed(config, directory, exact)
        run = RunDirectory.claim(directory, exact=exact, config=loading.to_yaml(config))
        with run.locked():
            if settings.mode is RunMode.MULTIRUN and config.sweep.trial is not None:
                from seqtrain.commands.sweep import run_trial

                return run_trial(config, run, Sweep(Path(settings.sweep.dir)), settings.job.num)
            from seqtrain.commands.train import train

            return train(config, run)
