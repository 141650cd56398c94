"""Tags of new sentences, from Python and from files, are those of evaluation, whatever the batch and the format."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqtrain
from seqtrain.commands.predict import predict
from seqtrain.commands.train import train
from seqtrain.config.root import Config
from seqtrain.errors import ConfigError, DataError
from seqtrain.runs.directory import RunDirectory
from tests.outputs import stored_outputs

EXAMPLE = Path(__file__).parents[3] / "examples" / "tags.conll"
Finished = tuple[Config, RunDirectory]


@pytest.fixture(scope="module")
def finished(composed: Callable[..., Config], tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A tagger with a test split, of short sentences only."""
    folder = tmp_path_factory.mktemp("tags")
    sentences = EXAMPLE.read_text().strip().split("\n\n")
    for split, part in (("train", sentences[:-6]), ("validation", sentences[-6:-3]), ("test", sentences[-3:])):
        (folder / f"{split}.conll").write_text("\n\n".join(part) + "\n")
    config = composed(
        "data=tagging_files", f"data.path={folder}", "data.max_length=12", "model=lstm", "model.hidden_size=16",
        "model.embedding.embed_dim=16", "trainer.epochs=8", "trainer.lr=0.02", "trainer.figures=false",
        "trainer.baselines=false", "device=cpu",
    )  # fmt: skip
    run = RunDirectory.claim(folder / "run", exact=True)
    train(config, run)
    return config, run


def rows_of(path: Path) -> list[list[str]]:
    """Tokens of each sentence of a file of columns."""
    return [[line.split()[0] for line in part.splitlines()] for part in path.read_text().strip().split("\n\n")]


def test_predictions_are_those_of_evaluation(finished: Finished) -> None:
    config, run = finished
    rows = rows_of(Path(config.data.path) / "test.conll")  # type: ignore[attr-defined]
    results = seqtrain.load(run.path).predict(rows)
    stored = stored_outputs(run.predictions_path)
    names = json.loads(run.data_path.read_text())["spec"]["class_names"]
    expected = np.split(np.array(names)[stored["predictions"]], np.cumsum(stored["lengths"])[:-1])
    assert [result.labels[:12] for result in results] == [part.tolist() for part in expected]
    assert [len(result.labels) for result in results] == [len(row) for row in rows]  # longer than data.max_length too
    for row, result in zip(rows, results, strict=True):
        (alone,) = seqtrain.load(run.path).predict([row])
        assert alone.labels == result.labels
        np.testing.assert_allclose(alone.probabilities, result.probabilities, atol=1e-5)


def test_columns_in_and_out(finished: Finished, tmp_path: Path) -> None:
    """A file with tags keeps them beside the predictions; one of tokens alone need not have any."""
    config, run = finished
    source = Path(config.data.path) / "test.conll"  # type: ignore[attr-defined]
    predict(config, config, run, str(source), str(tmp_path / "out.conll"))
    given = [line.split() for line in source.read_text().splitlines()]
    written = [line.split() for line in (tmp_path / "out.conll").read_text().splitlines()]
    assert [columns[:2] for columns in written if columns] == [columns[:2] for columns in given if columns]
    assert all(len(columns) in (0, 3) for columns in written)
    tokens = tmp_path / "tokens.txt"
    tokens.write_text("\n\n".join("\n".join(row) for row in rows_of(source)))
    predict(config, config, run, str(tokens), str(tmp_path / "bare.conll"))
    bare = [line.split() for line in (tmp_path / "bare.conll").read_text().splitlines()]
    assert bare == [[columns[0], columns[2]] if columns else [] for columns in written]


def test_json_in_and_out(finished: Finished, tmp_path: Path) -> None:
    config, run = finished
    objects: list[dict[str, Any]] = [
        {"id": 7, "tokens": ["In", "Paris"]},
        {"id": 8, "tokens": []},
        {"id": 9, "tokens": None},
    ]
    source, output = tmp_path / "new.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in objects))
    predict(config, config, run, str(source), str(output))
    written = [json.loads(line) for line in output.read_text().splitlines()]
    (expected,) = seqtrain.load(run.path).predict([["In", "Paris"]])
    assert [row["id"] for row in written] == [7, 8, 9]
    assert [row["prediction"] for row in written] == [expected.labels, None, None]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"words": ["a"]}\n', "has no column 'tokens' .data.tokens_key.; its columns: words"),
        ('{"tokens": ["a"]}\n{"tokens": "a b"}\n', "'tokens' .data.tokens_key. is not a list of strings"),
        ('{"tokens": ["a"], "prediction": 1}\n', "already has a column 'prediction'; rename it"),
        ("", "the file is empty"),
    ],
)
def test_bad_input_writes_nothing(finished: Finished, tmp_path: Path, content: str, message: str) -> None:
    config, run = finished
    source = tmp_path / "new.jsonl"
    source.write_text(content)
    with pytest.raises(DataError, match=message):
        predict(config, config, run, str(source), str(tmp_path / "out.jsonl"))
    assert [path.name for path in tmp_path.iterdir()] == ["new.jsonl"]


def test_refusals(finished: Finished, tmp_path: Path) -> None:
    config, run = finished
    source = tmp_path / "new.jsonl"
    source.write_text('{"tokens": ["New York"]}\n')
    with pytest.raises(ConfigError, match=r"must end in \.csv, \.tsv, \.jsonl, \.parquet, \.conll, or be -"):
        predict(config, config, run, str(source), str(tmp_path / "out.txt"))
    with pytest.raises(DataError, match="'New York' contains white space, which separates columns; write .jsonl"):
        predict(config, config, run, str(source), str(tmp_path / "out.conll"))
    with pytest.raises(DataError, match="column 'tokens' contains lists or objects; write .jsonl or .parquet"):
        predict(config, config, run, str(source), str(tmp_path / "out.csv"))
    wrongs: list[Any] = [["a b"], [[]], [[1]]]
    for wrong in wrongs:
        with pytest.raises(DataError, match="sentence 0: must be a list of tokens, at least one"):
            seqtrain.load(run.path).predict(wrong)
    with pytest.raises(TypeError, match="takes a list of inputs"):
        seqtrain.load(run.path).predict("a b")
