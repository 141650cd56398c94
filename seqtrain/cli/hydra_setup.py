"""Gives Hydra what seqtrain and its plugins add to it, and composes without running anything."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hydra_plugins.seqtrain_grid.sweeper import GridSweeper, GridSweeperConfig
from hydra_plugins.seqtrain_optuna.sweeper import OptunaSweeper
from seqtrain.cli.key_search import all_keys
from seqtrain.cli.yaml_files import name_wrong_files
from seqtrain.config import loading, registry
from seqtrain.config.root import Config
from seqtrain.errors import ConfigError


def conf_directory() -> Path:
    """The folder of YAML files: inside the installed package, else beside it in a source tree."""
    package = Path(__file__).resolve().parents[1]
    for candidate in (package / "conf", package.parent / "conf"):
        if (candidate / "train.yaml").is_file():
            return candidate
    raise ConfigError(f"conf/ is in neither {package} nor {package.parent}: install seqtrain again")


STORED: dict[tuple[str, str], type] = {}
"""Schemas that Hydra has already, by group and kind: making one takes milliseconds, and there are dozens."""


def store_schemas() -> None:
    """Give Hydra the schemas of all registered kinds, as options of the groups ``schema/<group>``."""
    store = ConfigStore.instance()
    # Hydra copies all of the store at each look into it, 135 times for --help, and what it takes out once more.
    ConfigStore.__deepcopy__ = lambda self, memo: self  # type: ignore[attr-defined]
    store.store(group="schema", name="config", node=Config, package="_global_")
    for group, kinds in registry.REGISTRY.items():
        for kind, entry in kinds.items():
            if STORED.get((group, kind)) is not entry.schema:
                node = OmegaConf.structured(entry.schema)
                node.kind = kind
                store.store(group=f"schema/{group}", name=kind, node=node)
                STORED[group, kind] = entry.schema


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


@cache
def add_to_hydra() -> None:
    """Offer Hydra the schemas, the folders of plugins and the sweepers."""
    name_wrong_files()
    store_schemas()
    add_plugin_folders()
    store_sweepers()


def option_names(group: str) -> list[str]:
    """Names of the YAML files of a group, those of plugins included."""
    folders = [conf_directory(), *registry.FOLDERS]
    return sorted({path.stem for folder in folders for path in (folder / group).glob("*.yaml")})


def composed_config(overrides: Sequence[str]) -> Any:
    """The configuration that overrides compose, unchecked, as dataclasses; what Hydra is at is not touched."""
    add_to_hydra()
    state = GlobalHydra.instance()
    before = state.hydra
    state.clear()
    try:
        with initialize_config_dir(str(conf_directory()), version_base="1.3"):
            return OmegaConf.to_object(compose("train", overrides=list(overrides)))
    finally:
        state.hydra = before


def composed_keys(arguments: Sequence[str]) -> set[str]:
    """All keys that there are with the options of groups that arguments choose; without options, if those are wrong."""
    options = {argument.partition(",")[0] for argument in arguments if argument.partition("=")[0] in loading.GROUPS}
    return keys_with(tuple(sorted(options)))


@cache
def keys_with(options: tuple[str, ...]) -> set[str]:
    """All keys of the configuration with these options of groups, or without, if they are wrong."""
    try:
        return set(all_keys(composed_config(options)))
    except (HydraException, OmegaConfBaseException):
        return keys_with(()) if options else set()
