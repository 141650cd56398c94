"""Language models of documents through the real command line, forwards and backwards."""

import csv
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import seqtrain as package

Run = Callable[..., subprocess.CompletedProcess[str]]

SMALL = [
    "data=text_documents", "data.path=reviews/train.csv", "model=lstm", "model.hidden_size=10", "device=cpu",
    "model.embedding.embed_dim=8", "data.batch_size=2", "data.bptt_len=10", "trainer.max_steps=6",
    "trainer.eval_every=3", "trainer.warmup_steps=1", "trainer.figures=false", "trainer.probe=false",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, run_in: Callable[[Path], Run], reviews: Path) -> Path:
    """Where the commands run: reviews/, and a run on its texts in each direction."""
    folder = tmp_path_factory.mktemp("documents")
    (folder / "reviews").symlink_to(reviews)
    forward = run_in(folder)(*SMALL, "hydra.run.dir=run")
    assert forward.returncode == 0, forward.stderr
    assert "scores: state carried within each document" in forward.stdout and "Kneser-Ney 5-gram" in forward.stdout
    adaptive = "task.softmax=adaptive", "task.tie_weights=false"
    backward = run_in(folder)(*SMALL, *adaptive, "data.reverse=true", "hydra.run.dir=backward")
    assert backward.returncode == 0, backward.stderr
    return folder


@pytest.fixture
def seqtrain(folder: Path, run_in: Callable[[Path], Run]) -> Run:
    return run_in(folder)


def test_a_sample_is_one_document_at_most(seqtrain: Run) -> None:
    result = seqtrain("generate", "run=run", "num_samples=8", "max_tokens=300", "top_k=20")
    assert result.returncode == 0, result.stderr
    samples = result.stdout.removesuffix("\n").split("\n---\n")
    assert len(samples) == 8 and not any("<end>" in sample or "\n" in sample for sample in samples)
    assert min(len(sample.split()) for sample in samples) < 300
    prompted = seqtrain("generate", "run=run", "prompt=The plot", "max_tokens=3", "greedy=true", "stream=true")
    assert prompted.stdout.startswith("The plot ") and len(prompted.stdout.split()) <= 5


def test_a_backward_model_predicts_and_does_not_generate(seqtrain: Run, folder: Path) -> None:
    result = seqtrain("generate", "run=backward", "prompt=the plot")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert "this model reads texts backwards (data.reverse=true); train one with data.reverse=false" in line
    for run, words in (("run", ["the", "plot", "was"]), ("backward", ["was", "plot", "the"])):
        result = seqtrain("predict", f"run={run}", "input=-", f"output={run}.csv", stdin="the plot was\nthe film\n")
        assert result.returncode == 0, result.stderr
        rows = list(csv.DictReader((folder / f"{run}.csv").read_text().splitlines()))
        tokens = [row["token"] for row in rows]
        assert tokens[:4] == [*words, "<end>"] and tokens[-1] == "<end>" and len(tokens) == 7
        (text,) = package.load(folder / run).predict(["the plot was"])
        assert text.tokens == words
        loaded = [float(row["log_probability"]) for row in rows[1:3]]
        assert text.log_probabilities == pytest.approx(loaded, abs=1e-5)
        scores = seqtrain("eval", f"run={run}", "data.path=reviews/test.csv")
        assert scores.returncode == 0, scores.stderr
        assert json.loads(scores.stdout)["split"] == "test"


def test_a_stopped_run_resumes_exactly(seqtrain: Run) -> None:
    result = seqtrain("check-resume", *SMALL)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1].startswith("equal: ")
