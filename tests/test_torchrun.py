"""Several processes that train one model on the CPU: by the real ``torchrun``, or by forks with its variables."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from seqtrain.commands.check_resume import first_difference
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import read_json
from seqtrain.training.checkpoint import load_checkpoint
from tests.archives import write_pair
from tests.command_line import Command, environment
from tests.outputs import stored_outputs
from tests.pairs import OPTIONS as PAIRS
from tests.pairs import write_splits

NO_DROPOUT = ["model.dropout=0", "device=cpu"]
NO_WORDS_DROPPED = "model.embedding.dropout=0"
QUIET = ["trainer.figures=false", "trainer.probe=false", "trainer.log_every=1"]
CASES = {
    # 271 rows of train in batches of 5: the last batch has one row, and leaves a process without.
    "classifier": [
        *("data=text_files", "data.path=reviews", "data.batch_size=5", "data.min_count=1", "data.vocab_size=100"),
        *("model=gru_attn", "model.hidden_size=6", "model.embedding.embed_dim=8", "data.validation_size=29"),
        *("model.wide=ngrams", "model.wide_dropout=0", "model.wide_row_dropout=0"),
        *("task.adversarial=0.5", "task.rdrop=1"),
        *(
            "trainer.max_steps=40",
            "trainer.eval_every=20",
            "trainer.accumulate=2",
            "trainer.average=ema",
            NO_WORDS_DROPPED,
        ),
    ],
    # 20 steps an epoch, one part more every 5 steps: the pooling, two layers, and the embedding at step 20.
    "unfreezing": [
        *("data=text_files", "data.path=reviews", "data.min_count=1", "data.vocab_size=100"),
        *("model=gru_attn", "model.hidden_size=6", "model.embedding.embed_dim=8", "model.num_layers=2"),
        *("trainer.max_steps=24", "trainer.eval_every=12", "trainer.unfreeze=0.25", "trainer.layer_lr_decay=0.5"),
        *("trainer.accumulate=2", "data.batch_size=7", "trainer.average=ema", NO_WORDS_DROPPED),
    ],
    "language": [
        *("data=text_corpus", "data.path=corpus", "data.tokenizer=char", "data.batch_size=5", "data.bptt_len=16"),
        *("model=lstm", "model.hidden_size=12", "model.embedding.embed_dim=12", "data.document_start=' moon '"),
        *(
            "trainer.max_steps=30",
            "trainer.eval_every=15",
            "model.activation_penalty=1.0",
            "model.change_penalty=1.0",
            NO_WORDS_DROPPED,
        ),
    ],
    "labels": [
        *("data=reverse", "data.num_eval=9", "data.batch_size=5", "trainer.max_steps=6", "trainer.eval_every=3"),
        *("model=gru", "model.hidden_size=6", "model.embedding.embed_dim=6", NO_WORDS_DROPPED),
    ],
    # 31 series of train in batches of 5: the last batch has one. The normalisation is over the rows of both processes.
    "series": [
        *("data=series_classes", "data.path=series", "data.batch_size=5", "data.validation_size=5"),
        *("model=gru_fcn", "model.filters=[6,4]", "model.kernel_sizes=[5,3]", "model.hidden_size=6"),
        *("model.embedding.embed_dim=6", "trainer.max_steps=8", "trainer.eval_every=4"),
    ],
    "translator": [
        *(*PAIRS, "data.path=pairs", "data.batch_size=5", "model=gru_translator", "model.hidden_size=6"),
        *("model.embedding.embed_dim=6", "trainer.max_steps=8", "trainer.eval_every=4", NO_WORDS_DROPPED),
    ],
    "forecaster": [
        *("data=sine", "data.length=600", "data.lookback=24", "data.horizon=8", "data.batch_size=7"),
        *("model=segrnn", "model.hidden_size=8", "model.segment_length=4", "trainer.max_steps=20"),
    ],
}


def start(folder: Path, processes: int, *arguments: str) -> subprocess.Popen[str]:
    """The command by torchrun, in the background."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", "seqtrain", *arguments],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env=environment(),
    )  # fmt: skip


