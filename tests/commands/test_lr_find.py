"""A range test of real models, and what it leaves behind."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqtrain.commands.lr_find import lr_find
from seqtrain.config.root import Config
from seqtrain.errors import ConfigError
from seqtrain.runs.json_files import read_json
from seqtrain.training.range_test import RangeTest, range_test
from seqtrain.training.trainer import Trainer

Compose = Callable[..., Config]


def check(result: dict[str, object], directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The printed summary, the curve and the figure agree; nothing else is there."""
    assert json.loads(capsys.readouterr().out) == result == read_json(directory / "lr-find.json")
    assert {path.name for path in directory.iterdir()} == {"lr-find.json", "lr-find.jsonl", "lr-find.png"}
    rows = [json.loads(line) for line in (directory / "lr-find.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, int(str(result["steps"])) + 1))
    assert np.isfinite([[row["learning_rate"], row["loss"], row["median"]] for row in rows]).all()
    picture = Path(str(result["figure"])).read_bytes()
    assert (
        picture.startswith(b"\x89PNG\r\n\x1a\n")
        and picture.rstrip().endswith(b"IEND\xaeB`\x82")
        and len(picture) > 5000
    )


def test_a_classifier(small: Compose, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = small("model=gru", "trainer.accumulate=2", "trainer.average=ema")
    # Up to rates at which it diverges on every machine: at 10 rounding decides whether it still learns.
    result = lr_find(config, tmp_path / "found", low=1e-5, high=1e3, steps=80)
    check(result, tmp_path / "found", capsys)
    assert 1e-4 < result["steepest"] < 1 and 1e-4 < result["lowest_over_10"] < 1
    with pytest.raises(ConfigError, match="already holds a test"):
        lr_find(config, tmp_path / "found")


def test_a_language_model_and_a_forecaster(
    composed: Compose, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.txt").write_text("the cat sat on the mat and the dog ate the rest of it.\n" * 60)
    tiny = ["model.hidden_size=8", "model.embedding.embed_dim=6", "device=cpu"]
    corpus = [f"data.path={tmp_path}/text.txt", "data.tokenizer=char", "data.batch_size=4", "data.bptt_len=10"]
    text = composed("model=lstm", "data=text_corpus", *corpus, "data.bptt_jitter=true", *tiny)
    check(lr_find(text, tmp_path / "text", low=1e-4, steps=40), tmp_path / "text", capsys)
    series = composed("model=gru", "data=sine", "data.length=400", "data.lookback=24", "data.horizon=6", *tiny)
    check(lr_find(series, tmp_path / "series", low=1e-4, steps=40), tmp_path / "series", capsys)


def test_all_parts_train_at_rates_by_depth(
    small: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trainers = []

    def kept(trainer: Trainer, *numbers: Any) -> RangeTest:
        trainers.append(trainer)
        return range_test(trainer, *numbers)

    monkeypatch.setattr("seqtrain.commands.lr_find.range_test", kept)
    config = small("model=gru", "model.kernel=torch", "trainer.unfreeze=1", "trainer.layer_lr_decay=0.5")
    lr_find(config, tmp_path / "found", low=1e-5, high=1e-1, steps=20)
    capsys.readouterr()
    (trainer,) = trainers
    assert all(p.grad is not None for p in trainer.parameters)
    rates = [group["lr"] for group in trainer.optimizer.param_groups]
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.05, 0.05, 0.025, 0.025])


def test_a_loss_that_never_falls(
    small: Compose, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    config = small("model=gru", "trainer.optimizer=sgd", "trainer.momentum=0", "model.dropout=0", "data.batch_size=270")
    config.model.embedding.dropout = 0.0  # type: ignore[attr-defined]
    result = lr_find(config, tmp_path / "found", low=1e-12, high=1e-11, steps=20)
    check(result, tmp_path / "found", capsys)
    assert result["steps"] == 20 and result["ended"] == "the highest rate was reached"
    if result["steepest"] is None:
        assert "so that none is suggested" in caplog.text


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"low": 0.0}, "low=0.0: must be above 0"),
        ({"low": 1.0, "high": 1.0}, r"high=1.0: must be above low \(1\)"),
        ({"high": float("nan")}, "high=nan: must be"),
        ({"steps": 3}, "steps=3: must be at least 20"),
    ],
)
def test_numbers_that_make_no_ramp(small: Compose, tmp_path: Path, numbers: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        lr_find(small(), tmp_path / "found", **numbers)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="debug='dry': must be removed"):
        lr_find(small("debug=dry"), tmp_path / "found")
    assert not (tmp_path / "found").exists()
