"""Runs of earlier versions: renamed and new options are read as they were meant; runs of later ones are refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from seqtrain.comparison.runs import read_options
from seqtrain.config import migrations
from seqtrain.config.loading import from_yaml, to_config, to_yaml
from seqtrain.errors import RunError


def run_of(folder: Path, config: Any, number: int | None) -> Path:
    """A run's configuration and status, as a version with this format left them."""
    folder.mkdir()
    (folder / "config.yaml").write_text(to_yaml(config))
    (folder / "status.json").write_text(json.dumps({} if number is None else {"format": number}))
    return folder / "config.yaml"


def test_renamed_and_new_options(composed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = composed("data=docstrings", "trainer.lr=0.25")
    monkeypatch.setattr(migrations, "FORMAT", 4)
    monkeypatch.setattr(
        migrations,
        "RENAMED",
        {2: {"trainer.rate": "trainer.learning_rate"}, 3: {"trainer.learning_rate": "trainer.lr"}},
    )
    monkeypatch.setattr(
        migrations, "OLD_DEFAULTS", {2: {"data.min_class_size": 7, "data.horizon": 3}, 3: {"trainer.momentum": 0.5}}
    )
    for number, name in ((None, "rate"), (2, "rate"), (3, "learning_rate"), (4, "lr")):
        path = run_of(tmp_path / str(number), config, number)
        text = path.read_text().replace("  lr: 0.25", f"  {name}: 0.25")
        dropped = ("  min_class_size:", "  momentum:") if number != 4 else ()
        path.write_text("".join(line + "\n" for line in text.splitlines() if not line.startswith(dropped or "\0")))
        read: Any = to_config(from_yaml(path))
        assert read.trainer.lr == 0.25
        old = number in (None, 2)
        assert read.data.min_class_size == (7 if old else 100)
        assert read.trainer.momentum == (0.9 if number == 4 else 0.5)
        options, _ = read_options(path)
        assert options["trainer.lr"] == 0.25 and options["data.min_class_size"] == read.data.min_class_size
        assert "data.horizon" not in options and "trainer.rate" not in options


def test_convolutions_of_before_have_no_dilation_and_no_scale(composed: Any, tmp_path: Path) -> None:
    config = composed("data=docstrings", "model=gru_fcn", "model.filters=[8,4]", "model.kernel_sizes=[5,3]")
    for number in (4, 5):
        path = run_of(tmp_path / str(number), config, number)
        new = ("  dilations:", "  scale_means:") if number == 4 else "\0"
        path.write_text("".join(line + "\n" for line in path.read_text().splitlines() if not line.startswith(new)))
        model: Any = to_config(from_yaml(path)).model
        assert (model.dilations, model.scale_means) == (([1, 1], False) if number == 4 else (None, True))


def test_a_later_version(composed: Any, tmp_path: Path) -> None:
    path = run_of(tmp_path / "run", composed("data=adding"), migrations.FORMAT + 1)
    for read in (from_yaml, read_options):
        with pytest.raises(RunError, match=r"run: was made by a later version of seqtrain \(format \d; .*\); update"):
            read(path)


def test_what_is_saved_is_read_unchanged(composed: Any, tmp_path: Path) -> None:
    config = composed("data=docstrings", "model=gru_attn")
    assert to_config(from_yaml(run_of(tmp_path / "run", config, migrations.FORMAT))) == config
    tree = {"a": {"b": {"c": 1}, "d": {}}, "e": None}
    assert migrations.nested(migrations.flat_keys(tree)) == tree


def test_a_run_that_min_steps_made_longer_keeps_its_length(composed: Any, tmp_path: Path) -> None:
    for steps, length in ((1000, (None, 20, 1000)), (None, (20, 3, None))):
        config = composed("data=docstrings", "trainer.epochs=20", f"trainer.min_steps={steps or 'null'}")
        path = run_of(tmp_path / str(steps), config, 3)
        path.write_text("".join(f"{line}\n" for line in path.read_text().splitlines() if "min_epochs" not in line))
        read: Any = to_config(from_yaml(path))
        assert (read.trainer.epochs, read.trainer.min_epochs, read.trainer.min_steps) == length
        options, _ = read_options(path)
        assert options["trainer.epochs"] == length[0]
