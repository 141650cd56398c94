"""Conversion from OmegaConf to a checked, typed Config, and back to YAML."""

import io
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from seqtrain.config import registry
from seqtrain.config.base import require, suggest
from seqtrain.config.migrations import flat_keys, format_of, upgraded
from seqtrain.config.plain_yaml import plain_yaml, with_checksum
from seqtrain.config.root import Config, InitTakes
from seqtrain.config.size import for_text
from seqtrain.errors import ConfigError, RunError
from seqtrain.paths import expanded, is_utf8

GROUPS = ("data", "task", "model", "trainer")

OmegaConf.register_new_resolver("for_text", for_text, replace=True)  # in conf/size/


def to_config(tree: DictConfig) -> Config:
    """Turn a composed OmegaConf tree into a typed Config.

    Raises:
        ConfigError: for a key that no schema has (Hydra lets ``+key`` add one), a missing mandatory value, or values
            that a node's ``check`` refuses.
    """
    try:
        config = cast(Config, OmegaConf.to_object(tree))
    except OmegaConfBaseException as error:
        raise explain(error) from error
    refuse_unknown(tree, config, "")
    require(0 <= config.seed < 2**32, "seed", config.seed, "in [0, 2**32)")
    for group in GROUPS:
        node = getattr(config, group)
        schema = registry.find(group, node.kind).schema
        require(
            type(node) is schema,
            f"{group}.kind",
            node.kind,
            f"as set by its YAML file; choose another {group}= instead",
        )
        require(
            re.fullmatch(r"[A-Za-z0-9._-]+", node.name) is not None,
            f"{group}.name",
            node.name,
            "made of letters, digits, '.', '_' and '-'",
        )
        node.check(group)
    embedding = getattr(config.model, "embedding", None)
    require(
        config.trainer.unfreeze is None or not getattr(embedding, "freeze", False),
        "trainer.unfreeze",
        config.trainer.unfreeze,
        "null with model.embedding.freeze=true, by which the embedding is never trained; remove one of them",
    )
    if config.budget.number() is not None:
        widths = config.model.widths(causal=False)
        require(
            len(widths) > 0,
            "budget.params",
            config.budget.params,
            f"null with model={config.model.name}, which has no width",
        )
    config.debug.check("debug")
    check_init(config)
    if (path := getattr(config.data, "path", None)) is not None:
        require(path != "", "data.path", path, "a file or folder, or null")
        config.data.path = str(expanded(path, "data.path").absolute())  # type: ignore[attr-defined]  # seen from any folder
    for key, value in flatten(config):
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str):
                require(is_utf8(text), key, text, "UTF-8, as config.yaml is; rename the file or folder")
    return config


def check_init(config: Config) -> None:
    """Check the options of a start from other runs, and make their paths absolute.

    Raises:
        ConfigError: for an empty path, or options that contradict each other.
    """
    for key in ("init", "init_backward"):
        if (path := getattr(config, key)) is not None:
            require(path != "", key, path, "the directory of a run, or null")
            setattr(config, key, str(expanded(path, key).absolute()))
    backward = config.init_backward
    require(backward is None or config.init is not None, "init_backward", backward,
            "null without init=, which gives the embedding and the forward direction")  # fmt: skip
    require(backward is None or config.init_takes is not InitTakes.embedding, "init_takes", config.init_takes.value,
            "all or encoder with init_backward=, which is taken for its recurrent layer")  # fmt: skip
    vectors = getattr(getattr(config.model, "embedding", None), "path", None)
    require(vectors is None or config.init is None, "model.embedding.path", vectors,
            "null with init=, whose embedding is taken")  # fmt: skip


def refuse_unknown(tree: DictConfig, node: Any, prefix: str) -> None:
    """Raise ConfigError for the first key of the tree that is not a field of its dataclass."""
    known = {f.name for f in fields(node)}
    for key in tree:
        if key not in known:
            raise UnknownKey(f"{prefix}{key!s}", known)
        if is_dataclass(getattr(node, str(key))):
            refuse_unknown(tree[key], getattr(node, str(key)), f"{prefix}{key!s}.")


class UnknownKey(ConfigError):
    """A key does not exist; says which ones beside it are closest.

    Args:
        key: dotted.
        known: names that its node has.
    """

    def __init__(self, key: str, known: set[str]):
        parent, _, name = key.rpartition(".")
        super().__init__(f"{key}: no such key{f' in {parent}' if parent else ''}; {suggest(name, known)}")
        self.key = key


