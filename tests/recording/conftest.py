"""Scripts as modules."""

import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from types import ModuleType

import pytest

from recording.record import ROOT


@pytest.fixture
def load_script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Loads a script of scripts/ by its name."""

    def load(name: str) -> ModuleType:
        module_name = name.replace("-", "_")
        loader = SourceFileLoader(module_name, str(ROOT / "scripts" / name))
        spec = importlib.util.spec_from_loader(module_name, loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        monkeypatch.setitem(sys.modules, module_name, module)  # where dataclasses look up annotations
        loader.exec_module(module)
        return module

    return load