def begin(folder: Path, processes: int, *arguments: str) -> list[Command]:
    """The command in so many processes, with the variables that torchrun sets, in the background."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(processes)} if processes > 1 else {}
    return [
        Command(folder, *arguments, variables=shared | {"RANK": str(i), "LOCAL_RANK": str(i)} if shared else {})
        for i in range(processes)
    ]


def finish(commands: list[Command]) -> str:
    """Wait for the processes; returns what they said."""
    return "".join(ended.stdout + ended.stderr for ended in [command.finish() for command in commands])


def run(folder: Path, processes: int, *arguments: str) -> str:
    """Run to the end in so many processes; returns what they said."""
    return finish(begin(folder, processes, *arguments))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, reviews: Path) -> Path:
    """Where the commands run, with the data."""
    folder = tmp_path_factory.mktemp("ranks")
    (folder / "reviews").symlink_to(reviews)
    write_pair(folder / "series", 36, unequal=True)
    write_splits(folder / "pairs")
    (folder / "corpus").mkdir()
    rng = random.Random(0)
    for split, words in (("train", 800), ("valid", 100), ("test", 100)):
        text = " ".join(rng.choices(["owl", "tree", "moon", "pond"], k=words))
        (folder / "corpus" / f"{split}.txt").write_text(text)
    return folder


@pytest.mark.parametrize("case", CASES)
def test_two_processes_equal_one(folder: Path, case: str) -> None:
    """Fed the same batches without dropout: losses, scores and stored outputs, of unequal shares too."""
    results, curves, outputs = [], [], []
    for processes in (1, 2):
        name = f"{case}-{processes}"
        said = run(folder, processes, *CASES[case], *NO_DROPOUT,
                   *QUIET, "trainer.baselines=false", f"hydra.run.dir={name}")  # fmt: skip
        directory = RunDirectory(folder / name)
        assert directory.results_path.exists(), said
        assert said.count("best checkpoint: step") == 1, said
        assert "FutureWarning" not in said
        (scores,) = read_json(directory.results_path)["scores"].values()
        results.append(scores)
        lines = [json.loads(line) for line in directory.metrics_path.read_text().splitlines()]
        curves.append([(line["step"], line["train/loss"]) for line in lines if "train/loss" in line])
        outputs.append(stored_outputs(directory.predictions_path) if directory.predictions_path.exists() else {})
        assert len(list(directory.path.glob("events.out.*.ordered"))) == 1  # beside that of the final scores
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-5)
    for split in results[0]:
        for metric, value in results[0][split].items():
            assert results[1][split][metric] == pytest.approx(value, rel=1e-5, abs=1e-6), f"{split} {metric}"
    assert outputs[0].keys() == outputs[1].keys()
    for name, values in outputs[0].items():
        np.testing.assert_allclose(values, outputs[1][name], atol=1e-5)


def test_interrupted_and_resumed_together(folder: Path) -> None:
    """SIGTERM to the launcher; each process's dropout, rows, state and share of the log go on, bit by bit."""
    options = [*CASES["language"], "device=cpu", *QUIET, "model.dropout=0.3", "trainer.baselines=false"]
    options += ["trainer.max_steps=120", "trainer.eval_every=60", "trainer.log_every=200"]  # at the end alone
    run(folder, 2, *options, "hydra.run.dir=whole")
    process = start(folder, 2, *options, "trainer.checkpoint_seconds=0", "hydra.run.dir=stopped")
    while not (folder / "stopped/checkpoints/last.pt").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0 and "saved at step" in errors, errors
    assert read_json(folder / "stopped/status.json")["state"] == "interrupted"
    alone = run(folder, 1, "resume=stopped")
    assert "was trained by 2 processes, not 1; resume it by torchrun --nproc-per-node=2" in alone
    said = run(folder, 2, "resume=stopped")
    assert said.count("resuming from step") == 1, said
    ends = [RunDirectory(folder / name) for name in ("whole", "stopped")]
    weights = [load_checkpoint(end.checkpoint_path("last"), end.id)["model"] for end in ends]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    logs = [[json.loads(line) for line in end.metrics_path.read_text().splitlines()] for end in ends]
    assert first_difference(logs[0], logs[1], "metrics.jsonl") is None


def test_a_signal_ends_an_evaluation_together(folder: Path) -> None:
    """At once, saved, to be made anew."""
    options = [*CASES["labels"], "data.num_eval=100000", "trainer.max_steps=1", "trainer.baselines=false", "device=cpu"]
    commands = begin(folder, 2, *options, *QUIET, "hydra.run.dir=evaluating")
    directory = RunDirectory(folder / "evaluating")
    while commands[0].poll() is None and not (directory.metrics_path.exists() and directory.metrics_path.read_text()):
        time.sleep(0.01)
    for command in commands:
        command.send_signal(signal.SIGTERM)
    said = finish(commands)
    assert 0 not in [command.poll() for command in commands] and "saved at step 1, resume by" in said, said
    assert load_checkpoint(directory.checkpoint_path("last"), directory.id)["evaluation_due"]
    assert "val/" not in directory.metrics_path.read_text()


@pytest.mark.slow
def test_a_dead_process_ends_the_job(folder: Path) -> None:
    options = [*CASES["language"], *NO_DROPOUT, *QUIET, "trainer.max_steps=100000", "trainer.eval_every=50"]
    process = start(folder, 2, *options, "hydra.run.dir=dead")
    while not (folder / "dead/checkpoints/last.pt").exists() and process.poll() is None:
        time.sleep(0.01)
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
    os.kill(int(children[-1]), signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode != 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data=adding", "data.batch_size=1"], "data.batch_size=1: must be at least 2, a row for each process"),
        (["data=adding", "-m", "seed=0,1"], "-m: a sweep starts its jobs itself"),
    ],
)
def test_errors_are_said(folder: Path, arguments: list[str], message: str) -> None:
    assert f"seqtrain: error: {message}" in run(folder, 2, *arguments)


def test_errors_are_said_and_end_the_job(folder: Path) -> None:
    out, errors = start(folder, 2, "data=adding", "model=grru").communicate(timeout=120)
    assert "error: model=grru: no such option; did you mean gru" in out + errors