def explain(error: OmegaConfBaseException) -> ConfigError:
    """An OmegaConf error as a ConfigError of one line, with the key, the value and the closest valid names."""
    raised: BaseException | None = error
    while isinstance(raised, OmegaConfBaseException):
        raised = raised.__context__
    if isinstance(raised, ConfigError):  # by a resolver
        return raised
    key = str(error.full_key or error.key or "")
    if error.object_type is not None and is_dataclass(error.object_type) and "not in" in str(error.msg):
        return UnknownKey(key, {f.name for f in fields(error.object_type)})
    if "not in struct" in str(error.msg) and error.parent_node is not None:
        return UnknownKey(key, {str(name) for name in error.parent_node})
    message = str(error.msg or error).splitlines()[0]
    if "Missing mandatory value" in message or "MISSING" in message:
        key = message.rpartition("Missing mandatory value: ")[2] or key  # of an interpolation: what it leads to
        return ConfigError(f"{key}: a value must be given, as {key}=...")
    return ConfigError(f"{key}: {message}" if key else message)


def to_yaml(config: Config) -> str:
    """The whole configuration as YAML, with its checksum in a comment; ``from_yaml`` reads it back."""
    return with_checksum(OmegaConf.to_yaml(OmegaConf.create(plain(config))))


def plain(value: Any) -> Any:
    """A configuration, or a part of it, as dicts and lists; enums by name, texts as OmegaConf takes for themselves.

    ``OmegaConf.structured`` would also check each value against its type, which takes some times as long.
    """
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, str):
        return literal_text(value)
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    return value


def literal_text(text: str) -> str:
    """A text as OmegaConf writes it: ``${`` becomes ``\\${``, and each backslash before it two."""
    return re.sub(r"(\\*)\$\{", lambda found: 2 * found[1] + r"\${", text)


def references(node: Any, key: str = "") -> Iterator[str]:
    """Dotted keys of the texts with an interpolation, ``${...}``, in nested dicts and lists."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from references(value, f"{key}.{name}" if key else str(name))
    elif isinstance(node, list):
        for value in node:
            yield from references(value, key)
    elif isinstance(node, str) and re.search(r"(?<!\\)(\\\\)*\$\{", node):
        yield key


def from_yaml(path: Path) -> DictConfig:
    """Read a saved configuration with the schemas of its kinds, ready for overrides.

    A configuration that an earlier version saved is upgraded, see ``migrations``.

    Raises:
        RunError: if the file is missing, is not a saved configuration, was saved by a later version, or has an
            interpolation, which could read a secret of this machine (``${oc.env:TOKEN}``).
    """
    registry.load_plugins()
    number = format_of(path.parent)
    try:
        plain = cast(dict[str, Any], OmegaConf.to_container(OmegaConf.load(io.StringIO(plain_yaml(path)))))
        for key in references(plain):
            raise RunError(
                f"{path}: {key}: refers to another value (${{...}}), which no saved configuration does; write "
                "the value itself, or \\${ for the text ${"
            )
        schema = OmegaConf.structured(Config)
        for group in GROUPS:
            schema[group] = OmegaConf.structured(registry.find(group, plain[group]["kind"]).schema)
        known = flat_keys(cast(dict[str, Any], OmegaConf.to_container(schema)))
        return cast(DictConfig, OmegaConf.merge(schema, upgraded(plain, number, known)))
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror}); is {path.parent} a run directory?") from error
    except (
        OmegaConfBaseException,
        YAMLError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
        OverflowError,
    ) as error:
        raise RunError(f"{path} is not the configuration of a run: {str(error).splitlines()[0]}") from error


def flatten(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of a configuration, or of one of its nodes."""
    for f in fields(node):
        value = getattr(node, f.name)
        if is_dataclass(value):
            yield from flatten(value, f"{prefix}{f.name}.")
        else:
            yield f"{prefix}{f.name}", value


def differences(old: Any, new: Any, prefix: str = "") -> Iterator[str]:
    """Dotted keys whose values differ between two nodes of the same class."""
    for f in fields(old):
        a, b = getattr(old, f.name), getattr(new, f.name)
        if is_dataclass(a) and type(a) is type(b):
            yield from differences(a, b, f"{prefix}{f.name}.")
        elif a != b:
            yield f"{prefix}{f.name}"
