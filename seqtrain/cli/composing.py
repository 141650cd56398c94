"""Composes a training run by Hydra, and runs it once or, in a sweep, many times.

What needs torch is imported once the configuration is known to be sound.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.seqtrain_grid.sweeper import GridSweeper, GridSweeperConfig
from hydra_plugins.seqtrain_optuna.sweeper import OptunaSweeper
from seqtrain.cli.head_start import start_kernels
from seqtrain.cli.one_line import EXPECTED, one_line
from seqtrain.cli.sweep_arguments import sweep_arguments
from seqtrain.config import loading, registry
from seqtrain.config.root import Config
from seqtrain.errors import ConfigError
from seqtrain.run_directory import RunDirectory
from seqtrain.sweeps.identity import command_hash
from seqtrain.sweeps.ledger import Sweep

log = logging.getLogger(__name__)


def conf_directory() -> Path:
    """The folder of YAML files: inside the installed package, else beside it in a source tree."""
    package = Path(__file__).resolve().parents[1]
    for candidate in (package / "conf", package.parent / "conf"):
        if (candidate / "train.yaml").is_file():
            return candidate
    raise ConfigError(f"conf/ is in neither {package} nor {package.parent}: install seqtrain again")


def store_schemas() -> None:
    """Give Hydra the schemas of all registered kinds, as options of the groups ``schema/<group>``."""
    store = ConfigStore.instance()
    # Hydra copies all of the store at each look into it, 135 times for --help, and what it takes out once more.
    ConfigStore.__deepcopy__ = lambda self, memo: self  # type: ignore[attr-defined]
    store.store(group="schema", name="config", node=Config, package="_global_")
    for group, kinds in registry.REGISTRY.items():
        for kind, entry in kinds.items():
            node = OmegaConf.structured(entry.schema)
            node.kind = kind
            store.store(group=f"schema/{group}", name=kind, node=node)


class PluginFolders(SearchPathPlugin):
    """Adds the YAML folders of installed plugins to Hydra's search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in registry.FOLDERS:
            search_path.append("seqtrain-plugin", f"file://{folder}")


def add_plugin_folders() -> None:
    """Put the plugins' folders on the search path.

    Raises:
        ConfigError: if two folders have a file of one name: Hydra would take the first and say nothing.
    """
    owners: dict[Path, Path] = {}
    for folder in [conf_directory(), *registry.FOLDERS]:
        for path in sorted(folder.rglob("*.yaml")):
            owner = owners.setdefault(path.relative_to(folder), folder)
            if owner != folder:
                raise ConfigError(f"{path}: an option of this name is in {owner} too; rename this one")
    Plugins.instance().register(PluginFolders)


def store_sweepers() -> None:
    """Offer the sweeper of studies, and put the grid with a ledger in the place of Hydra's default.

    The grid keeps that one's name, since an override in train.yaml would win over those of an experiment.
    """
    Plugins.instance().register(GridSweeper)  # an editable install hides both from Hydra's own search
    ConfigStore.instance().store(group="hydra/sweeper", name="basic", node=GridSweeperConfig)
    Plugins.instance().register(OptunaSweeper)


def option_groups() -> str:
    """The groups and their options, a line each, for --help."""
    loader = GlobalHydra.instance().config_loader()
    groups = [*loading.GROUPS, "debug", "experiment", "hparams_search"]
    return "\n".join(f"  {group}: {', '.join(loader.get_group_options(group)) or '(none)'}" for group in groups)


def train(arguments: Sequence[str]) -> None:
    """Compose by Hydra, and train once or, with --multirun, many times."""
    if several_processes() and {"-m", "--multirun", "hydra.mode=MULTIRUN"} & set(arguments):
        raise ConfigError("-m: a sweep starts its jobs itself; leave torchrun out")
    compose(sweep_arguments(arguments), train_job)


def compose(arguments: Sequence[str], job: Callable[[DictConfig], Any]) -> None:
    """Call a job with what Hydra composes of the arguments."""
    store_schemas()
    add_plugin_folders()
    store_sweepers()
    OmegaConf.register_new_resolver("option_groups", option_groups, replace=True)
    name = command_hash(arguments)
    OmegaConf.register_new_resolver("command_hash", lambda: name, replace=True)
    sys.argv = [sys.argv[0], *arguments]
    if "COMP_LINE" in os.environ:  # shell completion: Hydra knows no word `train`
        os.environ["COMP_LINE"] = os.environ["COMP_LINE"].replace(" train ", " ", 1)
    hydra.main(config_path=str(conf_directory()), config_name="train", version_base="1.3")(job)()


def several_processes() -> bool:
    """Whether ``torchrun`` started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


class JobFailed(BaseException):
    """Carries a job's error past Hydra, which would print lines of its own for an Exception."""


@contextmanager
def past_hydra(directory: Path) -> Iterator[None]:
    """Carry a job's error past Hydra, and remove the directory that Hydra made if nothing is in it.

    Raises:
        JobFailed: for what a user can mend; in a sweep the error itself, since the other jobs go on.
    """
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


def train_job(tree: DictConfig) -> float:
    """Train one composed configuration; returns the monitored value, which sweepers optimise."""
    registry.load_plugins()  # in a process of its own a job begins here
    settings = HydraConfig.get()
    directory = Path(settings.runtime.output_dir)
    exact = any(o.startswith("hydra.run.dir=") for o in settings.overrides.hydra)
    with past_hydra(directory):
        config = loading.to_config(tree)
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
