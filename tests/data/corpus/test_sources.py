import json
from pathlib import Path

import pytest

from seqtrain.config.corpus import CorpusConfig, PublicCorpusConfig, TextCorpusConfig
from seqtrain.data.corpus import reading as corpus_reading
from seqtrain.data.corpus.sources import identity, open_corpus
from seqtrain.data.corpus.stream import Chunk
from seqtrain.errors import ConfigError, DataError


def text_config(path: Path, **options: object) -> TextCorpusConfig:
    return TextCorpusConfig(name="text", path=str(path), **options)  # type: ignore[arg-type]


def whole(config: CorpusConfig) -> list[Chunk]:
    chunks = list(open_corpus(config, words=False, single_split=True).splits["test"]())
    assert all(chunk.text for chunk in chunks)
    return chunks


def documents(chunks: list[Chunk]) -> list[str]:
    joined: list[str] = []
    for chunk in chunks:
        if chunk.starts_document:
            joined.append("")
        joined[-1] += chunk.text
    return joined


def splits(config: CorpusConfig, words: bool = False) -> dict[str, str]:
    opened = open_corpus(config, words).splits.items()
    return {split: "".join(chunk.text for chunk in stream()) for split, stream in opened}


def test_identity_is_of_contents(tmp_path: Path) -> None:
    first, second = tmp_path / "a.txt", tmp_path / "b.text"
    first.write_text("same\n")
    second.write_text("same\n")
    assert identity(text_config(first)) == identity(text_config(second))
    second.rename(tmp_path / "b.jsonl")
    assert identity(text_config(first)) != identity(text_config(tmp_path / "b.jsonl"))
    first.write_text("other\n")
    assert identity(text_config(first)) != identity(text_config(tmp_path / "b.jsonl"))


def test_identity_of_the_hub_asks_no_one() -> None:
    config = PublicCorpusConfig(name="p", folder="some", hub="a/b", hub_subset="sub", revision="r")
    assert identity(config) == ["hub", "a/b", "sub", "r"]


@pytest.mark.parametrize("block", [7, 1 << 20])
@pytest.mark.parametrize(
    ("validation", "test", "sizes"),
    [(0.05, 0.05, [900, 50, 50]), (0.1, 0.0, [900, 100]), (0.333, 0.3, [367, 333, 300])],
)
def test_a_text_without_splits_is_cut_at_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, validation: float, test: float, sizes: list[int]
) -> None:
    monkeypatch.setattr(corpus_reading, "BLOCK", block)
    text = "".join(f"línea número {i}\n" for i in range(100))[:1000]
    for name, part in (("b.txt", text[400:]), ("a.txt", text[:400])):
        (tmp_path / name).write_text(part)
    config = text_config(tmp_path, validation_size=validation, test_size=test)
    parts = splits(config)
    assert [len(part) for part in parts.values()] == sizes and "".join(parts.values()) == text
    assert list(parts) == ["train", "validation", "test"][: len(sizes)]
    for stream in open_corpus(config, words=False).splits.values():
        assert [chunk.starts_document for chunk in stream()][0]
    for split, part in splits(config, words=True).items():
        assert part.endswith("\n") or split == list(parts)[-1]
        assert 0 <= abs(len(part) - len(parts[split])) < 20


def test_train_and_test_alone(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("a" * 100)
    (tmp_path / "test.txt").write_text("b" * 7)
    corpus = open_corpus(text_config(tmp_path, validation_size=0.2, test_size=0.2), words=False)
    assert splits(text_config(tmp_path, validation_size=0.2)) == {
        "train": "a" * 80,
        "validation": "a" * 20,
        "test": "b" * 7,
    }
    assert list(corpus.apart) == ["validation"]
    assert documents(whole(text_config(tmp_path))) == ["a" * 100, "b" * 7]


def test_lines_that_begin_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("before\n= A =\ntext = x =\n\n= B =\n= C =\nlast\n= D =")
    (tmp_path / "b.txt").write_text("none\n\nhere\n")
    expected = ["before\n", "= A =\ntext = x =\n\n", "= B =\n", "= C =\nlast\n", "= D =", "none\n\nhere\n"]
    config = text_config(tmp_path, document_start="= . =")
    assert documents(whole(config)) == expected
    monkeypatch.setattr(corpus_reading, "BLOCK", 20)  # above the longest line
    assert documents(whole(config)) == expected
    assert documents(whole(text_config(tmp_path / "b.txt", document_start=""))) == ["none\n", "\nhere\n"]
    rows = [" = one = \n", "two\n", " = three = \n", "four"]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"text": row}) for row in rows))
    begun = text_config(tmp_path / "a.jsonl", rows_are_lines=True, document_start=" = .* = ")
    assert documents(whole(begun)) == [" = one = \ntwo\n", " = three = \nfour\n"]
    with pytest.raises(ConfigError, match=r"data\.document_start='\(': is not a regular expression"):
        whole(text_config(tmp_path, document_start="("))


def test_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # read when `datasets` is imported
    import datasets

    rows = {"train": ["a\n", "", "b\n"], "validation": ["c\n"], "other": ["d\n"]}
    hub = datasets.DatasetDict({split: datasets.Dataset.from_dict({"text": part}) for split, part in rows.items()})
    asked = []

    def load_dataset(*arguments: object, **options: object) -> datasets.DatasetDict:
        asked.append((arguments, options))
        return hub

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    config = PublicCorpusConfig(name="p", folder="none", hub="x/y", hub_subset="s", revision="r", rows_are_lines=True)
    assert splits(config) == {"train": "a\n\nb\n", "validation": "c\n"}
    assert asked == [(("x/y", "s"), {"revision": "r"})]
    del hub["validation"]
    assert list(splits(config)) == ["train", "validation", "test"]
    del hub["train"]
    with pytest.raises(DataError, match="x/y: has no split 'train'; its splits: other"):
        open_corpus(config, words=False)


def test_an_unreachable_hub_names_the_remedies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    config = PublicCorpusConfig(name="p", folder="none", hub="x/y")
    with pytest.raises(DataError, match=r"data=p: no local copy.*data\.path.*SEQTRAIN_DATA_DIR.*none/.*connect"):
        open_corpus(config, words=False)


def test_a_source_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_text("x")
    stream = open_corpus(text_config(path), words=False, single_split=True).splits["test"]
    path.unlink()
    with pytest.raises(DataError, match=r"a\.txt: no such file"):
        list(stream())
