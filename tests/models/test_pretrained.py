import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from seqtrain.commands.train import train
from seqtrain.config.root import Config
from seqtrain.errors import ConfigError
from seqtrain.models.pretrained import check_vectors, load_vectors
from seqtrain.runs.directory import RunDirectory
from seqtrain.training.checkpoint import load_checkpoint

Compose = Callable[..., Config]

GLOVE = "good 1 2 3\nbad -1 -2 -3.5\n. . . 7 8 9\nunseen 4 4 4\n"


@pytest.mark.parametrize("header", ["", "4 3\n"])
def test_vectors_of_known_tokens_are_set(tmp_path: Path, header: str) -> None:
    (tmp_path / "v.txt").write_text(header + GLOVE + "good 9 9 9\n")
    embedding = nn.Embedding(5, 3, padding_idx=0)
    before = embedding.weight.detach().clone()
    assert load_vectors(embedding, ["<pad>", "<unk>", "bad", "good", ". . ."], str(tmp_path / "v.txt")) == 3
    assert embedding.weight[2:].tolist() == [[-1, -2, -3.5], [1, 2, 3], [7, 8, 9]]
    assert torch.equal(embedding.weight[:2], before[:2])


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffgood 1 2 3\nbad -1 -2 -3.5\nNew York 7 8 9\n",  # a byte-order mark is no part of the first word
        "good\t1\t2\t3\r\nbad\t-1\t-2\t-3.5\r\nNew York\t7 8 9\r\n\r\n",
        "New York 7 8 9\ngood  1  2 \t 3 \nbad -1 -2 -3.5",  # the first word has a blank
        "3 3\nNew York 7 8 9\n1984 4 4 4\ngood 1 2 3\nbad -1 -2 -3.5\n",
        "\ufeff4 3\ngood 1 2 3\nfoo 12 1 1 1\n\u00a0 5 5 5\nbad -1 -2 -3.5\nNew York 7 8 9",
    ],
)
@pytest.mark.parametrize("suffix", [".txt", ".vec.gz", ".GZ"])
def test_words_are_all_that_stands_before_the_numbers(tmp_path: Path, content: str, suffix: str) -> None:
    path = tmp_path / f"v{suffix}"
    path.write_bytes(content.encode() if suffix == ".txt" else gzip.compress(content.encode()))
    embedding = nn.Embedding(3, 3)
    check_vectors(str(path), 3)
    assert load_vectors(embedding, ["bad", "good", "New York"], str(path)) == 3
    assert embedding.weight.tolist() == [[-1, -2, -3.5], [1, 2, 3], [7, 8, 9]]


def test_what_is_not_used_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    path = tmp_path / "v.txt"
    path.write_bytes(b"9 3\ngood 1 2 3\ngood 9 9 9\nother 1 1 1\nother 1 1 1\ncaf\xe9 1 1 1\nbad 1 1 1 1\n")
    embedding = nn.Embedding(1, 3)
    assert load_vectors(embedding, ["good"], str(path)) == 1
    assert embedding.weight.tolist() == [[1, 2, 3]]
    assert [record.getMessage().removeprefix(f"{path}: ") for record in caplog.records] == [
        "its first line promises 9 vectors, but it holds 6; is it complete?",
        "1 lines have more than 3 numbers; their words end with a number",
        "1 lines repeat a token; its first vector is used",
        "1 words are not UTF-8, and no token can be one of them",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("good 1 2\n", "by line 1 its vectors have 2 numbers, not 3"),
        ("good 1 2 3\nbad 1 x 3\n", "line 2 is not a word with 3 numbers .* but 'bad 1 x 3'"),
        ("good 1 2 3\nbad 1 2\n", "line 2 is not a word with 3 numbers"),
        ("good 1 2 3\nother 1 2\n", "line 2 is not a word with 3 numbers"),
        ("good 1,5 2 3\nbad 1 2 3", "line 1 is not a word with 3 numbers"),
        ("good 1 2 3 4\n", "by line 1 its vectors have 4 numbers, not 3"),
        ("1 4\ngood 1 2 3 4\n", "by line 1 its vectors have 4 numbers, not 3"),
        ("good 1 2 3\nother nan 2 3\nbad 1 NaN 3\n", "line 3: the vector of 'bad' holds NaN, which is not a finite"),
        ("good 1 2 -inf\n", "line 1: the vector of 'good' holds -inf"),
        ("good 1 2 1e39\n", "line 1: the vector of 'good' holds 1e39"),
        ("other 1 2 3\n", "has none of the 2 tokens"),
        ("", "holds no vectors"),
        ("2 3\n", "holds no vectors"),
    ],
)
def test_broken_files(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "v.txt"
    path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        check_vectors(str(path), 3)
        load_vectors(nn.Embedding(2, 3), ["good", "bad"], str(path))


def test_a_damaged_compressed_file(tmp_path: Path) -> None:
    path = tmp_path / "v.txt.gz"
    path.write_bytes(gzip.compress(GLOVE.encode())[:-12])
    with pytest.raises(ConfigError, match=r"v.txt.gz: cannot be read \(Compressed file ended"):
        check_vectors(str(path), 3)
    path.write_text(GLOVE)
    with pytest.raises(ConfigError, match=r"v.txt.gz: cannot be read \(Not a gzipped file"):
        check_vectors(str(path), 3)


def test_missing_file_and_pointless_freeze(small: Compose, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        check_vectors(str(tmp_path / "none.txt"), 3)
    with pytest.raises(ConfigError, match=r"model\.embedding\.freeze"):
        small("model.embedding.freeze=true")


@pytest.mark.parametrize("freeze", [True, False])
def test_training_starts_from_the_file(
    small: Compose, tmp_path: Path, freeze: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    path = tmp_path / "v.txt"
    path.write_text("good " + " ".join(["0.5"] * 12) + "\n")
    options = [f"model.embedding.path={path}", f"model.embedding.freeze={str(freeze).lower()}", "trainer.max_steps=5"]
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    train(small(*options), run)
    (line,) = [record.getMessage() for record in caplog.records if "has vectors for" in record.getMessage()]
    assert "has vectors for 1 of " in line
    weight = load_checkpoint(run.checkpoint_path("last"), run.id)["model"]["embedding.weight"]
    kept = (weight == 0.5).all(dim=1)
    assert int(kept.sum()) == (1 if freeze else 0)


def test_a_wrong_width_ends_before_data_is_read(small: Compose, tmp_path: Path) -> None:
    path = tmp_path / "v.txt"
    path.write_text("good 1 2 3\n")
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    with pytest.raises(ConfigError, match="by line 1 its vectors have 3 numbers, not 12"):
        train(small(f"model.embedding.path={path}", "data.path=/nowhere"), run)
