from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from seqtrain.commands.train import train
from seqtrain.config.root import Config
from seqtrain.errors import ConfigError
from seqtrain.models.pretrained import check_vectors, load_vectors
from seqtrain.run_directory import RunDirectory
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
    ("content", "message"),
    [
        ("good 1 2\n", "line 1 is not a word with 3 numbers .* but with 2 fields"),
        ("good 1 2 3\nbad 1 x 3\n", "line 2 is not a word with 3 numbers"),
        ("good 1 2 3\nbad 1 2\n", "line 2 is not a word with 3 numbers"),
        ("good 1 2 3 4\n", "line 1 is not a word with 3 numbers .* but with 4 fields"),
        ("1 4\ngood 1 2 3 4\n", "line 2 is not a word with 3 numbers .* but with 4 fields"),
        ("other 1 2 3\n", "has none of the 2 tokens"),
        ("", "holds no vectors"),
    ],
)
def test_broken_files(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "v.txt"
    path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        check_vectors(str(path), 3)
        load_vectors(nn.Embedding(2, 3), ["good", "bad"], str(path))


def test_missing_file_and_pointless_freeze(small: Compose, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
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
    with pytest.raises(ConfigError, match="line 1 is not a word with 12 numbers"):
        train(small(f"model.embedding.path={path}", "data.path=/nowhere"), run)
