"""What a terminal shows of a run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

termios = pytest.importorskip("termios", reason="needs terminals")
pty = pytest.importorskip("pty", reason="needs terminals")


def test_the_bar_starts_after_the_lines_that_describe_the_run(reviews: Path, tmp_path: Path) -> None:
    """On a terminal, with figures, and without matplotlib's list of fonts, which it would tell of."""
    reader, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (40, 100))
    command = [
        *(sys.executable, "-m", "seqtrain", "data=text_files", f"data.path={reviews}", "data.batch_size=16"),
        *("model.hidden_size=8", "model.embedding.embed_dim=8", "trainer.max_steps=6", "trainer.eval_every=2"),
        *("trainer.log_every=1", "trainer.baselines=false", "device=cpu", "hydra.run.dir=run"),
    ]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=terminal, env=os.environ | {"MPLCONFIGDIR": str(tmp_path)}
    )
    os.close(terminal)
    shown = b""
    try:
        while part := os.read(reader, 4096):
            shown += part
    except OSError:  # the end, on Linux
        pass
    output, _ = process.communicate(timeout=60)
    text = shown.decode()
    assert process.returncode == 0, text
    before, bar = text[: text.index("6 steps on cpu")], text[text.index("6 steps on cpu") :]
    assert "step/s" not in before and "?step" not in before and "step/s" in bar
    scores = re.findall(r"step (\d)/6  epoch [\d.]+  loss [\d.]+  tokens/s [\d,]+  val/accuracy [\d.]+", bar)
    assert scores == ["2", "4", "6"], text
    assert not re.search(r"font|matplotlib|Matplotlib", text) and b"accuracy" in output


def test_a_table_where_the_locale_is_ascii(tmp_path: Path) -> None:
    """What it lacks is shown as an escape; a narrow terminal cuts the name of a baseline by an ellipsis."""
    stored = Path(__file__).parents[1] / "stored_runs" / "classifier"
    ascii_only = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    result = subprocess.run(
        [sys.executable, "-m", "seqtrain", f"resume={stored}"],
        cwd=tmp_path, capture_output=True, text=True, env=os.environ | ascii_only | {"COLUMNS": "40"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "NB-weighted 1-2-gram l\\u2026  1.0000* 1.0000*" in result.stdout
