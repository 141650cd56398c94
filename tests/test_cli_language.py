"""Language models through the real command line."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
Fails = Callable[..., None]

SMALL = [
    "data=text_corpus", "model=lstm", "model.hidden_size=10", "model.embedding.embed_dim=8", "device=cpu",
    "data.batch_size=2", "data.bptt_len=10", "trainer.max_steps=6", "trainer.eval_every=3", "trainer.warmup_steps=1",
    "trainer.figures=false", "trainer.probe=false",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, run_in: Callable[[Path], Run]) -> Path:
    """Where the commands run: text.txt, and a run on its characters in ``run``."""
    folder = tmp_path_factory.mktemp("language")
    (folder / "text.txt").write_text('She said: "well, (maybe) = not", and left.\n' * 40)
    result = run_in(folder)(*SMALL, "data.path=text.txt", "data.tokenizer=char", "hydra.run.dir=run")
    assert result.returncode == 0, result.stderr
    assert "scores: state carried over the whole text" in result.stdout and "Kneser-Ney 7-gram" in result.stdout
    return folder


@pytest.fixture
def seqtrain(folder: Path, run_in: Callable[[Path], Run]) -> Run:
    return run_in(folder)


def test_generate_takes_its_prompt_literally(seqtrain: Run, folder: Path) -> None:
    prompt = '"well, (maybe) = not", '
    result = seqtrain("generate", "run=run", f"prompt={prompt}", "max_tokens=7", "greedy=true")
    assert result.returncode == 0, result.stderr
    text = result.stdout
    assert text.startswith(prompt) and len(text) == len(prompt) + 7 + 1
    (folder / "prompt.txt").write_text(prompt)
    for extra, stdin in (("prompt_file=prompt.txt", ""), ("prompt_file=-", prompt)):
        again = seqtrain("generate", "run=run", extra, "max_tokens=7", "greedy=true", "stream=true", stdin=stdin)
        assert again.stdout == text
    samples = seqtrain(
        "generate", "run=run", "num_samples=2", "seed=3", "max_tokens=9", "top_k=5", "stop=\n", "stop=zz"
    )
    assert samples.returncode == 0 and "\n---\n" in samples.stdout and "tokens/s" in samples.stderr


def test_eval_and_predict_on_a_new_text(seqtrain: Run, folder: Path) -> None:
    (folder / "new.txt").write_text("left, she said")
    result = seqtrain("eval", "run=run", "data.path=new.txt")
    assert result.returncode == 0, result.stderr
    scores = json.loads(result.stdout)
    assert scores["size"] == 14 and scores["scoring"] == "state carried over the whole text"
    result = seqtrain("predict", "run=run", "input=new.txt", "output=tokens.jsonl")
    assert result.returncode == 0, result.stderr
    rows = [json.loads(line) for line in (folder / "tokens.jsonl").read_text().splitlines()]
    assert "".join(row["token"] for row in rows) == "left, she said" and rows[0]["log_probability"] is None
    mean = -sum(row["log_probability"] for row in rows[1:]) / 13
    assert mean == pytest.approx(scores["loss"], rel=1e-5)
    piped = seqtrain("predict", "run=run", "input=-", stdin="left, she said")
    assert [json.loads(line) for line in piped.stdout.splitlines()] == rows


def test_resume(seqtrain: Run) -> None:
    result = seqtrain("resume=run", "trainer.baselines=false")
    assert result.returncode == 0 and "resuming from step 6" in result.stderr


def test_wrong_texts(seqtrain: Run, fails: Fails, folder: Path) -> None:
    """Each is one line, and leaves no run directory behind that looks finished."""
    (folder / "empty.txt").write_text("")
    fails(seqtrain(*SMALL, "data.path=empty.txt"), "empty.txt", "no text")
    (folder / "short.txt").write_text("a few words. " * 5)
    fails(seqtrain(*SMALL, "data.path=short.txt", "data.tokenizer=char", "data.batch_size=40"), "data.batch_size=40",
          "data.bptt_len=10", "lower one of them")  # fmt: skip
    (folder / "latin.txt").write_bytes(b"x" * 5000 + "é".encode("latin-1") + b"y" * 100)
    fails(seqtrain(*SMALL, "data.path=latin.txt"), "latin.txt", "5000", "UTF-8")
    fails(seqtrain(*SMALL, "data.path=missing.txt"), "missing.txt")
    fails(seqtrain(*SMALL), "data.path")
    fails(seqtrain("data=wikitext2", "device=cpu"), "data=wikitext2", "data.path=", "SEQTRAIN_DATA_DIR")


def test_wrong_wishes(seqtrain: Run, fails: Fails) -> None:
    fails(seqtrain("generate", "run=run", "prompt=déjà"), "'é', 'j', 'à'", "not in the vocabulary")
    fails(seqtrain("generate", "run=run", "temperature=0"), "temperature=0.0: must be above 0", "greedy=true")
    fails(seqtrain("generate", "run=run", "top_p=0"), "top_p=0.0: must be in (0, 1]")
    fails(seqtrain("generate", "run=run", "max_tokens=many"), "max_tokens=many: must be a whole number")
    fails(seqtrain("generate", "run=run", "stream=perhaps"), "stream=perhaps: must be true or false")
    fails(seqtrain("generate", "run=run", "prompt_file=none.txt"), "none.txt")
    fails(seqtrain("generate", "run=run", "prompt=a", "prompt_file=-"), "give it or prompt, not both")
    fails(seqtrain("generate", "run=run", "prompt_file=-", stdin="ab\udcff"), "byte 2 is not UTF-8")
    fails(seqtrain("generate", "run=run", "model.hidden_size=5"), "model.hidden_size: is fixed by the trained run")
    fails(seqtrain("generate", "prompt=a"), "run: must be given")
    wrong = [*SMALL, "data.path=text.txt", "data.tokenizer=char", "task=classification"]
    fails(seqtrain(*wrong), "task=classification", "next token")
