import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer
from torch import nn

from seqtrain.commands.build import build_data
from seqtrain.config.root import Config
from seqtrain.data.tags.dataset import TaggingFiles, set_apart
from seqtrain.errors import ConfigError, DataError
from seqtrain.models.pretrained import load_vectors

Compose = Callable[..., Config]
Sentence = list[tuple[str, str]]

EXAMPLE = Path(__file__).parents[3] / "examples" / "tags.conll"
NAMES = ["Anna", "Tom", "Ruth"]


def sentences(count: int, start: int = 0) -> list[Sentence]:
    """Sentences of 3 to 6 tokens, all different."""
    return [
        [
            (NAMES[i % 3], "B-PER"),
            *[("Berg", "I-PER")] * (i % 2),
            *[("often", "O")] * (i % 3),
            ("met", "O"),
            (f"friend{i}", "O"),
        ]
        for i in range(start, start + count)
    ]


def conll(rows: list[Sentence], separator: str = " ") -> str:
    return "\n".join("".join(f"{token}{separator}{tag}\n" for token, tag in row) for row in rows)


def jsonl(rows: list[Sentence]) -> str:
    return "".join(json.dumps({"tokens": [t for t, _ in row], "tags": [t for _, t in row]}) + "\n" for row in rows)


def dataset(
    composed: Compose, path: Path, *overrides: str, trained: Path | None = None, single_split: bool = False
) -> TaggingFiles:
    data = build_data(composed("data=tagging_files", f"data.path={path}", *overrides), trained, single_split)
    assert isinstance(data, TaggingFiles)
    return data


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def read_back(data: TaggingFiles, split: str) -> dict[int, Sentence]:
    """What the batches of a split hold, by row."""
    words = {number: word for word, number in data.words.numbers.items()}
    rows: dict[int, Sentence] = {}
    for batch in data.eval_batches(split):
        assert batch.targets.shape == batch.inputs.shape and batch.targets.dtype == batch.inputs.dtype
        assert batch.num_tokens == int(batch.lengths.sum())
        for i, row in enumerate(batch.rows.tolist()):
            length = int(batch.lengths[i])
            assert (batch.inputs[i, length:] == 0).all() and (batch.targets[i, length:] == 0).all()
            tokens = [words[number] for number in batch.inputs[i, :length].tolist()]
            tags = [data.spec.class_names[number] for number in batch.targets[i, :length].tolist()]
            assert row not in rows
            rows[row] = list(zip(tokens, tags, strict=True))
    return rows


def test_batches_hold_what_the_files_hold(composed: Compose, tmp_path: Path) -> None:
    write(tmp_path / "train.conll", conll(sentences(30)))
    write(tmp_path / "validation.jsonl", jsonl(sentences(5)))
    write(tmp_path / "test.tsv", conll(sentences(7, start=2), "\t"))
    data = dataset(composed, tmp_path, "data.lowercase=false", "data.max_length=9", "data.eval_batch_tokens=20")
    assert data.sizes == {"train": 30, "validation": 5, "test": 7}
    assert read_back(data, "train") == dict(enumerate(sentences(30)))
    assert read_back(data, "validation") == dict(enumerate(sentences(5)))
    assert read_back(data, "test") == dict(enumerate(sentences(7, start=2)))
    assert data.source_rows("test").tolist() == list(range(7))
    for epoch in range(2):
        batches = list(data.train_batches(epoch))
        assert sorted(np.concatenate([batch.rows for batch in batches])) == list(range(30))
        assert len(batches) == data.num_batches(epoch)
    batch, names = data.examples("test", 3)
    assert batch.rows.tolist() == [0, 3, 6]
    assert names == [[token for token, _ in sentences(7, start=2)[i]] for i in (0, 3, 6)]


