"""The same rows in csv, tsv, jsonl, json and parquet give the same splits, labels and texts."""

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from seqtrain.commands.build import build_data
from seqtrain.config.root import Config
from seqtrain.data.text.classification import TextClassification

Compose = Callable[..., Config]
WORDS = ["good", "bad", 'so "so"', "it's", "a, b", "naïve", "日本", "😀", "7", "1.0", "NA", "\\n", "'", ";"]
LABELS: dict[str, tuple[list[Any], list[str]]] = {
    "words": (["pos", "neg", "x y"], ["neg", "pos", "x y"]),
    "integers": ([0, 1, 2], ["0", "1", "2"]),
    "whole floats": ([1.0, 2.0, 10.0], ["1", "2", "10"]),
    "truth values": ([True, False], ["false", "true"]),
    "numbers as text": (["1", "2.0", "-1"], ["-1", "1", "2"]),
    "names": ([3, 1, 2], ["1", "2", "3"]),
}


def write(folder: Path, rows: list[dict[str, Any]]) -> list[Path]:
    """The rows in every format, by the writers of Python and pyarrow."""
    for name, separator in (("a.csv", ","), ("a.tsv", "\t")):
        with (folder / name).open("w", newline="") as file:
            writer = csv.DictWriter(file, ["text", "label"], delimiter=separator)
            writer.writeheader()
            writer.writerows(rows)
    (folder / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "a.json").write_text(json.dumps(rows))
    parquet.write_table(pa.Table.from_pylist(rows), folder / "a.parquet")
    return [folder / f"a.{suffix}" for suffix in ("csv", "tsv", "jsonl", "json", "parquet")]


@pytest.mark.parametrize("kind", LABELS)
def test_every_format_gives_the_same_dataset(composed: Compose, tmp_path: Path, kind: str) -> None:
    labels, expected = LABELS[kind]
    rng = random.Random(kind)
    rows: list[dict[str, Any]] = [
        {"text": " ".join(rng.choices(WORDS, k=rng.randint(1, 6))), "label": labels[i % len(labels)]} for i in range(60)
    ]
    rows[5]["text"] = rows[9]["label"] = None
    names = [f"data.class_names=[{','.join(expected)}]"] if kind == "names" else []
    found = set()
    for path in write(tmp_path, rows):
        data = build_data(composed("data=text_files", f"data.path={path}", "data.min_count=1", *names))
        assert isinstance(data, TextClassification)
        assert data.spec.class_names == expected, path.suffix
        assert any("2 rows dropped" in note for note in data.notes), path.suffix
        source = {i: row for i, row in enumerate(rows) if i not in (5, 9)}
        for split in data.sizes:
            texts, classes = data.labelled_split(split)
            for row, text, label in zip(data.source_rows(split), texts, classes, strict=True):
                original = source.pop(int(row))
                assert text == original["text"]
                assert expected[label] == str(original["label"]).lower().removesuffix(".0")
        assert not source
        found.add(data.fingerprint)
    assert len(found) == 1
