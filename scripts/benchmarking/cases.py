"""The cases of the benchmark, by name; each is built when it is needed."""

import importlib.util
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from benchmarking.rows import save_rows
from benchmarking.turns import Case, Contestant
from seqtrain.cli.head_start import WAITING

NUM_REVIEWS, MAX_LENGTH = 4096, 400
LENGTHS = (400, 100, 1600, 3200)
CORPUS_SIZES = (1024, 4096, 22_500)


def text_rows(folder: Path, data: str, count: int | None = None, max_length: int = MAX_LENGTH) -> str:
    """Write rows of a dataset's train split, drawn at random and truncated, to a file; returns its path."""
    from benchmarking.tool import composed
    from seqtrain.commands.build import build_data
    from seqtrain.data.text.classification import TextClassification

    found = build_data(composed([f"data={data}"]))
    assert isinstance(found, TextClassification)
    table, labels = found.tokens["train"], found.labels["train"]
    chosen = np.sort(np.random.default_rng(0).permutation(len(labels))[:count])
    rows = [table.tokens[start : start + max_length] for start in table.offsets[chosen]]
    ends = table.offsets[chosen + 1] - table.offsets[chosen]
    rows = [row[:end] for row, end in zip(rows, ends, strict=True)]
    path = folder / f"{data}-{len(rows)}.npz"
    assert found.spec.vocab_size is not None
    save_rows(path, rows, labels[chosen], found.spec.vocab_size, len(found.spec.class_names))
    return str(path)


def random_rows(folder: Path, count: int, length: int) -> str:
    """Write rows of random tokens and classes, all of one length, to a file; returns its path."""
    from benchmarking.tool import composed
    from seqtrain.commands.build import build_data

    spec = build_data(composed(["data=docstrings"])).spec
    assert spec.vocab_size is not None
    rng, path = np.random.default_rng(0), folder / f"random-{length}.npz"
    tokens = rng.integers(1, spec.vocab_size, (count, length)).astype(np.uint16)
    save_rows(path, list(tokens), rng.integers(0, len(spec.class_names), count), spec.vocab_size, len(spec.class_names))
    return str(path)


def classification(folder: Path, device: str, data: str, cell: str) -> Case:
    """A bidirectional classifier of size 128 with attention pooling, in batches of 64, against plain PyTorch loops."""
    rows = text_rows(folder, data, NUM_REVIEWS)
    overrides = [f"data={data}", f"model={cell}_attn", f"device={device}", "data.batch_size=64"]
    options = {"rows": rows, "overrides": overrides}
    peer = {"rows": rows, "cell": cell, "device": device}
    contestants = [Contestant("seqtrain", "tool:trainer", options)]
    if cell == "lstm" or device != "cpu":
        bf16 = options | {"overrides": [*overrides, "trainer.precision=bf16"]}
        contestants.append(Contestant("seqtrain, bf16", "tool:trainer", bf16))
        half = peer | {"bucketed": True, "precision": "bf16"}
        contestants.append(Contestant("PyTorch, padded, bucketed, bf16 autocast", "torch_text:loop", half))
    contestants += [
        Contestant("bare loop over seqtrain's model and batches", "tool:bare", options),
        Contestant("PyTorch, padded, bucketed", "torch_text:loop", peer | {"bucketed": True}),
        Contestant("PyTorch, padded, shuffled", "torch_text:loop", peer),
        Contestant("PyTorch, packed, shuffled", "torch_text:loop", peer | {"packed": True}),
    ]
    if device == "cpu" and importlib.util.find_spec("keras") and importlib.util.find_spec("tensorflow"):
        contestants.append(
            Contestant("Keras 3 on TensorFlow, bucketed", "keras_text:loop", {"rows": rows, "cell": cell})
        )
    return Case(f"{data}: Bi{cell.upper()} 128 with attention, {NUM_REVIEWS} texts of at most {MAX_LENGTH} tokens, "
                "batch 64", contestants)  # fmt: skip