def test_every_format_gives_the_same(composed: Compose, tmp_path: Path) -> None:
    rows = sentences(20)
    columns = "".join("".join(f"{i}\t{t}\tX\t{tag}\tend\n" for i, (t, tag) in enumerate(row)) + "\n" for row in rows)
    renamed = jsonl(rows).replace('"tokens"', '"words"').replace('"tags"', '"ner"')
    data = {
        "conll": dataset(composed, write(tmp_path / "a.conll", conll(rows))),
        "txt": dataset(composed, write(tmp_path / "a.txt", conll(rows, " \t "))),
        "tsv": dataset(composed, write(tmp_path / "a.tsv", conll(rows, "\t"))),
        "jsonl": dataset(composed, write(tmp_path / "a.jsonl", jsonl(rows))),
        "windows": dataset(composed, write(tmp_path / "b.conll", "\ufeff" + conll(rows).replace("\n", "\r\n"))),
        "columns": dataset(composed, write(tmp_path / "c.tsv", columns), "data.token_column=1", "data.tag_column=3"),
        "from the end": dataset(composed, tmp_path / "c.tsv", "data.token_column=-4", "data.tag_column=-2"),
        "renamed": dataset(
            composed, write(tmp_path / "b.jsonl", renamed), "data.tokens_key=words", "data.tags_key=ner"
        ),
    }
    assert len({d.fingerprint for d in data.values()}) == 1
    first = data["conll"]
    for name, other in data.items():
        assert read_back(other, "train") == read_back(first, "train"), name
        assert other.spec == first.spec, name


def test_tables_of_lists(composed: Compose, tmp_path: Path) -> None:
    """Json, compressed jsonl and parquet with strings give what jsonl gives."""
    import pyarrow as pa
    from pyarrow import parquet

    rows = sentences(20)
    first = dataset(composed, write(tmp_path / "a.jsonl", jsonl(rows)))
    lines = jsonl(rows).splitlines()
    (tmp_path / "b.JSONL.gz").write_bytes(gzip.compress("\n\n".join(lines).encode()))
    write(tmp_path / "c.json", f"[{','.join(lines)}]")
    parquet.write_table(pa.Table.from_pylist([json.loads(line) for line in lines]), tmp_path / "d.parquet")
    for name in ("b.JSONL.gz", "c.json", "d.parquet"):
        other = dataset(composed, tmp_path / name)
        assert other.fingerprint == first.fingerprint and other.spec == first.spec, name


def hub_parquet(
    path: Path, rows: list[Sentence], names: list[str], feature: str = "feature", known: int | None = None
) -> None:
    """Write sentences as the hub does: tags as numbers, the names of all or ``known`` of them in the metadata."""
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.table(
        {
            "tokens": [[token for token, _ in row] for row in rows],
            "ner_tags": [[names.index(tag) for _, tag in row] for row in rows],
        }
    )
    label = {"names": names[:known], "_type": "ClassLabel"}
    tags: Any = {"feature": label, "_type": "Sequence"} if feature == "feature" else [label]
    info = {"info": {"features": {"tokens": {"feature": {"dtype": "string"}}, "ner_tags": tags}}}
    parquet.write_table(table.replace_schema_metadata({"huggingface": json.dumps(info)} if known != 0 else {}), path)


def test_numbers_of_tags_have_the_names_of_their_own_file(composed: Compose, tmp_path: Path) -> None:
    hub_parquet(tmp_path / "train-00000-of-00002.parquet", sentences(6), ["O", "B-PER", "I-PER"])
    hub_parquet(tmp_path / "train-00001-of-00002.parquet", sentences(6, 6), ["I-PER", "O", "B-PER"], "list")
    hub_parquet(tmp_path / "validation-00000-of-00001.parquet", sentences(4), ["B-PER", "I-PER", "O"])
    data = dataset(composed, tmp_path, "data.tags_key=ner_tags", "data.lowercase=false")
    assert data.spec.class_names == ["B-PER", "I-PER", "O"]
    assert read_back(data, "train") == dict(enumerate(sentences(12)))
    assert read_back(data, "validation") == dict(enumerate(sentences(4)))
    path = tmp_path / "x.parquet"
    hub_parquet(path, sentences(6), ["O", "B-PER", "I-PER"], known=0)
    with pytest.raises(
        DataError, match="x.parquet: row 1: 'ner_tags' .data.tags_key. holds numbers, and the file does"
    ):
        dataset(composed, path, "data.tags_key=ner_tags")
    hub_parquet(path, [*sentences(1), [("a", "X")]], ["O", "B-PER", "X"], known=2)
    with pytest.raises(DataError, match="x.parquet: row 2: 'ner_tags' .data.tags_key. holds 2, and the file names the"):
        dataset(composed, path, "data.tags_key=ner_tags")


