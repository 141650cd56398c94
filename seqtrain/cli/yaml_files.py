"""Makes Hydra name the YAML file where one cannot be used, and read each file once."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, OmegaConf

from seqtrain.errors import ConfigError

EXPECTED = "it must be a list of names and of `group: option`"
READ: dict[tuple[str | int, ...], ConfigResult] = {}
"""What files contain, by place, time of change and size: a command composes twice or more, a sweep for each job."""


def name_wrong_files() -> None:
    """Have Hydra read YAML files with errors that name the file: its own do not, for the faults looked for here."""
    Plugins.instance()  # fills the registry
    sources = SourcesRegistry.instance()
    hydras: Any = sources.resolve("file")

    class FileConfigSource(hydras):  # Hydra's own name: by it the registry tells whether it has the class already
        """Hydra's reader of files, which also raises ConfigError if one is not UTF-8, is a list, or
        has defaults that are none.
        """

        def load_config(self, config_path: str) -> ConfigResult:
            file = Path(self.path, self._normalize_file_name(config_path))
            found = file.stat()
            key = (self.provider, str(file), found.st_mtime_ns, found.st_size, found.st_ino)
            if key not in READ:
                READ[key] = self.checked(file, config_path)
            return replace(READ[key], config=deepcopy(READ[key].config))  # Hydra takes the defaults out of it

        def checked(self, file: Path, config_path: str) -> ConfigResult:
            try:
                result: ConfigResult = super().load_config(config_path)
            except UnicodeDecodeError as error:
                raise ConfigError(f"{file}: byte {error.start} is not UTF-8; save the file as UTF-8") from error
            if not isinstance(result.config, DictConfig):
                raise ConfigError(f"{file}: is a list; it must have lines of `key: value`")
            if "defaults" in result.config:
                tree: Any = OmegaConf.to_container(result.config)
                check_defaults(file, tree["defaults"])
            return result

    if hydras.__module__ != __name__:
        sources.types["file"] = FileConfigSource


def check_defaults(file: Path, defaults: Any) -> None:
    """Raise ConfigError for what is no list of names, and of groups with an option, several or null."""
    if not isinstance(defaults, list):
        raise ConfigError(f"{file}: defaults is {defaults!r}; {EXPECTED}")
    for item in defaults:
        if isinstance(item, dict) and len(item) == 1:
            [option] = item.values()
            names = option if isinstance(option, list) else [option or ""]
        else:
            names = [item]
        if not all(isinstance(name, str) for name in names):
            raise ConfigError(f"{file}: defaults has {item!r}; {EXPECTED}")
