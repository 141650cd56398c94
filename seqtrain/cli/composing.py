"""Composes a training run by Hydra, and runs it once or, in a sweep, many times.

What needs torch is imported once the configuration is known to be sound.
"""

import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import hydra
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from seqtrain.cli.one_line import EXPECTED, one_line
from seqtrain.config import loading, registry
from seqtrain.config.root import Config
from seqtrain.errors import ConfigError
from seqtrain.run_directory import RunDirectory

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


def option_groups() -> str:
    """The groups and their options, a line each, for --help."""
    loader = GlobalHydra.instance().config_loader()
    groups = [*loading.GROUPS, "experiment"]
    return "\n".join(f"  {group}: {', '.join(loader.get_group_options(group)) or '(none)'}" for group in groups)


def train(arguments: Sequence[str]) -> None:
    """Compose by Hydra, and train once or, with --multirun, many times."""
    store_schemas()
    add_plugin_folders()
    OmegaConf.register_new_resolver("option_groups", option_groups, replace=True)
    sys.argv = [sys.argv[0], *arguments]
    if "COMP_LINE" in os.environ:  # shell completion: Hydra knows no word `train`
        os.environ["COMP_LINE"] = os.environ["COMP_LINE"].replace(" train ", " ", 1)
    hydra.main(config_path=str(conf_directory()), config_name="train", version_base="1.3")(train_job)()


class JobFailed(BaseException):
    """Carries a job's error past Hydra, which would print lines of its own for an Exception."""


def train_job(tree: DictConfig) -> float:
    """Train one composed configuration; returns the monitored value, which sweepers optimise."""
    settings = HydraConfig.get()
    directory = Path(settings.runtime.output_dir)
    exact = any(o.startswith("hydra.run.dir=") for o in settings.overrides.hydra)
    try:
        config = loading.to_config(tree)
        run = RunDirectory.claim(directory, exact=exact)
        with run.locked():
            from seqtrain.commands.train import train

            return train(config, run)
    except EXPECTED as error:
        with suppress(OSError):
            directory.rmdir()  # made by Hydra; this succeeds only where nothing is in it
        if settings.mode is RunMode.MULTIRUN:  # the other jobs go on, and Hydra raises this error at the end
            log.error("job %s failed: %s", settings.job.num, one_line(error))
            raise
        raise JobFailed from error
