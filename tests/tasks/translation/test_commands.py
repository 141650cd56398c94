"""Commands on translators: short runs, a size, bf16, comparisons, and refusals in one line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from seqtrain.commands.compare import compare
from seqtrain.commands.ensemble import ensemble
from seqtrain.commands.label_errors import label_errors
from seqtrain.commands.train import train
from seqtrain.config.loading import from_yaml, to_config
from seqtrain.config.root import Config
from seqtrain.errors import RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import read_json
from tests.pairs import OPTIONS, SMALL, write_splits

Compose = Callable[..., Config]


@pytest.fixture(scope="module")
def runs(composed: Compose, tmp_path_factory: pytest.TempPathFactory) -> list[RunDirectory]:
    """Two models of about 5,000 parameters, the second trained in bf16."""
    folder = tmp_path_factory.mktemp("runs")
    path = write_splits(folder / "pairs")
    made = []
    for model, precision in (("gru_translator", "fp32"), ("lstm_translator", "bf16")):
        short = ["trainer.max_steps=2", f"trainer.precision={precision}", "trainer.figures=false", "budget.params=5k"]
        sizes = [option for option in SMALL if not option.startswith("model.hidden_size")]
        config = composed(*OPTIONS, *sizes, *short, f"data.path={path}", f"model={model}")
        made.append(RunDirectory.claim(folder / model, exact=True))
        train(config, made[-1])
    return made


def test_budget_and_precision(runs: list[RunDirectory]) -> None:
    for run in runs:
        results = read_json(run.results_path)
        saved = to_config(from_yaml(run.config_path))
        assert saved.budget.found == pytest.approx(5_000, rel=0.2)
        assert set(results["scores"][results["model"]]["test"]) == {"bleu", "chrf", "loss", "perplexity"}


def test_two_translators_are_compared(
    runs: list[RunDirectory], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [str(run.path) for run in runs]
    compare(paths)
    said = capsys.readouterr().out
    assert all(part in said for part in ("gru_translator", "lstm_translator", "points of BLEU", "most frequent target"))
    compare(paths, output=str(tmp_path / "page.html"))
    assert "points of BLEU" in (tmp_path / "page.html").read_text()


def test_overfit_has_no_score_of_translations_that_were_not_made(
    composed: Compose, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_splits(tmp_path / "pairs")
    short = ["debug=overfit", "debug.steps=2", f"data.path={path}", "model=gru_translator"]
    train(composed(*OPTIONS, *SMALL, *short), RunDirectory.claim(tmp_path / "run", exact=True))
    assert set(json.loads(capsys.readouterr().out)["scores_of_these_rows"]) == {"loss", "perplexity"}


def test_commands_that_are_not_for_translators_say_so(runs: list[RunDirectory], tmp_path: Path) -> None:
    paths = [str(run.path) for run in runs]
    with pytest.raises(RunError, match="task=translation has no ensembles"):
        ensemble(paths, output=str(tmp_path / "ensemble"))
    assert not (tmp_path / "ensemble").exists()
    with pytest.raises(RunError, match="label-errors is for classification and multilabel, and its task is trans"):
        label_errors(paths[:1])