def language(folder: Path, device: str, batch_size: int) -> Case:
    """Two LSTM layers of size 650 on WikiText-2, against the loop of PyTorch's example."""
    overrides = [
        *("data=wikitext2", "model=lstm", f"device={device}", f"data.batch_size={batch_size}", "data.bptt_len=35"),
        *("model.num_layers=2", "model.hidden_size=650", "model.embedding.embed_dim=650"),
        *("model.dropout=0.5", "model.embedding.dropout=0.5", "trainer.max_grad_norm=0.25"),
    ]
    sgd = [*overrides, "trainer.optimizer=sgd", "trainer.momentum=0"]
    peer = {"batch_size": batch_size, "device": device}
    contestants = [
        Contestant("seqtrain, SGD", "tool:trainer", {"overrides": sgd}),
        Contestant("seqtrain, SGD, bf16", "tool:trainer", {"overrides": [*sgd, "trainer.precision=bf16"]}),
        Contestant("seqtrain, SGD, sampled softmax", "tool:trainer", {"overrides": [*sgd, "task.softmax=sampled"]}),
        Contestant("seqtrain, AdamW", "tool:trainer", {"overrides": [*overrides, "trainer.optimizer=adamw"]}),
        Contestant("PyTorch's example, SGD", "torch_language:loop", peer),
        Contestant("PyTorch's example, SGD, bf16 autocast", "torch_language:loop", peer | {"precision": "bf16"}),
    ]
    return Case(f"wikitext2: LSTM 2 x 650, tied vectors, bptt 35, batch {batch_size}", contestants, steps=12)


def forecasting(folder: Path, device: str) -> Case:
    """A unidirectional GRU of size 128 on ETTh1, against a plain PyTorch loop."""
    overrides = [
        *("data=etth1", "model=gru", f"device={device}", "model.bidirectional=false"),
        *("data.lookback=336", "data.batch_size=32"),
    ]
    contestants = [
        Contestant("seqtrain", "tool:trainer", {"overrides": overrides}),
        Contestant("PyTorch, DataLoader", "torch_forecast:loop", {"overrides": overrides, "device": device}),
    ]
    return Case("etth1: GRU 128, lookback 336, horizon 96, batch 32", contestants)


def translation(folder: Path, device: str) -> Case:
    """The translator of the recipe on Multi30k, against plain PyTorch loops over the same batches."""
    overrides = ["+experiment=multi30k_gru_attn", f"device={device}", "trainer.probe=false"]
    peer = {"overrides": overrides, "device": device}
    variants = {
        "seqtrain": [],
        "seqtrain, without attention": ["model.attention.score=none"],
        "seqtrain, scheduled sampling": ["task.scheduled_sampling=1"],
    }
    contestants = [
        Contestant(name, "tool:trainer", {"overrides": [*overrides, *more]}) for name, more in variants.items()
    ]
    contestants += [
        Contestant("PyTorch, all targets at once", "torch_translation:loop", peer),
        Contestant("PyTorch, target by target", "torch_translation:loop", peer | {"stepwise": True}),
    ]
    return Case("multi30k: BiGRU 256, GRU 256 with additive attention, batch 64", contestants, steps=12)


def precisions(folder: Path, device: str) -> Case:
    """Models of equal size, each in fp32 and bf16."""
    rows = text_rows(folder, "imdb", NUM_REVIEWS)
    contestants = []
    for model in ("gru_attn", "rnn_attn", "lstm_attn", "self_attn"):
        for precision in ("fp32", "bf16"):
            overrides = ["data=imdb", f"model={model}", f"device={device}", f"trainer.precision={precision}"]
            options = {"rows": rows, "overrides": overrides}
            contestants.append(Contestant(f"{model}, {precision}", "tool:trainer", options))
    return Case("precision: imdb, models of 128, batch 64", contestants, steps=24)