def test_files_of_other_layouts_are_named(composed: Compose, tmp_path: Path) -> None:
    write(tmp_path / "train.conll", conll([[(f"{token} N", tag) for token, tag in row] for row in sentences(9)]))
    write(tmp_path / "dev.CONLL", conll(sentences(3)))
    write(tmp_path / "test.jsonl", jsonl(sentences(3)))
    write(tmp_path / ".train.txt", "not read\n")
    notes = dataset(composed, tmp_path).notes
    assert "files of train: train.conll; validation: dev.CONLL; test: test.jsonl" in notes
    assert (
        "train: 3 columns separated by blanks (tokens in column 0, tags in column 2); validation: 2 columns separated "
        "by blanks (tokens in column 0, tags in column 1); test: lists of .jsonl"
    ) in notes
    assert "tags: IOB2, 1 types of entities (PER)" in notes


def test_what_stands_between_sentences(composed: Compose, tmp_path: Path) -> None:
    text = (
        "-DOCSTART- -X- O\n\n# id = 1\nAnna N B-PER\n# a remark\nmet N O\n\n \t\n\nTom N B-PER\n"
        "-DOCSTART- -X- O\n10\u00a0000 N O\n  Ruth   N\tB-PER  \n#\tN\tO\n\n\n"
    )
    data = dataset(composed, write(tmp_path / "a.txt", text), "data.validation_size=1")
    everything = {
        int(data.source_rows(split)[row]): list(zip(*pair, strict=True))
        for split in data.sizes
        for row, pair in enumerate(zip(*data.labelled_tokens(split), strict=True))
    }
    assert everything == {
        0: [("Anna", "B-PER"), ("met", "O")],
        1: [("Tom", "B-PER")],
        2: [("10\u00a0000", "O"), ("Ruth", "B-PER"), ("#", "O")],
    }
    assert f"{tmp_path}/a.txt: 2 -DOCSTART- lines left out" in data.notes
    comments = "lines that begin with '#', as comments do, without the columns or tag of a token, left out"
    assert f"{tmp_path}/a.txt: 2 {comments} (the first: line 3)" in data.notes
    assert "every split: 3 columns separated by blanks (tokens in column 0, tags in column 2)" in data.notes


def test_rows_without_tokens_are_dropped_and_counted(composed: Compose, tmp_path: Path) -> None:
    text = jsonl([[], *sentences(4), []]) + "\n"
    data = dataset(composed, write(tmp_path / "a.jsonl", text), "data.validation_size=1", "data.test_size=0")
    assert any("a.jsonl: 2 rows without tokens dropped" in note for note in data.notes)
    assert sorted([*data.source_rows("train"), *data.source_rows("validation")]) == [1, 2, 3, 4]


def test_order_depends_on_seed_epoch_and_position(composed: Compose, tmp_path: Path) -> None:
    path = write(tmp_path / "a.conll", conll(sentences(50)))

    def order(epoch: int, *overrides: str, start: int = 0) -> list[list[int]]:
        data = dataset(composed, path, "data.batch_size=4", *overrides)
        return [batch.rows.tolist() for batch in data.train_batches(epoch, start)]

    assert order(0) == order(0) and order(0, start=5) == order(0)[5:]
    assert order(1) != order(0) and order(0, "seed=1") != order(0)
    data = dataset(composed, path, "data.batch_tokens=24", "data.max_length=24")
    assert 12 < max(batch.inputs.numel() for batch in data.train_batches(0)) <= 24


