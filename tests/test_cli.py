"""The real command line, as a subprocess, on small real files."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from seqtrain.runs.json_files import read_json

Run = Callable[..., subprocess.CompletedProcess[str]]
Fails = Callable[..., None]

SMALL = [
    "data=text_files", "data.batch_size=16", "data.min_count=1", "data.vocab_size=100", "device=cpu",
    "model.embedding.embed_dim=12", "model.hidden_size=10", "model.dropout=0.1", "model.embedding.dropout=0.1",
    "trainer.epochs=2", "trainer.lr=0.01", "trainer.warmup_steps=5",
]  # fmt: skip


@pytest.fixture
def seqtrain(tmp_path: Path, run_in: Callable[[Path], Run]) -> Run:
    """Run the command in an empty folder."""
    return run_in(tmp_path)


def test_train_eval_predict_resume(seqtrain: Run, fails: Fails, reviews: Path, tmp_path: Path) -> None:
    data = f"data.path={reviews}"
    result = trained = seqtrain("train", *SMALL, data, "hydra.run.dir=outputs/mine")
    assert result.returncode == 0, result.stderr
    assert "majority class" in result.stdout and "gru_attn" in result.stdout and "step 34/34" in result.stderr
    reported = read_json(tmp_path / "outputs/mine/results.json")["scores"]["gru_attn"]

    result = seqtrain("eval", "run=outputs/mine")
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout)
    assert {name: summary[name] for name in reported["test"]} == reported["test"]
    assert summary["split"] == "test" and summary["size"] == 80
    result = seqtrain("eval", "run=outputs/mine", "split=validation", "checkpoint=last", "data.eval_batch_tokens=1000")
    assert json.loads(result.stdout)["size"] == 30

    (tmp_path / "new, file.csv").write_text('text\n"good, fine"\nawful\n')
    result = seqtrain("predict", "run=outputs/mine", "input=new, file.csv", "output=out.jsonl")
    assert result.returncode == 0, result.stderr
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["text"] for row in rows] == ["good, fine", "awful"]
    result = seqtrain("predict", "run=outputs/mine", "input=-", "output=-", stdin="good fine\nawful\n")
    assert [json.loads(line)["prediction"] for line in result.stdout.splitlines()] == [r["prediction"] for r in rows]

    before = (tmp_path / "outputs/mine/metrics.jsonl").read_text()
    table = seqtrain("resume=outputs/mine")
    assert "outputs/mine: already finished; its best checkpoint is of step " in table.stderr
    assert table.stdout in trained.stdout and "majority class" in table.stdout, "the table that training printed"
    result = seqtrain("resume=outputs/mine", "trainer.baselines=false")
    assert result.returncode == 0 and "resuming from step 34" in result.stderr, result.stderr
    assert read_json(tmp_path / "outputs/mine/results.json")["scores"]["gru_attn"] == reported
    after = (tmp_path / "outputs/mine/metrics.jsonl").read_text()
    assert [line for line in after.splitlines() if "train/" in line] == [
        line for line in before.splitlines() if "train/" in line
    ]
    fails(seqtrain(*SMALL, data, "hydra.run.dir=outputs/mine"), "already holds a run", "resume=")
    assert read_json(tmp_path / "outputs/mine/status.json")["state"] == "finished"


def test_killed_and_resumed(seqtrain: Run, reviews: Path, tmp_path: Path) -> None:
    """A run that is killed goes on to the very scores of one that was not."""
    options = [
        *SMALL,
        f"data.path={reviews}",
        "trainer.eval_every=5",
        "trainer.figures=false",
        "trainer.baselines=false",
        "trainer.probe=false",
    ]
    assert seqtrain(*options, "hydra.run.dir=whole").returncode == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "seqtrain", *options, "hydra.run.dir=killed"],
        cwd=tmp_path, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    while not (tmp_path / "killed/checkpoints/last.pt").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed/results.json").exists()
    assert read_json(tmp_path / "killed/status.json")["state"] == "running"
    result = seqtrain("resume=killed")
    assert result.returncode == 0, result.stderr
    scores = [read_json(tmp_path / name / "results.json")["scores"] for name in ("whole", "killed")]
    assert scores[0] == scores[1]


def test_default_run_directory(seqtrain: Run, reviews: Path, tmp_path: Path) -> None:
    """Paths start where the command was typed, whatever Hydra is told."""
    quick = ["trainer.baselines=false", "trainer.figures=false", "trainer.probe=false"]
    options = [*quick, "trainer.max_steps=1", "hydra.job.chdir=true"]
    result = seqtrain(*SMALL, f"data.path={os.path.relpath(reviews, tmp_path)}", *options)
    assert result.returncode == 0, result.stderr
    assert "hydra.job.chdir=true: has no effect" in result.stderr
    (run,) = (tmp_path / "outputs").iterdir()
    assert run.name.startswith("text_files-gru_attn-2")
    assert "accuracy" in result.stdout and "val" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ("model=grru", ["model=grru", "did you mean gru"]),
        ("data=docstring", ["data=docstring", "did you mean docstrings"]),
        ("mdel=gru", ["mdel", "did you mean model"]),
        ("trainer.epoch=3", ["trainer.epoch", "did you mean trainer.epochs"]),
        ("+trainer.epoch=3", ["trainer.epoch", "did you mean trainer.epochs"]),
        ("model.embedding.dropuot=0", ["model.embedding.dropuot", "did you mean model.embedding.dropout"]),
        ("trainer.epochs=many", ["trainer.epochs=many", "Integer"]),
        ("model.cell=gruu", ["model.cell=gruu", "rnn, lstm, gru"]),
        ("trainer.lr=-1", ["trainer.lr=-1", "above 0"]),
        ("model.output_attention.score=cosine", ["model.output_attention.score=cosine", "scaled_dot, general"]),
        ("model.output_attention.memory=output", ["model.output_attention.memory=output", "states, inputs"]),
        ("model.middle_attention.score=dot", ["model.middle_attention", "did you mean", "input_attention"]),
        (
            "model=gru model.output_attention.score=multihead model.output_attention.num_heads=3 data.path=/nowhere "
            "data=text_files",
            ["model.output_attention.num_heads=3: must divide 256"],
        ),
        ("model.embedding.path=/nowhere.txt", ["model.embedding.path=/nowhere.txt: no such file"]),
        ("trainn data=imdb", ["trainn: no such command", "did you mean train"]),
        ("eval", ["run: must be given"]),
        ("eval run=nowhere", ["run=nowhere: no such directory"]),
        ("eval run=.", ["run=.: is not the directory of a run"]),
        ("predict run=. input=a", ["is not the directory of a run"]),
        ("resume=nowhere", ["resume=nowhere: no such directory"]),
        ("data=text_files", ["data.path: must be given"]),
        ("data=text_files data.path=none.csv", ["data.path=", "none.csv: no such file or folder"]),
        ("data=imdb", ["data.path", "SEQTRAIN_DATA_DIR", "hub"]),
        ("device=warp", ["device=warp", "auto, cpu, cuda"]),
        ("data.kind=text_files", ["data.kind", "choose another data="]),
        ("data.name=a/b", ["data.name='a/b'"]),
        ("seed=-1", ["seed=-1", "2**32"]),
        ("data.validation_split=test", ["different"]),
        ("-m eval run=x", ["eval"]),
        ("data.max_length=x data=imdb", ["data.max_length=x"]),
    ],
)
def test_bad_input_is_one_line(seqtrain: Run, fails: Fails, arguments: str, parts: list[str]) -> None:
    fails(seqtrain(*arguments.split()), *parts)


def test_names_from_files_are_printed_with_escapes(seqtrain: Run, tmp_path: Path) -> None:
    rows = "text,label\n" + "good,a\nbad,b\n" * 5
    (tmp_path / "train.csv").write_text(rows)
    (tmp_path / "test.csv").write_text(rows + "other,c\x1b[2J\n")
    result = seqtrain("data=text_files", f"data.path={tmp_path}", "device=cpu")
    assert "\x1b" not in result.stderr
    assert result.returncode == 1 and "label 'c\\x1b[2J' (1 rows) is not one of the classes" in result.stderr


def test_config_errors_leave_nothing_behind(seqtrain: Run, tmp_path: Path) -> None:
    for argument in ("trainer.lr=-1", "+trainer.epoch=1"):
        assert seqtrain(argument).returncode == 1
    assert not any(tmp_path.rglob("*")) or [p.name for p in tmp_path.rglob("*")] == ["outputs"]


def test_full_error_gives_the_traceback(seqtrain: Run) -> None:
    for argument in ("model=grru", "trainer.lr=-1"):
        result = seqtrain(argument, HYDRA_FULL_ERROR="1")
        assert result.returncode == 1 and "Traceback" in result.stderr


def test_a_failed_run_says_why(seqtrain: Run, fails: Fails, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\n")
    fails(seqtrain("data=text_files", "data.path=a.csv", "hydra.run.dir=run"), "a.csv: has no rows")
    status = read_json(tmp_path / "run/status.json")
    assert status["state"] == "failed" and "has no rows" in status["error"]
    fails(seqtrain("eval", "run=run"), "data.json: cannot be read")


def test_hydras_own_flags(seqtrain: Run, tmp_path: Path) -> None:
    assert "hidden_size: 128" in seqtrain("--cfg", "job", "model=lstm").stdout
    assert seqtrain("--info", "searchpath").returncode == 0
    (tmp_path / "own/model").mkdir(parents=True)
    (tmp_path / "own/model/wide.yaml").write_text("defaults: [gru, _self_]\nname: wide\nhidden_size: 999\n")
    assert "hidden_size: 999" in seqtrain("--config-dir", "own", "--cfg", "job", "model=wide").stdout
