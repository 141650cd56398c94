"""The short runs that look for faults."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import seqtrain
from seqtrain.commands.debug import REGULARISERS, learned, simplify
from seqtrain.commands.evaluate import evaluate
from seqtrain.commands.train import resume, train
from seqtrain.config.loading import from_yaml, to_config
from seqtrain.config.root import Config
from seqtrain.errors import ConfigError, RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import read_json
from seqtrain.training.ranks import SOLO, Ranks
from tests.outputs import stored_outputs

Compose = Callable[..., Config]

TINY = ["model.hidden_size=12", "model.embedding.embed_dim=8", "device=cpu"]
PROBLEMS = ["data.num_train=64", "data.num_eval=200", "data.length=6"]


@pytest.fixture
def tasks(composed: Compose, small: Compose, tmp_path: Path) -> Callable[[str, str], Config]:
    """A small configuration of each task in a mode."""
    (tmp_path / "text.txt").write_text("the cat sat on the mat and the dog ate the rest of it.\n" * 60)

    def config(task: str, mode: str) -> Config:
        match task:
            case "classification":
                return small("model=gru_attn", f"debug={mode}", "trainer.figures=true", "data.eval_batch_tokens=400")
            case "multilabel":
                rows = [
                    {"text": f"{a} and {b}", "label": sorted({a, b} & {"cat", "dog", "owl"})}
                    for a in WORDS
                    for b in WORDS
                ]
                (tmp_path / "sets.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
                data = ["task=multilabel", f"data.path={tmp_path}/sets.jsonl", "data.eval_batch_tokens=12"]
                rate = ["trainer.lr=0.02"] if mode == "overfit" else []
                return small("model=gru", f"debug={mode}", "data.max_length=4", "trainer.figures=true", *data, *rate)
            case "language modelling":
                text = [f"data.path={tmp_path}/text.txt", "data.tokenizer=char", "data.batch_size=4", "data.bptt_len=8"]
                rate = ["trainer.lr=0.02"] if mode == "overfit" else []
                return composed("model=lstm", "data=text_corpus", *text, *TINY, *rate, f"debug={mode}")
            case "forecasting":
                series = ["data.length=400", "data.lookback=24", "data.horizon=6", "data.eval_batch_size=16"]
                rate = ["trainer.lr=0.02"] if mode == "overfit" else []
                return composed("model=gru", "data=sine", *series, *TINY, *rate, f"debug={mode}")
            case "labelling":
                rate = ["trainer.lr=0.02"] if mode == "overfit" else []
                return composed("model=gru", "data=reverse", *PROBLEMS, *TINY, *rate, f"debug={mode}")
        return composed("model=gru", "data=adding", *PROBLEMS, *TINY, "trainer.lr=0.02", f"debug={mode}")

    return config


WORDS = ["cat", "dog", "owl", "sun", "moon", "tree", "pond", "rain", "snow", "wind"]
TASKS = ["classification", "multilabel", "language modelling", "forecasting", "labelling", "regression"]


@pytest.mark.parametrize("task", TASKS)
def test_a_few_rows_are_learned_by_heart(
    tasks: Callable[[str, str], Config], tmp_path: Path, task: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tasks(task, "overfit")
    config.debug.rows = 4
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    last = train(config, run)
    result = read_json(run.path / "overfit.json")
    assert result["learned"] and result["last_loss"] == last <= 0.02 * result["first_loss"]
    assert result["rows"] <= 4 and result["steps"] <= 500
    printed = json.loads(capsys.readouterr().out)
    assert printed == {"run": str(run.path)} | result
    lines = [json.loads(line) for line in run.metrics_path.read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, result["steps"] + 1))
    # The scores are of the very rows that were trained on, in evaluation, after the last update.
    loss = result["scores_of_these_rows"]["mse" if task in ("forecasting", "regression") else "loss"]
    assert loss == pytest.approx(last, rel=0.5, abs=0.02)
    assert not run.results_path.exists() and not list(run.checkpoint_path("best").parent.iterdir())


def test_a_model_that_cannot_learn_is_named(
    small: Compose, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    train(small("model=rnn", "debug=overfit", "debug.steps=3", "trainer.lr=1e-8"), run)
    assert "rnn did NOT memorise 16 rows: after 3 steps the loss is" in caplog.text
    assert not json.loads(capsys.readouterr().out)["learned"]
    assert read_json(run.status_path)["state"] == "finished"


def test_when_a_loss_counts_as_learned() -> None:
    assert learned([2.0, 0.04]) and not learned([2.0, 0.05]) and learned([2.0, -1.0])
    assert learned([-1.0, -1.98]) and not learned([-1.0, -1.5]) and not learned([1.0])


def test_no_regulariser_is_left(composed: Compose) -> None:
    """Every option of every kind of model whose name says that it regularises, and those of a task with classes."""
    own = ["task.adversarial=1", "task.virtual_adversarial=1", "task.rdrop=1", "data.unlabelled=more.csv"]
    for name in ("gru_attn", "self_attn", "linear", "segrnn", "gru_seq2seq_attn"):
        data = own if "_attn" in name and "seq2seq" not in name else ["data=sine"]
        config = composed(f"model={name}", *data, "debug=overfit", "trainer.weight_decay=0.1", "trainer.average=ema",
                          "trainer.unfreeze=1")  # fmt: skip
        assert config.trainer.weight_decay == 0.1
        simplify(config, SOLO)
        flat = flattened(config)
        assert {key for key in flat if "drop" in key or "penalty" in key} <= {
            key for key in flat if key.rpartition(".")[2] in REGULARISERS | {"locked_dropout"}
        }
        assert all(not flat[key] for key in flat if key.rpartition(".")[2] in REGULARISERS)
        assert not flat.get("data.unlabelled")
        assert config.trainer.average.value == "none" and config.trainer.schedule.value == "constant"
        assert config.trainer.unfreeze is None
    for mode in ("overfit", "profile"):
        with pytest.raises(ConfigError, match=f"debug='{mode}': must be in one process"):
            simplify(composed(f"debug={mode}"), Ranks(0, 2))


def flattened(node: object, prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in vars(node).items():
        flat |= flattened(value, f"{prefix}{key}.") if hasattr(value, "__dataclass_fields__") else {prefix + key: value}
    return flat


@pytest.mark.parametrize("task", TASKS)
def test_one_step_of_everything(
    tasks: Callable[[str, str], Config], tmp_path: Path, task: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tasks(task, "dry")
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    train(config, run)
    assert to_config(from_yaml(run.config_path)) == config
    results = read_json(run.results_path)
    assert results["best_step"] == 1 and list(results["scores"]) == [config.model.name]
    assert results["scoring"].endswith("of the first 2 batches of each split alone")
    assert "scores: " + results["scoring"] in " ".join(capsys.readouterr().out.split())  # its lines may be wrapped
    stored = stored_outputs(run.predictions_path)
    names = [name for name in stored if name not in ("rows", "lengths")]
    rows = stored["rows"]
    size = read_json(run.data_path)["sizes"]["test"]
    assert 0 < len(rows) < size and len(np.unique(rows)) == len(rows)
    for name in names:
        assert len(stored[name]) % len(rows) == 0
    assert {path.name for path in run.checkpoint_path("best").parent.iterdir()} >= {"best.pt", "last.pt"}
    assert read_json(run.status_path)["state"] == "finished"


def test_a_dry_run_says_so_afterwards(
    small: Compose, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("INFO")
    config = small("model=gru", "debug=dry")
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    train(config, run)
    capsys.readouterr()
    evaluate(config, config, run)
    assert json.loads(capsys.readouterr().out)["size"] == 80  # all rows, by a model of one step
    assert "was made by debug=dry; its model has made 1 step(s) only" in caplog.text
    with pytest.raises(RunError, match="was made by debug=dry, and cannot be resumed"):
        resume(config, config, run)


@pytest.mark.parametrize("mode", ["overfit", "profile"])
def test_what_keeps_no_model_is_refused(small: Compose, tmp_path: Path, mode: str) -> None:
    config = small("model=gru", f"debug={mode}", "debug.steps=2")
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    train(config, run)
    for use in (lambda: evaluate(config, config, run), lambda: seqtrain.load(run.path)):
        with pytest.raises(RunError, match=f"was made by debug={mode}, which saves no model"):
            use()
    with pytest.raises(RunError, match="cannot be resumed"):
        resume(config, config, run)


def test_a_trace_and_a_table(
    tasks: Callable[[str, str], Config], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tasks("language modelling", "profile")
    config.debug.steps = 2
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    train(config, run)
    with gzip.open(run.path / "steps.pt.trace.json.gz", "rt") as file:
        events = json.load(file)["traceEvents"]
    names = {event["name"] for event in events if "name" in event}
    assert sum(name.startswith("ProfilerStep#") for name in names) == 2
    assert {"aten::mm", "aten::addmm"} & names and any("backward" in name.lower() for name in names)
    printed = capsys.readouterr().out
    assert "Self CPU %" in printed and "aten::" in printed and "https://ui.perfetto.dev" in printed
    assert not list(run.checkpoint_path("best").parent.iterdir())
