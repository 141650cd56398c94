"""Damaged files of every kind of data end in a dataset or in an error of our own, never in a traceback."""

import json
import random
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from seqtrain.commands.build import build_data
from seqtrain.config.root import Config
from seqtrain.errors import UserError
from tests.mutations import mutated

Compose = Callable[..., Config]
TEXTS = [{"text": f"text {i} {'good' if i % 2 else 'bad'}", "label": "pos" if i % 2 else "neg"} for i in range(40)]
TAGS = [{"tokens": ["Ann", "met", f"Bo{i}"], "tags": ["B-PER", "O", "B-PER"]} for i in range(20)]
SERIES = pd.DataFrame(
    {"date": pd.date_range("2021-01-01", periods=60).astype(str), "y": [i % 7 + 0.5 for i in range(60)]}
)
LINES = {
    "texts.csv": "text,label\n" + "".join(f"{row['text']},{row['label']}\n" for row in TEXTS),
    "texts.tsv": "text\tlabel\n" + "".join(f"{row['text']}\t{row['label']}\n" for row in TEXTS),
    "texts.jsonl": "\n".join(map(json.dumps, TEXTS)),
    "tags.conll": "\n\n".join("\n".join(map("\t".join, zip(r["tokens"], r["tags"], strict=True))) for r in TAGS),
    "tags.jsonl": "\n".join(map(json.dumps, TAGS)),
    "series.csv": SERIES.to_csv(index=False),
    "corpus.jsonl": "\n".join(json.dumps({"text": f"word {i} and more words\n"}) for i in range(200)),
}
DATA = {
    "texts": ["data=text_files", "data.min_count=1"],
    "tags": ["data=tagging_files"],
    "series": ["data=series_files", "data.lookback=5", "data.horizon=2"],
    "corpus": ["data=text_corpus", "data.bptt_len=4", "data.batch_size=2"],
}


@pytest.mark.parametrize("name", LINES)
def test_damage_ends_in_an_error_of_our_own(composed: Compose, tmp_path: Path, name: str) -> None:
    config = composed(*DATA[name.partition(".")[0]], f"data.path={tmp_path / name}")
    read = 0
    for seed in range(20):
        rng = random.Random(seed)
        (tmp_path / name).write_bytes(mutated(LINES[name].encode(), rng, rng.choice([1, 1, 4])))
        try:
            with warnings.catch_warnings(action="error"):
                read += bool(build_data(config).sizes)
        except UserError as error:
            assert "\n" not in str(error), seed
    assert read > 0