def test_validation_is_set_apart_and_every_tag_stays(composed: Compose, tmp_path: Path) -> None:
    rows = sentences(40)
    rows[7].append(("Oslo", "B-LOC"))  # the only one
    path = write(tmp_path / "a.conll", conll(rows))
    apart = set()
    for seed in range(5):
        data = dataset(composed, path, f"data.split_seed={seed}", "data.validation_size=0.25", "data.test_size=0")
        assert data.sizes == {"train": 30, "validation": 10}
        taken = data.source_rows("validation").tolist()
        assert sorted(taken + data.source_rows("train").tolist()) == list(range(40))
        assert taken == sorted(taken) and 7 not in taken
        assert all(count > 0 for count in data.spec.class_counts)
        apart.add(tuple(taken))
    assert len(apart) == 5
    first, again = (dataset(composed, path, "data.test_size=0", f"seed={seed}") for seed in (0, 5))
    assert again.source_rows("validation").tolist() == first.source_rows("validation").tolist()
    assert any("4 sentences of train set apart" in note for note in first.notes)
    assert any(note.startswith("test: there is none") for note in first.notes)
    sizes = dataset(composed, path, "data.validation_size=3", "data.test_size=0").sizes
    assert sizes == {"train": 37, "validation": 3}


def test_a_single_file_gets_a_test_split(composed: Compose, tmp_path: Path) -> None:
    path = write(tmp_path / "a.conll", conll(sentences(40)))
    data = dataset(composed, path)
    assert data.sizes == {"train": 32, "validation": 4, "test": 4} and list(data.sizes)[1] == "validation"
    assert sorted(row for split in data.sizes for row in data.source_rows(split)) == list(range(40))
    assert "test: 4 sentences of train set apart (data.test_size)" in data.notes
    assert dataset(composed, path, "data.test_size=7").sizes == {"train": 30, "validation": 3, "test": 7}
    write(tmp_path / "train.conll", path.read_text())
    write(tmp_path / "dev.conll", conll(sentences(5)))
    assert dataset(composed, tmp_path).sizes == {"train": 40, "validation": 5}  # the source has splits of its own
    few = write(tmp_path / "few.conll", conll(sentences(6)))
    assert dataset(composed, few).sizes == {"train": 4, "validation": 1, "test": 1}


def test_set_apart_keeps_the_last_sentence_of_each_tag() -> None:
    tags = [["A"], ["A"], ["B"], ["B", "A"]]
    for seed in range(10):
        stay, apart = set_apart(tags, 3, seed, "data.validation_size")
        assert {tag for i in stay for tag in tags[i]} == {"A", "B"}
        assert sorted([*stay, *apart]) == [0, 1, 2, 3] and len(apart) in (2, 3)


def test_vocabulary(composed: Compose, tmp_path: Path) -> None:
    tokens = ["b", "B", "a", "A", "a", "c", "<unk>", "<pad>", "e\u0301"]
    rows = [[(token, "O") for token in tokens], [("x", "N")], [("x", "N")]]
    write(tmp_path / "train.conll", conll(rows))
    write(tmp_path / "validation.conll", conll([[("A", "O"), ("new", "N"), ("<pad>", "O"), ("\u00e9", "O")]]))

    def words(*overrides: str) -> list[str]:
        return list(dataset(composed, tmp_path, *overrides).words.numbers)

    # The words of the text that are spelt like the special ones have a blank before them.
    assert words() == ["<pad>", "<unk>", "a", "b", "x", " <pad>", " <unk>", "c", "\u00e9"]
    assert words("data.lowercase=false") == [
        *("<pad>", "<unk>", "a", "x", " <pad>", " <unk>", "A", "B", "b", "c", "\u00e9")
    ]
    assert words("data.min_count=2") == ["<pad>", "<unk>", "a", "b", "x"]
    assert words("data.vocab_size=4") == ["<pad>", "<unk>", "a", "b"]
    data = dataset(composed, tmp_path)
    (batch,) = data.eval_batches("validation")
    assert batch.inputs.tolist() == [[2, 1, 5, 8]]
    assert (data.spec.vocab_size, data.spec.pad_id) == (9, 0)
    assert data.spec.class_names == ["N", "O"] and data.spec.class_counts == [2, 9]
    data.save(tmp_path)
    saved = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert saved.get_vocab() == data.words.numbers
    assert saved.encode("A new E\u0301").ids == [2, 1, 8]


