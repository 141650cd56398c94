"""What the tab key offers."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("seqtrain ev", {"eval"}),
        ("seqtrain check", {"check-resume"}),
        ("seqtrain model=self_", {"model=self_attn"}),
        ("seqtrain train model=self_", {"model=self_attn"}),
        ("seqtrain lr-find model=self_", {"model=self_attn"}),
        ("seqtrain model=lstm trainer.max_s", {"trainer.max_steps="}),
        ("seqtrain eval che", {"checkpoint="}),
        ("seqtrain eval split=v", {"split=validation"}),
        ("seqtrain generate run=x temp", {"temperature="}),
        ("seqtrain predict run=ou", {"run=outputs/"}),
        ("seqtrain resume=outputs/", {"resume=outputs/a run/"}),
    ],
)
def test_what_is_offered(tmp_path: Path, run_in: Callable[[Path], Run], line: str, offered: set[str]) -> None:
    (tmp_path / "outputs/a run").mkdir(parents=True)
    result = run_in(tmp_path)("-sc", "query=bash", COMP_LINE=line, COMP_POINT=str(len(line)))
    assert result.returncode == 0, result.stderr
    assert set(filter(None, result.stdout.split("\n"))) == offered


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_takes_the_script(tmp_path: Path, run_in: Callable[[Path], Run]) -> None:
    """As docs/configuration.md has it: the script is evaluated, and its function fills COMPREPLY."""
    command = tmp_path / "seqtrain"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m seqtrain "$@"\n')
    command.chmod(0o755)
    script = run_in(tmp_path)("-sc", "install=bash").stdout
    typed = "COMP_LINE='seqtrain data=text_f' COMP_POINT=20 COMP_CWORD=1"
    program = f'{script}\n{typed}\nhydra_bash_completion\necho "offered ${{COMPREPLY[*]}}"'
    result = subprocess.run(
        ["bash", "-c", program], env={"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert result.stdout.strip() == "offered data=text_files", result.stderr
