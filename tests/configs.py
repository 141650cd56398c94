"""What conf/ holds, and what it composes to."""

import copy
from collections.abc import Callable
from functools import cache

import yaml
from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from seqtrain.cli.hydra_setup import conf_directory, store_schemas
from seqtrain.config import registry
from seqtrain.config.base import Targets
from seqtrain.config.loading import to_config
from seqtrain.config.root import Config


@cache  # a dozen files of tests ask for the models of a target when they are collected
def kind_of(group: str, name: str) -> str:
    """The registered kind of a YAML file, its own or that of the file it builds on."""
    content = yaml.safe_load((conf_directory() / group / f"{name}.yaml").read_text())
    first = content["defaults"][0]
    return first.split("/")[3].partition("@")[0] if first.startswith("/schema/") else kind_of(group, first)


def models_for(targets: Targets) -> list[str]:
    """Models of conf/ that can predict this."""
    names = sorted(path.stem for path in (conf_directory() / "model").glob("*.yaml"))
    schemas = {name: registry.find("model", kind_of("model", name)).schema for name in names}
    return [name for name, schema in schemas.items() if schema.targets in (None, targets)]  # type: ignore[attr-defined]


def composer() -> Callable[..., Config]:
    """A function that composes the real conf/ with overrides into a checked Config of its own.

    Hydra takes a quarter of a second to compose what the groups choose, which many tests have in common. Values of
    keys are set in a copy of that, by the function by which Hydra itself sets them last.
    """
    stored: dict[str, dict[str, registry.Registration]] = {}
    trees: dict[tuple[str, ...], DictConfig] = {}
    parser = OverridesParser.create()

    def composed(*overrides: str) -> Config:
        nonlocal stored
        if stored != registry.REGISTRY:  # the first time, and once a test has registered a kind
            store_schemas()
            stored = {group: dict(kinds) for group, kinds in registry.REGISTRY.items()}
            trees.clear()
        if overrides not in trees:
            chosen = tuple(override for override in overrides if not sets_value(override))
            if chosen not in trees:
                with initialize_config_dir(str(conf_directory()), version_base="1.3"):
                    trees[chosen] = compose("train", overrides=list(chosen))
            values = parser.parse_overrides([override for override in overrides if sets_value(override)])
            tree = copy.deepcopy(trees[chosen])
            ConfigLoaderImpl._apply_overrides_to_config(values, tree)
            trees[overrides] = tree
        return to_config(trees[overrides])

    return composed


def sets_value(override: str) -> bool:
    """Whether an override sets a key in a group, or the device or seed, rather than choosing an option of a group."""
    key = override.partition("=")[0]
    return key in ("device", "seed") or (key.replace(".", "").replace("_", "").isalnum() and "." in key)