def test_a_note_where_most_words_are_unknown(
    composed: Compose, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "train.conll", conll(sentences(6)))
    write(tmp_path / "validation.conll", conll([[("Zoe", "B-PER"), ("saw", "O"), ("met", "O")]]))
    data = dataset(composed, tmp_path)
    message = "67% of the tokens are unknown words (data.min_count, data.vocab_size)"
    assert [note for note in data.notes if "unknown" in note] == [f"validation: {message}"]
    data.save(tmp_path)
    list(TaggingFiles.new_batches(data.config, tmp_path, [["Anna", "met"]]))
    assert not caplog.records
    list(TaggingFiles.new_batches(data.config, tmp_path, [["Zoe", "saw", "met"]]))
    assert [record.getMessage() for record in caplog.records] == [f"new sentences: {message}"]


def test_vectors_of_words_are_loaded(composed: Compose, tmp_path: Path) -> None:
    names = dataset(composed, write(tmp_path / "a.conll", conll(sentences(20)))).token_names()
    write(tmp_path / "v.txt", "\ufeffmet 1 2\nanna 3 4\n")
    embedding = nn.Embedding(len(names), 2, padding_idx=0)
    assert load_vectors(embedding, names, str(tmp_path / "v.txt")) == 2
    assert embedding.weight[[names.index("met"), names.index("anna")]].tolist() == [[1, 2], [3, 4]]


def test_long_sentences_are_cut_and_reported(composed: Compose, tmp_path: Path) -> None:
    write(tmp_path / "train.conll", conll([*sentences(6), [*sentences(1)[0], ("Oslo", "B-LOC")]]))
    write(tmp_path / "validation.conll", conll(sentences(4)))
    whole = dataset(composed, tmp_path)
    assert not any("cut" in note for note in whole.notes)
    data = dataset(composed, tmp_path, "data.max_length=3", "data.lowercase=false")
    lengths = [len(row) for row in sentences(6)] + [4]
    beyond = [length - 3 for length in lengths if length > 3]
    assert f"train: {len(beyond)} sentences cut to 3 tokens (data.max_length); the {sum(beyond)} tokens" in str(
        data.notes
    )
    assert any(note.startswith("validation: ") and "cut to 3 tokens" in note for note in data.notes)
    assert read_back(data, "validation") == {i: row[:3] for i, row in enumerate(sentences(4))}
    assert data.labelled_tokens("validation")[1] == [[tag for _, tag in row[:3]] for row in sentences(4)]
    assert "Oslo" not in data.words.numbers
    assert data.spec.class_names == ["B-LOC", "B-PER", "I-PER", "O"] and data.spec.class_counts[0] == 0
    assert data.fingerprint != whole.fingerprint  # other steps are scored


def test_sentences_of_train_that_stand_elsewhere_too_are_reported(composed: Compose, tmp_path: Path) -> None:
    write(tmp_path / "train.conll", conll(sentences(6)))
    write(tmp_path / "validation.conll", conll(sentences(2)))
    assert "train: the words of 2 sentences also occur in validation or test" in dataset(composed, tmp_path).notes


def test_fingerprint_is_of_tokens_and_tags(composed: Compose, tmp_path: Path) -> None:
    def fingerprint(rows: list[Sentence], *overrides: str) -> str:
        return dataset(composed, write(tmp_path / "a.conll", conll(rows)), *overrides).fingerprint

    rows = sentences(20)
    first = fingerprint(rows)
    assert fingerprint(rows, "data.lowercase=false", "data.min_count=2", "seed=3", "data.batch_size=2") == first
    assert fingerprint(rows, "data.split_seed=1") != first
    assert fingerprint([[("other", "O"), *rows[0][1:]], *rows[1:]]) != first
    assert fingerprint([[(rows[0][0][0], "O"), *rows[0][1:]], *rows[1:]]) != first


