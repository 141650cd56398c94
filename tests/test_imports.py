"""Imports point down, and what must answer fast imports no torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "seqtrain"
LEVELS = [
    {"errors", "atomic", "alignment", "cache_directory"},
    {"interruption"},
    {"config"},
    {"run_directory"},
    {"sweeps"},
    {"kernels"},
    {"layers", "data"},
    {"models", "tasks"},
    {"training", "comparison"},
    {"commands"},
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
    "interruption",
    "run_directory",
    "sweeps",
}


def imported(path: Path) -> set[str]:
    """Modules that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return names


FILES = [p for p in sorted(PACKAGE.rglob("*.py")) if p.name not in ("__init__.py", "__main__.py")]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    own = path.relative_to(PACKAGE).with_suffix("").parts[0]
    for name in imported(path):
        if name.startswith("seqtrain."):
            other = name.split(".")[1]
            assert other == own or LEVEL[other] < LEVEL[own], f"{own} imports {name}"
        if name.split(".")[0] == "hydra":
            assert own == "cli", "only the command line knows hydra"
        if name.split(".")[0] == "torch":
            assert own not in WITHOUT_TORCH


def test_the_command_line_starts_without_torch() -> None:
    heavy = ["torch", "datasets", "sklearn", "matplotlib", "pyarrow", "tensorboard", "tokenizers"]
    code = f"import sys, seqtrain.cli.dispatch; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
