"""Who is told of a run."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from seqtrain.errors import RunError
from seqtrain.training.observers import Console, JsonLines

PROGRAM = """
import sys
from pathlib import Path
from seqtrain.training.events import TensorBoard

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


def test_bad_lines_of_metrics_are_dropped_when_a_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    good = ['{"step": 1, "train/loss": 0.5}', '{"step": 2, "train/loss": null}', '{"step": 2, "train/rate": 0.1}']
    bad = [
        "[1]",
        "3",
        '{"train/loss": 1}',
        '{"step": "2"}',
        '{"step": 1, "x": {}}',
        '{"step": 1, "x": 1e999}',
        "[" * 9999,
    ]
    gone = ['{"step": 2, "val/loss": 0.5}', '{"step": 2, "test/loss": 0.5}', '{"step": 3, "train/loss": 1.0}']
    path.write_bytes("\n".join([*bad, *good, *gone]).encode() + b'\n\xff\xfe\0{"step": 1}\n{"step": 2, "tr')
    lines = JsonLines(path, keep_until=2, evaluation_due=True)
    assert lines.at_last_step == {"train/rate": 0.1}
    lines.scalars(3, {"train/loss": float("nan")})
    lines.close()
    assert path.read_text().splitlines() == [*good, '{"step": 3, "train/loss": null}']


def test_a_folder_or_a_pipe_in_the_place_of_metrics_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.mkdir()
    with pytest.raises(RunError, match="metrics.jsonl: cannot be written .Is a directory"):
        JsonLines(path, keep_until=2)
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(RunError, match="metrics.jsonl: cannot be written .Is no regular file"):
        JsonLines(path, keep_until=2)


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