def test_a_run_s_vocabulary_and_tags_hold_for_other_files(composed: Compose, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    data = dataset(composed, write(tmp_path / "a.conll", conll(sentences(20))))
    data.save(run)
    (run / "data.json").write_text(json.dumps(data.describe()))
    again = dataset(composed, tmp_path / "a.conll", trained=run)
    assert (
        again.words.numbers == data.words.numbers and again.fingerprint == data.fingerprint and again.spec == data.spec
    )
    other = write(tmp_path / "other.jsonl", jsonl([[("Zoe", "O"), ("MET", "O")], [("Anna", "B-PER")]]))
    whole = dataset(composed, other, trained=run, single_split=True)
    assert whole.sizes == {"test": 2}
    assert read_back(whole, "test") == {0: [("<unk>", "O"), ("met", "O")], 1: [("anna", "B-PER")]}
    assert whole.spec.class_names == ["B-PER", "I-PER", "O"]
    folder = tmp_path / "folder"
    folder.mkdir()
    write(folder / "test.jsonl", other.read_text())
    assert dataset(composed, folder, trained=run).sizes == {"test": 2}  # nothing is learned, so train may be absent
    write(other, jsonl([[], [("met", "O")], [("Oslo", "B-LOC"), ("met", "O")]]))
    with pytest.raises(
        DataError, match=r"other.jsonl: line 3: tag 'B-LOC' \(1 tokens\) is not one of the tags of train \(B-PER"
    ):
        dataset(composed, other, trained=run, single_split=True)


GOOD = conll(sentences(12))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.conll", b"", "a.conll: the file is empty"),
        ("a.conll", b"\n# a\n-DOCSTART- O\n\n", "a.conll: holds no sentences"),
        ("a.jsonl", b"\n\n", "a.jsonl: holds no sentences"),
        ("a.jsonl", b'{"tokens": [], "tags": []}\n', "a.jsonl: holds no sentences"),
        ("a.conll", b"a O\nb\n", "line 2 has 1 columns, separated by blanks, but most lines have 2, such as line 1"),
        ("a.tsv", b"a\tO\nb O\n", "a.tsv: line 2 has 1 columns, separated by tabs, but most lines have 2"),
        ("a.conll", b"\na N O\nb O\n", "line 3 has 2 columns, .* but most lines have 3, such as line 2; .*=-1 may"),
        ("a.conll", b"a\nb\n", r"a.conll: line 1 has too few columns \(1, separated by blanks\): data.token_column=0"),
        ("a.tsv", b"a\tO\nb\t\n", r"a.tsv: line 2 has an empty tag \(data.tag_column=-1\)"),
        ("a.conll", b"a O\n\nb\xff O\n", r"a.conll: line 3 is not UTF-8 \(byte 1"),
        ("a.jsonl", b'{"tokens": ["\xff"]}\n', "a.jsonl: line 1 is not UTF-8"),
        ("a.jsonl", b'\n{"tokens": ["a"]\n', "a.jsonl: line 2 is not valid JSON"),
        ("a.jsonl", b'["a"]\n', "a.jsonl: line 1 is not a JSON object"),
        ("a.jsonl", b'{"tokens": ["a"], "ner": ["O"]}', r"has no column 'tags' .data.tags_key.; its columns: tok"),
        ("a.jsonl", b'{"tokens": ["a"], "tags": [0]}', r"line 1: 'tags' \(data.tags_key\) holds numbers, and th"),
        ("a.jsonl", b'{"tokens": "a", "tags": ["O"]}', r"line 1: 'tokens' .data.tokens_key. is not a list of str"),
        ("a.jsonl", b'{"tokens": ["a", "b"], "tags": ["O"]}', "a.jsonl: line 1 has 2 tokens but 1 tags"),
        ("a.jsonl", b'{"tokens": ["a"], "tags": ["O"]}\n{"tokens": ["a"]}', "a.jsonl: line 2 has no 'tags'"),
        ("a.jsonl", b'\n{"tokens": ["a", 1], "tags": ["O", "O"]}', "line 2: 'tokens' .data.tokens_key. is not a"),
        ("a.jsonl", b'{"tokens": ["a"], "tags": [""]}', "a.jsonl: line 1 has an empty tag"),
        ("a.jsonl", b'{"tokens": ["\\ud83d"], "tags": ["O"]}', "a.jsonl: line 1 holds half of a surrogate pair"),
        ("a.conll", b"a O\nb O\n", "a.conll: all tokens have the one tag 'O'"),
        ("a.conll", b"a O\nb N\n", r"data.test_size=0.1: sets all of the 1 sentences apart"),
        ("a.conll", b"a O\n\nb N\n", r"data.test_size=0.1: sets none of the 2 sentences apart"),
        ("a.bio", b"a O\nb N\n", "a.bio: files of type .bio are not read; use .conll"),
    ],
)  # fmt: skip
def test_bad_files(composed: Compose, tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        dataset(composed, tmp_path / name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train.conll": GOOD, "train.txt": GOOD}, r"split 'train' is there twice \(train.conll, train.txt\)"),
        ({"dat.conll": GOOD}, "has no file of split 'train' or 'validation' or 'test' .such as train.conll"),
        ({"test.conll": GOOD}, r"has no file of split 'train' \(data.train_split\) to train on"),
        (
            {"train.conll": GOOD, "test.txt": "met O\n\nmet O\n# 1\nOslo B-LOC\n"},
            r"test.txt: line 5: tag 'B-LOC' \(1 tokens\) is not one of the tags",
        ),
        ({"train.conll": GOOD, "validation.txt": "Oslo B-LOC\n"}, "validation.txt: line 1: tag 'B-LOC'"),
    ],
)
def test_bad_folders(composed: Compose, tmp_path: Path, files: dict[str, str], message: str) -> None:
    for name, text in files.items():
        write(tmp_path / name, text)
    with pytest.raises(DataError, match=message):
        dataset(composed, tmp_path)


