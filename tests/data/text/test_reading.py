"""Texts as their owner meant them: columns of several types, folders named after classes, and unknown words."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from seqtrain.commands.build import build_data
from seqtrain.config.data import TextFilesConfig
from seqtrain.config.root import Config
from seqtrain.data.tables.reading import read_table
from seqtrain.data.text.classification import TextClassification
from seqtrain.data.text.columns import texts_of
from seqtrain.errors import DataError

Compose = Callable[..., Config]
TEXTS = [f'caf\u00e9 "number" {i} {"good" if i % 2 else "bad"}' for i in range(40)]
LABELS = ["pos" if i % 2 else "neg" for i in range(40)]


def json_lines(path: Path, texts: list[object]) -> Path:
    rows = [{"text": text, "label": label} for text, label in zip(texts, LABELS, strict=True)]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_a_number_among_texts_changes_no_other_text(small: Compose, tmp_path: Path) -> None:
    texts: list[object] = [404, *TEXTS[1:-2], True, None]
    table = read_table(json_lines(tmp_path / "a.jsonl", texts))
    assert texts_of(table, "text", TextFilesConfig()) == ["404", *TEXTS[1:-2], "true", None]
    assert table.notes[0].endswith(
        "texts that are numbers or truth values, read as JSON writes them: 2 (first: line 1)"
    )
    data = build_data(small(f"data.path={tmp_path / 'a.jsonl'}"))
    assert isinstance(data, TextClassification) and "\\" not in data.token_names() and "u00e9" not in data.token_names()
    assert table.notes[0] in data.notes


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([*TEXTS[:-1], ["a", "b"]], "line 40: column 'text' .data.text_column. holds a list or an object"),
        ([*TEXTS[:-1], {"a": "b"}], "line 40: .* holds a list or an object"),
        ([None, *range(39)], "line 2: .* holds numbers and no text"),
    ],
)
def test_what_is_no_text_is_named(tmp_path: Path, texts: list[object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        texts_of(read_table(json_lines(tmp_path / "a.jsonl", texts)), "text", TextFilesConfig())


def test_values_that_mean_no_text(tmp_path: Path) -> None:
    table = read_table(json_lines(tmp_path / "a.jsonl", ["NA", "na", *TEXTS[2:]]))
    assert texts_of(table, "text", TextFilesConfig(missing_values=["NA", "?"]))[:3] == [None, "na", TEXTS[2]]


@pytest.mark.parametrize("splits", [("train", "dev", "test"), ("train", "test"), ("",)])
def test_a_folder_for_each_class(small: Compose, tmp_path: Path, splits: tuple[str, ...]) -> None:
    for number, split in enumerate(splits):
        for i, (text, label) in enumerate(zip(TEXTS, LABELS, strict=True)):
            folder = tmp_path / split / label
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{i:02}.txt").write_text(f"{text}\nsplit{number}")
            (folder / f".{i:02}.txt").write_text("hidden")
    data = build_data(small(f"data.path={tmp_path}", "data.min_count=1", "data.validation_size=0.1"))
    assert isinstance(data, TextClassification)
    rest = 40 if "dev" in splits else 36 if "test" in splits else 32
    assert data.sizes == {"train": rest, "validation": 40 if rest == 40 else 4, "test": 40 if "test" in splits else 4}
    texts, labels = data.labelled_split("test")
    assert {text.endswith(f"split{len(splits) - 1}") for text in texts} == {True}
    assert [data.spec.class_names[i] for i in labels] == ["pos" if "good" in text else "neg" for text in texts]


def test_texts_of_unknown_words_are_noted(small: Compose, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    words = [f"\u4eca\u5929{chr(0x4E00 + i)}\u597d" for i in range(40)]
    path = json_lines(tmp_path / "a.jsonl", list(words))
    config = small(f"data.path={path}", "data.validation_size=0.2")
    data = build_data(config)
    expected = "validation: 100% of the tokens are unknown"
    assert any(note.startswith(expected) and "data.tokenizer=char" in note for note in data.notes)
    assert not any("unknown" in note for note in build_data(small(f"data.path={path}", "data.tokenizer=char")).notes)
    data.save(tmp_path)
    with caplog.at_level(logging.WARNING):
        list(data.new_batches(config.data, tmp_path, [f"\u6628{word}" for word in words]))
    assert "new texts: 100% of the tokens are unknown" in caplog.text
