"""scripts/check-results with a record of its own, in this process; the commands of its recipes run in others."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

from recording.record import ROOT, Recipe, Record

SCRIPT = ROOT / "scripts" / "check-results"
COMMAND = (
    "seqtrain data=text_files data.path=examples/reviews.csv data.text_column=review data.label_column=opinion "
    "data.batch_size=8 model=self_attn model.embedding.embed_dim=8 trainer.max_steps=2 trainer.figures=false device=cpu"
)
Check = Callable[..., tuple[int, str, str]]


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A record of one recipe that takes seconds, in the current folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "results.yaml"
    Record({"tiny": Recipe("a model", "Reviews", [COMMAND], "accuracy", "test", floor=0.01)}).write(path)
    return path


@pytest.fixture
def check(record: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Check:
    """The script: exit code, stdout and stderr."""
    loader = SourceFileLoader("check_results", str(SCRIPT))
    spec = importlib.util.spec_from_loader("check_results", loader)
    assert spec is not None
    script = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader.exec_module(script)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["check-results", "--record", str(record), "--machine", "here", *arguments])
        with pytest.raises(SystemExit) as end:
            script.main()
        shown, said = capfd.readouterr()
        code = end.value.code
        return (code, shown, said) if isinstance(code, int) else (1, shown, f"{said}{code}\n")

    return run


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_a_recipe_is_run_recorded_and_compared(record: Path, check: Check, tmp_path: Path) -> None:
    runs = tmp_path / "out" / "tiny"
    code, _, said = check("tiny", "--seeds", "3,4", "--out", "out", "--write", "--page")
    assert code == 0, said
    measured = Record.read(record).recipes["tiny"].measured
    assert measured is not None and list(measured.scores) == [3, 4] and measured.machine == "here"
    assert measured.baseline is not None and measured.validation is not None and measured.seconds > 0
    assert measured.preparation is None
    assert "| `tiny`: a model; accuracy on test |" in (tmp_path / "results.md").read_text()

    code, shown, _ = check("tiny", "--runs", str(runs))
    assert code == 0 and "0.0000 apart, " in shown and "allowed: ok" in shown

    code, _, said = check("tiny", "--out", "out")
    assert code == 1 and said.startswith(f"check-results: error: {runs}: is not empty")

    for seed, score in measured.scores.items():
        edit(record, f"        {seed}: {score}\n", f"        {seed}: 0.01\n")
    code, shown, said = check("tiny", "--runs", str(runs))
    assert code == 1 and "0.0100 allowed: DIFFERENT" in shown and not said

    edit(record, "trainer.max_steps=2", "trainer.max_steps=3")
    code, _, said = check("tiny", "--runs", str(runs))
    assert code == 1 and "is no run of seqtrain" in said and "trainer.max_steps differ" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(("arguments", "message"), [
    (["other"], "other: no such recipe; known: tiny"),
    (["tiny", "--seeds", "one"], "--seeds one: expected whole numbers between commas"),
    (["tiny", "--runs", "nowhere"], "nowhere: holds no runs"),
    (["--list", "--record", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
])  # fmt: skip
def test_wrong_arguments_are_one_line(check: Check, arguments: list[str], message: str) -> None:
    code, _, said = check(*arguments)
    assert code == 1 and said.startswith("check-results: error: ") and message in said and said.count("\n") == 1


def test_the_list_of_the_real_record() -> None:
    listed = subprocess.run([sys.executable, str(SCRIPT), "--list"], capture_output=True, text=True, cwd=ROOT)
    assert listed.returncode == 0, listed.stderr
    assert any(line.startswith("imdb ") and "model=gru_attn data=imdb" in line for line in listed.stdout.splitlines())
