"""What conf/ holds, without composing it."""

import yaml

from seqtrain.cli.hydra_setup import conf_directory
from seqtrain.config import registry
from seqtrain.config.base import Targets


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
