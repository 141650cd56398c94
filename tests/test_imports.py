"""Imports point down, and what must answer fast imports no torch."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "seqtrain"
LEVELS = [
    {"errors", "atomic", "alignment", "cache_directory", "printable", "regular"},
    {"console", "interruption", "pages", "paths", "torchrun"},
    {"config"},
    {"runs"},
    {"sweeps"},
    {"kernels"},
    {"layers", "data"},
    {"models", "tasks"},
    {"probe"},
    {"training", "comparison"},
    {"commands"},
    {"hydra_plugins"},
    {"cli"},
]
LEVEL = {name: i for i, names in enumerate(LEVELS) for name in names}
WITHOUT_TORCH = {
    "cli",
    "comparison",
    "config",
    "errors",
    "alignment",
    "atomic",
    "cache_directory",
    "console",
    "interruption",
    "pages",
    "paths",
    "printable",
    "regular",
    "runs",
    "sweeps",
    "torchrun",
}


ROOT = PACKAGE.parent
FILES = [path for folder in ("seqtrain", "hydra_plugins") for path in sorted((ROOT / folder).rglob("*.py"))]


def module(path: Path) -> str:
    """Name of the module in a file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def imported(path: Path) -> frozenset[str]:
    """Modules that a file imports, wherever in it and for whatever purpose, with the names that it takes from them."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return frozenset(names)


def level(name: str) -> str:
    """The folder or top-level module that a module belongs to."""
    first, _, rest = name.partition(".")
    return first if first == "hydra_plugins" else rest.partition(".")[0]


@pytest.mark.parametrize("path", [path for path in FILES if path.parent != PACKAGE or path.stem in LEVEL], ids=module)
def test_imports_point_down(path: Path) -> None:
    own = level(module(path))
    for name in imported(path):
        if name.startswith(("seqtrain.", "hydra_plugins.")):
            other = level(name)
            assert other == own or LEVEL[other] < LEVEL[own], f"{own} imports {name}"
        if name.split(".")[0] == "hydra":
            assert own in ("cli", "hydra_plugins"), "only the command line knows hydra"
        if name.split(".")[0] == "torch":
            assert own not in WITHOUT_TORCH


def test_no_modules_import_each_other() -> None:
    """Not over any number of others either; imports inside functions and for types alone count too."""
    names = {module(path) for path in FILES}
    graph = {module(path): (imported(path) & names) - {module(path)} for path in FILES}
    done: list[str] = []
    while ready := [name for name, wanted in graph.items() if name not in done and wanted <= set(done)]:
        done += ready
    rest = {name: sorted(wanted - set(done)) for name, wanted in graph.items() if name not in done}
    assert not rest, f"in circles, or above one: {rest}"


HEAVY = ["torch", "datasets", "sklearn", "matplotlib", "pyarrow", "tokenizers"]


@pytest.mark.parametrize(
    ("module", "heavy"),
    [("seqtrain.cli.dispatch", [*HEAVY, "tensorboard"]), ("seqtrain.commands.board", HEAVY)],
)
def test_what_must_answer_at_once_imports_nothing_heavy(module: str, heavy: list[str]) -> None:
    code = f"import sys, {module}; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
