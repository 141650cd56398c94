import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path

import pytest

from seqtrain.cli.hydra_setup import conf_directory
from seqtrain.config import registry
from seqtrain.config.loading import GROUPS, differences, from_yaml, to_config, to_yaml
from seqtrain.config.root import Config
from seqtrain.errors import ConfigError, RunError

Compose = Callable[..., Config]

OPTIONS = [f"{group}={path.stem}" for group in GROUPS for path in sorted((conf_directory() / group).glob("*.yaml"))]


@pytest.mark.parametrize("option", OPTIONS)
def test_every_yaml_composes_into_its_schema_and_back(composed: Compose, tmp_path: Path, option: str) -> None:
    config = composed(option)
    group, _, name = option.partition("=")
    node = getattr(config, group)
    assert node.name == name
    assert type(node) is registry.find(group, node.kind).schema
    assert inspect.isclass(registry.find(group, node.kind).load())
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert to_config(from_yaml(tmp_path / "config.yaml")) == config


def test_every_option_begins_with_what_it_is() -> None:
    for path in conf_directory().rglob("*.yaml"):
        assert path.read_text().startswith("# "), f"{path} has no header"


def test_the_data_picks_task_and_trainer_and_the_command_line_wins(composed: Compose) -> None:
    assert composed().trainer.name == "quick_text"
    assert composed("data=imdb").trainer.name == "classification"
    assert composed("data=imdb", "trainer=small_text").trainer.min_epochs == 12
    assert composed("data=imdb", "trainer=small_text", "trainer.epochs=5").trainer.epochs == 5


def test_experiments_override_the_groups(composed: Compose) -> None:
    for path in (conf_directory() / "experiment").glob("*.yaml"):
        assert composed(f"+experiment={path.stem}") != composed()


@pytest.mark.parametrize("group", GROUPS)
def test_every_field_is_documented(group: str) -> None:
    for kind in registry.REGISTRY[group].values():
        for cls in kind.schema.__mro__:
            if dataclasses.is_dataclass(cls):
                lines = [line.strip() for line in inspect.getsource(cls).splitlines()]
                for name in cls.__annotations__:
                    at = next(i for i, line in enumerate(lines) if line.startswith(f"{name}:"))
                    assert lines[at + 1].startswith('"""') or name in ("kind", "name"), f"{cls.__name__}.{name}"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+trainer.epoch=3", "trainer.epoch: no such key in trainer; did you mean epochs or"),
        (
            "++model.hidden_sise=3",
            "model.hidden_sise: no such key in model; did you mean hidden_size or hidden_sizes or wide_size?",
        ),
        ("+sed=3", "sed: no such key; did you mean seed?"),
        ("model.dropout=1.5", "model.dropout=1.5: must be in [0, 1)"),
        ("model.num_layers=0", "model.num_layers=0: must be at least 1"),
        ("model.hidden_sizes=[]", "model.hidden_sizes=[]: must be null, or a list with a size of at least 1"),
        ("model.hidden_sizes=[8,0]", "model.hidden_sizes=[8, 0]: must be null, or a list"),
        ("model.input_attention.memory=inputs", "model.input_attention.memory='inputs': must be left out"),
        ("model.output_attention.project=true", "model.output_attention.project=True: must be false with"),
        ("model.chrono_init=2", "model.chrono_init=2: must be above 2, or null"),
        ("model.output_attention.num_heads=0", "model.output_attention.num_heads=0: must be at least 1"),
        ("model.input_attention.dropout=1", "model.input_attention.dropout=1.0: must be in [0, 1)"),
        ("model.embedding.freeze=true", "model.embedding.freeze=True: must be false unless model.embedding.path"),
        ("task.class_weights=heavy", "task.class_weights='heavy': must be none, balanced, or a list"),
        ("task.label_smoothing=1", "task.label_smoothing=1.0: must be in [0, 1)"),
        ("trainer.lr=0", "trainer.lr=0.0: must be above 0"),
        ("trainer.layer_lr_decay=0", "trainer.layer_lr_decay=0.0: must be above 0, and at most 1"),
        ("trainer.layer_lr_decay=1.5", "trainer.layer_lr_decay=1.5: must be above 0, and at most 1"),
        ("trainer.unfreeze=0", "trainer.unfreeze=0.0: must be above 0 (epochs), or null"),
        ("trainer.unfreeze=inf", "trainer.unfreeze=inf: must be above 0 (epochs), or null"),
        (
            "model.embedding.path=x model.embedding.freeze=true trainer.unfreeze=1",
            "trainer.unfreeze=1.0: must be null with model.embedding.freeze=true",
        ),
        ("trainer.betas=[0.9]", "trainer.betas=[0.9]: must be two numbers in [0, 1)"),
        ("trainer.accumulate=0", "trainer.accumulate=0: must be at least 1"),
        ("data.batch_tokens=10", "data.batch_tokens=10: must be at least data.max_length (400)"),
        ("data.validation_size=0", "data.validation_size=0.0: must be above 0"),
        ("data.path=x", "data.path='x': must be null"),
    ],
)
def test_values_out_of_range(composed: Compose, override: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        composed(*override.split())
    assert message in str(error.value)


def test_differences_name_the_keys(composed: Compose) -> None:
    old, new = composed(), composed("model.embedding.embed_dim=3", "trainer.lr=1", "seed=4")
    assert sorted(differences(old, new)) == ["model.embedding.embed_dim", "seed", "trainer.lr"]
    assert list(differences(old, old)) == []


@pytest.mark.parametrize("content", ["", "a: 1", "data: [", "data: {kind: docstring}\n"])
def test_what_is_no_saved_config(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.yaml").write_text(content)
    with pytest.raises((RunError, ConfigError)):
        from_yaml(tmp_path / "config.yaml")


def test_a_kind_is_registered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from seqtrain.config.recurrent import RecurrentConfig

    monkeypatch.setitem(registry.REGISTRY, "model", dict(registry.REGISTRY["model"]))
    registry.register("model", "mine", RecurrentConfig, "my.package:Model")
    with pytest.raises(ConfigError, match="registered twice"):
        registry.register("model", "mine", RecurrentConfig, "other.package:Model")
    with pytest.raises(ConfigError, match="model.kind='mina'.*did you mean mine"):
        registry.find("model", "mina")
