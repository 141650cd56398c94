"""What `--help` and `--version` print."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import seqtrain as package
from seqtrain.cli.descriptions import docstrings, keys_of
from seqtrain.cli.dispatch import COMMANDS
from seqtrain.cli.hydra_setup import conf_directory
from seqtrain.config import registry

Run = Callable[..., Any]


@pytest.fixture
def seqtrain(tmp_path: Path, run_in: Callable[[Path], Run]) -> Run:
    return run_in(tmp_path)


def said(run: Run, *arguments: str) -> str:
    result = run(*arguments)
    assert result.returncode == 0 and not result.stderr, result.stderr
    return str(result.stdout)


def test_the_overview_fits_two_screens_and_names_everything(seqtrain: Run) -> None:
    text = said(seqtrain, "--help")
    lines = text.splitlines()
    assert len(lines) <= 56 and max(map(len, lines)) <= 100
    for command in ("train", *COMMANDS):
        assert f"\n  {command} " in text
    for group in ("data", "model", "trainer", "size", "experiment", "hparams_search", "debug"):
        for path in (conf_directory() / group).glob("*.yaml"):
            assert f" {path.stem}" in text
    assert "trainer.lr " in text and "Highest learning rate of the schedule." in text
    assert said(seqtrain, "train", "--help") == said(seqtrain, "-h") == text


def test_a_node_is_printed_with_types_values_and_descriptions(seqtrain: Run) -> None:
    text = said(seqtrain, "--help", "model.gru_attn")
    assert text.startswith("model=gru_attn: Embedding -> ")
    assert (
        "model.pooling=attention  (last | mean | max | attention | attention_max | concat)\n    How states become"
        in text
    )
    assert "model.num_layers=1  (whole number)\n    Number of stacked recurrent layers.\n" in text
    assert "model.dropout=null  (number | null)" in text, "inherited"
    assert "model.embedding.*  (embed_dim, dropout, " in text
    assert max(map(len, text.splitlines())) <= 100
    assert text == said(seqtrain, "--help", "model=gru_attn") == said(seqtrain, "model=gru_attn", "--help")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ("trainer.lr", "trainer.lr=0.008  (number)\n    Highest"),
        ("trainer.lr data=imdb", "trainer.lr=0.004  (number)"),
        ("trainer.lr=0.5", "trainer.lr=0.5  (number)"),
        ("model.gru_attn.embedding", "model.embedding.embed_dim=128"),
        ("data.imdb", "data.hub=stanfordnlp/imdb  (text)"),
        ("trainer", "trainer.betas=[0.9,0.999]  (list of numbers)"),
        ("seed", "seed=0  (whole number)"),
        ("experiment.wikitext2_lstm", "max_grad_norm: 0.25"),
        ("experiment", "one of docstrings_wide, "),
    ],
)
def test_nodes_and_keys(seqtrain: Run, arguments: str, part: str) -> None:
    assert part in said(seqtrain, "--help", *arguments.split())


@pytest.mark.parametrize(
    ("node", "part"),
    [
        ("lr", "did you mean trainer.lr?"),
        ("model.gru_atn", "did you mean model.gru_attn?"),
        ("trainer.epoch", "did you mean trainer.epochs?"),
        ("zzzz", "known: data, model"),
    ],
)
def test_an_unknown_node_is_one_line(seqtrain: Run, fails: Callable[..., None], node: str, part: str) -> None:
    fails(seqtrain("--help", node), f"--help {node}: no such node or key; {part}")


def test_version(seqtrain: Run) -> None:
    assert said(seqtrain, "--version") == f"seqtrain {package.__version__}\n"
    assert "Hydra (1." in said(seqtrain, "--hydra-help")


def test_commands_explain_themselves(seqtrain: Run) -> None:
    for command in COMMANDS:
        assert f"seqtrain {command}" in said(seqtrain, command, "--help").replace("resume=", "resume ")


def test_every_key_has_a_description() -> None:
    for group, kinds in registry.REGISTRY.items():
        for kind in kinds.values():
            lacking = [key.name for key in keys_of(kind.schema()) if not key.description]
            assert not lacking, f"{group}: {kind.schema.__name__}"


def test_descriptions_of_a_dataclass_of_ones_own() -> None:
    @dataclass
    class Base:
        one: int = 1
        """Of the base."""
        two: int = 2
        """To be replaced."""

    @dataclass
    class Own(Base):
        two: int = 3
        """Replaced
        in two lines, with ``marks``."""
        bare: int = 0

    assert docstrings(Own) == {"one": "Of the base.", "two": "Replaced in two lines, with `marks`."}
