"""Small runs of all tasks and a sweep, to look at in a browser."""

import csv
import os
import random
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORDS = ["the", "a", "film", "plot", "was", "and", "with", "of", "music", "story", "it", "good", "fine", "bad", "dull"]
SMALL = ("device=cpu", "trainer.max_steps=12", "trainer.eval_every=4", "trainer.log_every=2", "trainer.warmup_steps=2")
SIZES = ("model.hidden_size=8", "model.embedding.embed_dim=8")
TEXTS = ("data=text_files", "data.min_count=1", "data.batch_size=16", *SIZES)


def seqtrain(*arguments: str) -> None:
    """Run seqtrain from this working tree."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-m", "seqtrain", *arguments], cwd=ROOT, env=environment, check=True)


def write_texts(path: Path, labels: tuple[str, ...]) -> None:
    """A csv file of 160 random texts, whose labels follow each other."""
    rng = random.Random(0)
    with path.open("w", newline="") as file:
        rows = ((" ".join(rng.choices(WORDS, k=rng.randint(3, 20))), labels[i % len(labels)]) for i in range(160))
        csv.writer(file).writerows([("text", "label"), *rows])


def make_runs(folder: Path) -> None:
    """Train a sweep in ``folder/sweep``, and a run of every other task beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    write_texts(folder / "one.csv", ("pos", "neg"))
    write_texts(folder / "several.csv", ("pos|long", "neg", "neg|long", ""))
    write_texts(folder / "pairs.csv", ("a good film", "the plot was bad and dull", "it was fine"))
    (folder / "corpus.txt").write_text(" ".join(random.Random(0).choices(WORDS, k=4000)))
    sweep = ("-m", "model=gru,gru_attn", "seed=0,1", f"data.path={folder}/one.csv", f"hydra.sweep.dir={folder}/sweep")
    others = {
        "multilabel": ("task=multilabel", f"data.path={folder}/several.csv", "data.label_separator=pipe", *TEXTS),
        "labelling": ("data=reverse", "data.length=6", *SIZES),
        "regression": ("data=adding", "data.length=10", "model=gru", *SIZES),
        "language": (
            "data=text_corpus",
            f"data.path={folder}/corpus.txt",
            "data.tokenizer=char",
            "model=lstm",
            *SIZES,
            "trainer.histograms=true",
        ),
        "translation": (
            "data=pair_files",
            f"data.path={folder}/pairs.csv",
            "data.source=text",
            "data.target=label",
            "data.test_size=0.1",
            "data.min_count=1",
            "model=gru_translator",
            *SIZES,
        ),
        "forecasting": ("data=sine", "data.length=600", "model=gru", "model.hidden_size=8"),
    }
    seqtrain(*sweep, *TEXTS, *SMALL)
    for name, arguments in others.items():
        seqtrain(*arguments, *SMALL, f"hydra.run.dir={folder}/{name}")