def lengths(folder: Path, device: str) -> Case:
    """One classifier on random rows of several lengths: the time per token should not depend on the length."""
    contestants = []
    for length in LENGTHS:
        rows = random_rows(folder, 128, length)
        overrides = ["data=docstrings", "model=gru_attn", f"device={device}", "data.batch_size=32"]
        contestants.append(Contestant(f"T = {length}", "tool:trainer", {"overrides": overrides, "rows": rows}))
    return Case("cost of a token by length: BiGRU 128 with attention, batch 32, rows of one length T", contestants)


def corpora(folder: Path, device: str) -> Case:
    """One classifier on increasing numbers of reviews: the time per token should not depend on the number."""
    contestants = []
    for size in CORPUS_SIZES:
        overrides = ["data=imdb", "model=gru_attn", f"device={device}"]
        options = {"rows": text_rows(folder, "imdb", size), "overrides": overrides}
        contestants.append(Contestant(f"{size} reviews", "tool:trainer", options))
    return Case("cost of a token by size of the corpus: imdb, BiGRU 128 with attention, batch 64",
                contestants, steps=64)  # fmt: skip


def processes(folder: Path, device: str, data: str) -> Case:
    """One process against two on the same batches."""
    options = {
        "rows": text_rows(folder, data, NUM_REVIEWS),
        "overrides": [f"data={data}", "model=gru_attn", "device=cpu", "data.batch_size=64"],
    }
    contestants = [
        Contestant("1 process of 1 thread", "tool:trainer", options, threads=1),
        Contestant("2 processes of 1 thread", "tool:trainer", options, processes=2, threads=1),
        Contestant("1 process of 2 threads", "tool:trainer", options, threads=2),
    ]
    return Case(f"processes: {data}, BiGRU 128 with attention, batch 64", contestants)


def spins(folder: Path, device: str, data: str) -> Case:
    """One training with several spin counts: how long idle OpenMP threads spin before they sleep."""
    rows = text_rows(folder, data, NUM_REVIEWS)
    options = {"rows": rows, "overrides": [f"data={data}", "model=gru_attn", "device=cpu", "data.batch_size=32"]}
    counts = {"libgomp's own": "300000", "tool's": WAITING["GOMP_SPINCOUNT"], "3000": "3000", "30000": "30000"}
    contestants = [
        Contestant(f"spin {name}", "tool:trainer", options, environment={"GOMP_SPINCOUNT": count})
        for name, count in counts.items()
    ]
    return Case(f"spinning of idle threads: {data}, BiGRU 128 with attention, batch 32", contestants, steps=100)


MakeCase = Callable[[Path, str], Case]
CASES: dict[str, MakeCase] = {
    "docstrings-gru": partial(classification, data="docstrings", cell="gru"),
    "imdb-gru": partial(classification, data="imdb", cell="gru"),
    "imdb-lstm": partial(classification, data="imdb", cell="lstm"),
    "wikitext2-20": partial(language, batch_size=20),
    "wikitext2-64": partial(language, batch_size=64),
    "etth1": forecasting,
    "multi30k": translation,
    "precision": precisions,
    "length": lengths,
    "corpus": corpora,
    "spin": partial(spins, data="docstrings"),
    "processes-docstrings": partial(processes, data="docstrings"),
    "processes-imdb": partial(processes, data="imdb"),
}
NEEDS: dict[str, str] = {
    **dict.fromkeys(("imdb-gru", "imdb-lstm", "precision", "corpus", "processes-imdb"), "imdb"),
    **dict.fromkeys(("wikitext2-20", "wikitext2-64"), "wikitext2"),
    "etth1": "ett",
    "multi30k": "multi30k",
}
"""Folder of $SEQTRAIN_DATA_DIR that each case reads."""
ON_GPU = ("imdb-gru", "imdb-lstm", "wikitext2-20", "wikitext2-64", "etth1", "multi30k", "precision", "length")
