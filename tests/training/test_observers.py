"""Who is told of a run."""

import os
import subprocess
import sys
from pathlib import Path

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
