"""README and docs are true: their commands compose, their tables hold what conf/ holds, their links lead somewhere."""

import re
from collections.abc import Callable
from enum import Enum
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from seqtrain.cli.dispatch import COMMANDS
from seqtrain.cli.hydra_setup import conf_directory, store_sweepers
from seqtrain.config.loading import GROUPS
from seqtrain.config.root import Config
from tests.commands_in_docs import PAGES, ROOT, Command, commands_of, single_values

Compose = Callable[..., Config]

COMPOSED = ("train", "lr-find", "check-resume")
OWN_KEYS = {"train": set[str](), "lr-find": {"low", "high", "steps"}, "check-resume": {"steps"}}
ALL = [command for page in PAGES for command in commands_of(page)]
FLAGS = ("-m", "--multirun", "--help", "--hydra-help", "--version", "--cfg", "--config-dir", "-p", "--package", "-sc")


@pytest.fixture(scope="module")
def sweepers() -> None:
    """The sweepers that the command line offers: searches name one."""
    store_sweepers()


def test_there_are_commands() -> None:
    assert len(ALL) > 60 and {command.name for command in ALL} >= {"train", "eval", "predict", "compare", "resume"}


@pytest.mark.usefixtures("sweepers")
@pytest.mark.parametrize("page", PAGES, ids=str)
def test_commands_compose(composed: Compose, page: Path) -> None:
    """Those that train compose; of the others every key is one that the command's help names."""
    for command in commands_of(page):
        if command.flags - set(FLAGS):
            pytest.fail(f"{page}: {command}: unknown flags")
        if command.name not in COMPOSED:
            check_keys(page, command)
            continue
        if (
            command.wrong
            or {"--help", "--config-dir"} & command.flags
            or re.search("my_model|star_reviews", str(command))
        ):
            continue  # options of a folder that the page makes, or of a package
        overrides = [o for o in command.overrides if o.partition("=")[0] not in OWN_KEYS[command.name]]
        try:
            composed(*sorted(single_values(overrides)))
        except Exception as error:
            pytest.fail(f"{page}: {command}: {error}")


def check_keys(page: Path, command: Command) -> None:
    if command.name == "resume":
        return
    assert command.name in COMMANDS, f"{page}: {command}: no such command"
    described = COMMANDS[command.name].__doc__ or ""
    for override in command.overrides:
        key = override.partition("=")[0]
        known = "=" not in override or f"{key}=" in described or key.startswith(("data.", "task.")) or key == "device"
        assert known, f"{page}: {command}: {key} is no key of {command.name}"


def table_rows(text: str, heading: str) -> list[list[str]]:
    """Cells of the table after a heading."""
    after = text.partition(f"\n{heading}\n")[2]
    assert after, f"{heading} is missing"
    lines = re.split(r"\n#+ ", after)[0].splitlines()
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines if line.startswith("| `")]


def prose(page: Path) -> str:
    """The text of a page without its blocks of code."""
    return re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)


def quoted(text: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", text))


CONFIGURATION = (ROOT / "docs/configuration.md").read_text()


@pytest.mark.parametrize("group", [*GROUPS, "size", "debug", "experiment", "hparams_search"])
def test_every_option_is_in_the_table_of_options(group: str) -> None:
    (cells,) = [row for row in table_rows(CONFIGURATION, "## Groups and options") if row[0] == f"`{group}`"]
    assert quoted(cells[2]) == {path.stem for path in (conf_directory() / group).glob("*.yaml")}


def test_every_command_is_in_the_table_of_commands() -> None:
    rows = {row[0]: row for row in table_rows(CONFIGURATION, "## Commands")}
    named = {re.split(r"[ =]", name.strip("`").removeprefix("seqtrain "))[0]: row for name, row in rows.items()}
    assert set(named) == {"[train]", *COMMANDS}
    for name, row in named.items():
        for key in quoted(row[2]) if len(row) > 2 else set():
            described = COMMANDS[name].__doc__ or ""
            assert f"{key}=" in described, f"{name} has no key {key}"


def shown(value: Any) -> str:
    """A value as the table of keys writes it."""
    return str(value.value) if isinstance(value, Enum) else "null" if value is None else str(value).lower()


def test_the_defaults_in_the_table_of_keys(composed: Compose) -> None:
    columns = [
        composed("data=text_files"),
        composed("model=lstm", "data=text_corpus"),
        composed("model=gru", "data=series_files"),
    ]
    rows = table_rows(CONFIGURATION, "## The keys met first")
    assert len(rows) > 25
    for key, *cells in rows:
        for config, cell in zip(columns, cells[:3], strict=True):
            if cell != "-":
                assert shown(attrgetter(key.strip("`"))(config)) == cell, key


@pytest.mark.parametrize(
    ("page", "group"),
    [
        ("docs/models.md", "model"),
        ("docs/data.md", "data"),
        ("docs/hyperparameter_search.md", "hparams_search"),
        ("docs/debugging.md", "debug"),
    ],
)
def test_a_page_describes_every_option(page: str, group: str) -> None:
    described = {word for span in quoted(prose(ROOT / page)) for word in re.findall(r"\w+", span)}
    names = {path.stem for path in (conf_directory() / group).glob("*.yaml")}
    missing = names - described
    assert not missing, f"{page} does not mention {sorted(missing)}"


def test_the_matrix_of_the_readme_has_every_task() -> None:
    text = (ROOT / "README.md").read_text()
    rows = table_rows(text, "## Tasks")
    tasks = {path.stem for path in (conf_directory() / "task").glob("*.yaml")}
    assert {name for row in rows for name in quoted(row[0]) & tasks} == tasks
    assert len(text.splitlines()) < 200


def anchors(page: Path) -> set[str]:
    """What GitHub makes of the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", [*PAGES, Path("CONTRIBUTING.md")], ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(ROOT / page)):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), f"{page}: {target}: no such file"
        if anchor:
            assert anchor in anchors(file), f"{page}: {target}: no such heading"


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs/index.md").read_text()
    for path in (ROOT / "docs").glob("*.md"):
        assert path.name == "index.md" or f"]({path.name})" in index, path.name


def test_pictures_are_small() -> None:
    pictures = sorted((ROOT / "docs/images").glob("*"))
    assert pictures and all(path.suffix == ".png" and path.stat().st_size < 200_000 for path in pictures)
