"""What can be built: for each group, the kinds, their schema and the class built from it.

A package of your own adds kinds by an entry point in the group ``seqtrain.plugins`` that names a function calling
``register``.
"""

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from seqtrain.config import data, model, task
from seqtrain.config.base import Node, suggest
from seqtrain.config.trainer import TrainerConfig
from seqtrain.errors import ConfigError


@dataclass(frozen=True)
class Kind:
    """A schema, and as ``module:Class`` what is built from it (imported only then)."""

    schema: type[Node]
    target: str

    def load(self) -> Any:
        """Import the class."""
        module, _, name = self.target.partition(":")
        return getattr(import_module(module), name)


REGISTRY: dict[str, dict[str, Kind]] = {"data": {}, "task": {}, "model": {}, "trainer": {}}


def register(group: str, kind: str, schema: type[Node], target: str) -> None:
    """Make ``kind`` known in a group; a YAML file names it by ``/schema/<group>/<kind>@_here_`` in its defaults."""
    if kind in REGISTRY[group] and REGISTRY[group][kind] != Kind(schema, target):
        raise ConfigError(f"{group} kind {kind!r} is registered twice: as {REGISTRY[group][kind].target} and {target}")
    REGISTRY[group][kind] = Kind(schema, target)


def find(group: str, kind: str) -> Kind:
    """The registered kind; raises ConfigError naming the known ones."""
    if kind not in REGISTRY[group]:
        raise ConfigError(f"{group}.kind={kind!r}: not a registered kind; {suggest(kind, REGISTRY[group])}")
    return REGISTRY[group][kind]


@cache
def load_plugins() -> None:
    """Let installed packages register their kinds."""
    for entry in entry_points(group="seqtrain.plugins"):
        entry.load()()


register("data", "hub_text", data.HubTextConfig, "seqtrain.data.hub_text:HubText")
register("data", "text_files", data.TextFilesConfig, "seqtrain.data.text_files:TextFiles")
register("data", "docstrings", data.DocstringsConfig, "seqtrain.data.docstrings:Docstrings")
register("task", "classification", task.ClassificationConfig, "seqtrain.tasks.classification:Classification")
register("model", "recurrent", model.RecurrentConfig, "seqtrain.models.recurrent:RecurrentModel")
register("model", "self_attention", model.SelfAttentionConfig, "seqtrain.models.self_attention:SelfAttentionModel")
register("trainer", "trainer", TrainerConfig, "seqtrain.training.trainer:Trainer")
