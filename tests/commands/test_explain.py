"""The command explain: what it prints, keeps in the run and writes to a file, and all that can be wrong."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from seqtrain.cli import commands
from seqtrain.commands.explain import explain
from seqtrain.commands.explanation import explanation
from seqtrain.commands.train import train
from seqtrain.comparison.report import build_report
from seqtrain.comparison.text import markdown, terminal
from seqtrain.config.loading import from_yaml, to_config
from seqtrain.config.root import Config
from seqtrain.errors import ConfigError, DataError, RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.explanation import Explanation
from seqtrain.runs.json_files import read_json, read_record, write_json
from seqtrain.tasks.explaining.curves import Curves
from seqtrain.training.event_files import EXPLANATION

Compose = Callable[..., Config]


@pytest.fixture(scope="module")
def run(small: Compose, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A finished classifier with attention, after a few steps."""
    run = RunDirectory.claim(tmp_path_factory.mktemp("runs") / "gru_attn", exact=True)
    train(small("model.kernel=torch", "trainer.max_steps=6"), run)
    return run


def explained(run: RunDirectory, **options: object) -> Explanation:
    config = to_config(from_yaml(run.config_path))
    return explain(config, config, run, **options)  # type: ignore[arg-type]


def test_scores_are_kept_and_compared(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    commands.explain([f"run={run.path}", "rows=12"])
    printed = capsys.readouterr().out
    found = read_record(Explanation, run.explanation_path)
    assert found.rows == 12 and found.split == "test" and found.removal == "delete"
    assert list(found.methods) == ["attention", "gradient_input", "integrated_gradients", "occlusion", "random"]
    assert len(found.numbers) == len(found.attention) == 12 and found.numbers == sorted(found.numbers)
    assert all(sum(weights) == pytest.approx(1, abs=1e-3) for weights in found.attention)
    for name, scores in found.methods.items():
        assert f"{scores.comprehensiveness.value:.4f}" in printed and name in printed
        whole = found.whole - np.mean(scores.deletion)
        assert scores.comprehensiveness.value == pytest.approx(whole)
        assert scores.sufficiency.value == pytest.approx(found.whole - np.mean(scores.insertion))
        assert scores.over_reverse.value == pytest.approx(np.mean(scores.reverse) - np.mean(scores.deletion))
        lead = np.mean(found.methods["random"].deletion) - np.mean(scores.deletion)
        assert scores.faithfulness.value == pytest.approx(lead, abs=1e-12)
        assert scores.faithfulness.lower <= scores.faithfulness.value <= scores.faithfulness.upper
    assert found.methods["integrated_gradients"].completeness_error is not None
    events = EventAccumulator(str(run.path / EXPLANATION)).Reload()
    assert events.Tags()["images"] == ["explanation/curves"]

    report = build_report([str(run.path)])
    (cells,) = [table.explanations for table in report.tables]
    value = found.methods["occlusion"].faithfulness
    assert cells[0] == ["faithfulness", "runs", *list(found.methods)[:-1]]
    assert cells[1][1] == "1" and cells[1][-1] == f"{value.value:.3f} [{value.lower:.3f}, {value.upper:.3f}]"
    assert cells[1][-1] in terminal(report) and "Faithfulness of explanations" in markdown(report)


def test_explanations_of_another_checkpoint_are_not_compared(run: RunDirectory) -> None:
    if not run.explanation_path.exists():
        explained(run, rows=4, methods="attention")
    before = read_json(run.explanation_path)
    try:
        write_json(run.explanation_path, before | {"step": 999})
        (table,) = build_report([str(run.path)]).tables
        assert not table.explanations and "explains an earlier checkpoint" in table.notes[-1]
        write_json(run.explanation_path, {"step": 6})
        assert "is missing" in build_report([str(run.path)]).tables[0].notes[-1]
    finally:
        write_json(run.explanation_path, before)


def test_rows_of_a_file(run: RunDirectory, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("text\na good film\n\nbad plot and awful awful music\nsuperb\n")
    before = run.explanation_path.read_bytes() if run.explanation_path.exists() else None
    output = tmp_path / "out.jsonl"
    found = explained(run, source=str(tmp_path / "new.csv"), output=str(output), methods="attention,occlusion")
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [row["row"] for row in rows] == [0, 2, 3] and found.rows == 3
    assert rows[0]["tokens"] == ["a", "good", "film"] and rows[0]["prediction"] in ("pos", "neg")
    assert set(rows[0]) == {"row", "prediction", "tokens", "score", "attention", "occlusion"}
    assert [len(row["occlusion"]) for row in rows] == [3, 6, 1] and rows[2]["attention"] == [1.0]
    assert all(sum(row["attention"]) == pytest.approx(1, abs=1e-5) and row["score"] >= 0.5 for row in rows)
    after = run.explanation_path.read_bytes() if run.explanation_path.exists() else None
    assert before == after, "a file's scores are not the run's"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": "attention,lime"}, "methods=attention,lime: 'lime' is no method"),
        ({"removal": "mean"}, "removal=mean: must be one of delete, unk"),
        ({"rows": 0}, "rows=0: must be at least 1"),
        ({"split": "dev"}, "split=dev: must be one of train, validation, test"),
        ({"checkpoint": "first"}, "checkpoint=first: must be one of best, last"),
        ({"output": "out.csv"}, "output=out.csv: attributions are lists"),
        ({"output": "nowhere/out.jsonl"}, "output=nowhere/out.jsonl: cannot be written"),
        ({"source": "a.csv", "split": "test"}, "split=test: is of the run's own data; leave it out, or input=a.csv"),
    ],
)
def test_options_that_cannot_be(run: RunDirectory, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match="^" + message.replace("(", r"\(")):
        explained(run, **options)