def test_bad_paths(composed: Compose) -> None:
    with pytest.raises(DataError, match="data.path=/nowhere.conll: no such file or folder"):
        dataset(composed, Path("/nowhere.conll"))
    with pytest.raises(DataError, match="data.path: must be given for data=tagging_files"):
        build_data(composed("data=tagging_files"))


def test_split_names(composed: Compose, tmp_path: Path) -> None:
    for name in ("learn", "dev", "test"):
        write(tmp_path / f"{name}.conll", GOOD)
    named = dataset(composed, tmp_path, "data.train_split=learn", "data.validation_split=dev", "data.test_split=null")
    assert named.sizes == {"train": 12, "validation": 12}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.tag_column=0", "data.tag_column=0: must be different from data.token_column"),
        ("data.tags_key=tokens", "data.tags_key='tokens': must be different from data.tokens_key"),
        ("data.test_split=train", "data.train_split, validation_split and test_split="),
        ("data.validation_size=0", "data.validation_size=0.0: must be above 0"),
        ("data.vocab_size=2", "data.vocab_size=2: must be at least 3"),
        ("data.min_count=0", "data.min_count=0: must be at least 1"),
        ("data.eval_batch_tokens=10", "data.eval_batch_tokens=10: must be at least data.max_length (400)"),
    ],
)
def test_values_out_of_range(composed: Compose, override: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        composed("data=tagging_files", override)
    assert message in str(error.value)


def test_the_example_file(composed: Compose) -> None:
    data = dataset(composed, EXAMPLE, "data.batch_size=8")
    assert data.sizes == {"train": 32, "validation": 4, "test": 4} and data.num_batches(0) == 4
    assert data.spec.class_names == ["B-LOC", "B-PER", "I-PER", "O"]
