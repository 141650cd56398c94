"""docs/results.yaml, the page and the headers that are made from it, and the commands in all of them."""

import re
from collections.abc import Callable

import pytest

from recording.headers import EXPERIMENTS, with_scores
from recording.page import page
from recording.record import RECORD, Record
from seqtrain.config.root import Config
from tests.commands_in_docs import of_line, single_values

Compose = Callable[..., Config]
RESULTS = Record.read(RECORD)
HEADERS = sorted(path.stem for path in EXPERIMENTS.glob("*.yaml"))


def test_the_record_is_in_the_form_that_the_script_keeps() -> None:
    assert RECORD.read_text() == RESULTS.text(), "an unknown key, or not written yet by: scripts/check-results --page"


def test_the_page_is_made_from_the_record() -> None:
    assert RECORD.with_suffix(".md").read_text() == page(RESULTS), "run: python scripts/check-results --page"


@pytest.mark.parametrize("name", RESULTS.recipes)
def test_the_commands_of_a_recipe(composed: Compose, name: str) -> None:
    recipe = RESULTS.recipes[name]
    for words in [*recipe.preparations, recipe.overrides]:
        assert not [word for word in words if word.startswith(("seed=", "hydra.sweep.", "-"))]  # the script sets these
        composed(*sorted(word for word in words if not word.startswith("hydra.")))
    for words in recipe.preparations:
        assert any(word.startswith("hydra.run.dir=outputs/") for word in words)


@pytest.mark.parametrize("name", [name for name, recipe in RESULTS.recipes.items() if recipe.measured])
def test_a_measured_recipe_has_all_that_it_needs(name: str) -> None:
    measured = RESULTS.recipes[name].measured
    assert measured is not None
    assert re.fullmatch("[0-9a-f]{12}", measured.commit) and re.fullmatch(r"\d{4}-\d\d-\d\d", measured.date)
    assert measured.machine and measured.seconds > 0


@pytest.mark.parametrize("experiment", HEADERS)
def test_the_header_of_an_experiment(composed: Compose, experiment: str) -> None:
    """It says what the recipe is, has a command that composes, and the scores of the record."""
    text = (EXPERIMENTS / f"{experiment}.yaml").read_text()
    first, second, *_ = lines = text.splitlines()
    assert first == "# @package _global_" and second.startswith("# ") and not second.startswith("#   ")
    header = "\n".join(line[4:] for line in lines if line.startswith("#   ")).replace("\\\n", " ")
    typed = [line for line in header.splitlines() if re.match(r"(SEQTRAIN_DATA_DIR=\S+ )?seqtrain ", line)]
    commands = [command for line in typed for command in of_line(re.sub(r"<[^>]*>", "x", line))]
    own = [command for command in commands if f"+experiment={experiment}" in command.overrides]
    assert own, f"{experiment}.yaml: no line '#   seqtrain +experiment={experiment}' in its header"
    for command in commands:
        composed(*sorted(single_values(command.overrides)))
    assert text == with_scores(text, RESULTS, experiment), "run: python scripts/check-results --page"
