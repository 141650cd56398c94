"""Who is told of a run."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from seqtrain.training.observers import Console

PROGRAM = """
import sys
from pathlib import Path
from seqtrain.training.observers import TensorBoard

board = TensorBoard(Path(sys.argv[1]))
board.scalars(1, {"train/loss": 0.5})
board.close()
assert "tensorflow" not in sys.modules
"""


def test_tensorflow_is_not_loaded_to_write_events(tmp_path: Path) -> None:
    (tmp_path / "tensorflow.py").write_text("raise AssertionError('loaded')")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])}
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "run")], env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert list((tmp_path / "run").glob("events.out.*"))


def test_plain_lines_show_each_value_once(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(40, 0, "val/accuracy")
    console.scalars(5, {"val/accuracy": 0.5, "val/loss": 0.7})
    console.scalars(10, {"train/loss": 0.25, "train/tokens_per_second": 12345.6, "train/epoch": 0.5})
    console.scalars(10, {"val/accuracy": 0.75})
    console.scalars(20, {"val/accuracy": 0.8})
    console.scalars(40, {"test/accuracy": 0.9})
    console.close()
    first, second, third = capsys.readouterr().err.splitlines()
    assert first.startswith("step 5/40  val/accuracy 0.5000  left ")
    assert second.startswith("step 10/40  epoch 0.50  loss 0.2500  tokens/s 12,346  val/accuracy 0.7500  left ")
    assert third.startswith("step 20/40  epoch 1.00  val/accuracy 0.8000  left ")


def test_the_bar_leaves_a_line_for_each_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    console = Console(40, 0, "val/accuracy")
    console.scalars(10, {"train/loss": 0.25, "train/epoch": 0.5})
    console.scalars(10, {"val/accuracy": 0.75})
    console.scalars(20, {"train/loss": 0.125, "train/epoch": 1.0})
    console.close()
    shown = terminal.getvalue().replace("\n", "\r").split("\r")
    assert [line.strip() for line in shown if line.startswith("step ")] == [
        "step 10/40  epoch 0.50  loss 0.2500  val/accuracy 0.7500"
    ]
    last = shown[-2] if not shown[-1].strip() else shown[-1]
    assert last.startswith("epoch 1.00: ") and "20/40" in last and "loss 0.1250" in last and "accuracy" not in last
