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

Compose = Callable[..., Config]
BYTES = [
    b'"',
    b"\n",
    b"\r",
    b"\t",
    b",",
    b"\0",
    b"\xff",
    b"#",
    b"-",
    b"NaN",
    b"1e999",
    b"[",
    b"null",
    b"\\ud800",
    b"2021-13-45",
    b"B-",
]
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


def mutated(content: bytes, rng: random.Random) -> bytes:
    """The content with a few bytes inserted, removed, changed or repeated, or cut short."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 4])):
        at, size = rng.randrange(len(data) + 1), rng.randint(1, 20)
        match rng.randrange(5):
            case 0:
                data[at:at] = rng.choice(BYTES)
            case 1:
                del data[at : at + size]
            case 2:
                data[at : at + 1] = bytes([rng.randrange(256)])
            case 3:
                data[at:at] = data[at // 2 : at // 2 + size]
            case 4:
                data = data[:at] or data
    return bytes(data)


@pytest.mark.parametrize("name", LINES)
def test_damage_ends_in_an_error_of_our_own(composed: Compose, tmp_path: Path, name: str) -> None:
    config = composed(*DATA[name.partition(".")[0]], f"data.path={tmp_path / name}")
    read = 0
    for seed in range(20):
        (tmp_path / name).write_bytes(mutated(LINES[name].encode(), random.Random(seed)))
        try:
            with warnings.catch_warnings(action="error"):
                read += bool(build_data(config).sizes)
        except UserError as error:
            assert "\n" not in str(error), seed
    assert read > 0