def test_files_that_cannot_be_used(run: RunDirectory, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n\n")
    with pytest.raises(DataError, match="has no text to explain"):
        explained(run, source=str(tmp_path / "empty.txt"))
    with pytest.raises(DataError):
        explained(run, source=str(tmp_path / "absent.csv"))


def test_models_and_tasks_that_are_not_explained(
    small: Compose, composed: Compose, run: RunDirectory, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = RunDirectory.claim(tmp_path / "gru", exact=True)
    train(small("model=gru", "model.kernel=torch", "trainer.max_steps=6"), plain)
    with pytest.raises(ConfigError, match="methods=attention: .*: the model has no attention"):
        explained(plain, methods="attention")
    with caplog.at_level("INFO"):
        found = explained(plain, rows=3, methods=None)
    assert "attention is left out: the model has no attention" in caplog.text and "attention" not in found.methods
    config = composed("data=adding")
    with pytest.raises(RunError, match="is not explained; classification, multilabel and forecasting are"):
        explain(config, config, run)


def test_a_run_that_cannot_be_written_to(run: RunDirectory) -> None:
    with run.locked(), pytest.raises(RunError, match=f"is being written by another process|{os.getpid()}"):
        explained(run, rows=2)


def test_intervals_cover_the_mean() -> None:
    """Against the normal interval of the mean of many rows; neighbours that depend on each other make it wider."""
    rng = np.random.default_rng(0)
    count = 400
    chance = Curves(*(np.full((count, 5), 0.8) for _ in range(3)))
    deletion = 0.8 - rng.normal(0.1, 0.2, (count, 1)) * np.ones(5)
    found = Curves(deletion, chance.insertion, chance.reverse)
    about = {"step": 1, "split": "test", "removal": "delete", "score": "p"}
    curves = {"attention": found, "random": chance}
    interval = explanation(np.full(count, 0.9), curves, {}, 1, **about).methods["attention"].faithfulness
    lead = (0.8 - deletion).mean(1)
    half = 1.96 * lead.std() / np.sqrt(count)
    assert interval.value == pytest.approx(lead.mean())
    assert interval.lower == pytest.approx(lead.mean() - half, abs=0.1 * half)
    assert interval.upper == pytest.approx(lead.mean() + half, abs=0.1 * half)
    smooth = 0.8 - np.repeat(rng.normal(0.1, 0.2, (count // 20, 1)), 20, axis=0) * np.ones(5)
    curves = {"attention": Curves(smooth, chance.insertion, chance.reverse), "random": chance}
    widths = []
    for overlap in (1, 20):
        each = explanation(np.full(count, 0.9), curves, {}, overlap, **about).methods["attention"].faithfulness
        widths.append(each.upper - each.lower)
    assert widths[1] > 2.5 * widths[0]
