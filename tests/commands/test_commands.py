"""Train, evaluate and predict in-process, over every model and on small real files."""

import csv
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tokenizers import Tokenizer

import seqtrain
from seqtrain.commands.build import build_data
from seqtrain.commands.check_resume import StopAt, first_difference
from seqtrain.commands.evaluate import evaluate
from seqtrain.commands.predict import predict
from seqtrain.commands.session import start
from seqtrain.commands.train import resume, train
from seqtrain.config.base import Targets
from seqtrain.config.loading import from_yaml, to_config
from seqtrain.config.root import Config
from seqtrain.errors import ConfigError, DataError, Interrupted, RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import read_json
from seqtrain.tasks.classification.predict import ClassPredictor
from seqtrain.training.checkpoint import load_checkpoint
from seqtrain.training.device import has_bf16
from seqtrain.training.observers import JsonLines
from seqtrain.training.ranks import SOLO
from seqtrain.training.tags import ordered
from tests.configs import models_for
from tests.outputs import stored_outputs

Compose = Callable[..., Config]
Finished = tuple[Config, RunDirectory]

MODELS = models_for(Targets.sequence_class)


@pytest.fixture(scope="module")
def finished(small: Compose, tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, RunDirectory]:
    """A run with everything that is logged."""
    config = small(
        "model=gru_attn", "trainer.epochs=4", "trainer.figures=true", "trainer.baselines=true", "trainer.log_every=10"
    )
    run = RunDirectory.claim(tmp_path_factory.mktemp("runs") / "run", exact=True)
    with run.recording_outcome():
        train(config, run)
    return config, run


def scores(run: RunDirectory, who: str, split: str) -> dict[str, float]:
    return read_json(run.path / "results.json")["scores"][who][split]


@pytest.mark.parametrize("name", MODELS)
def test_every_model_trains_evaluates_and_predicts(small: Compose, tmp_path: Path, name: str) -> None:
    config = small(f"model={name}", "trainer.max_steps=6")
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    best = train(config, run)
    assert best == scores(run, name, "validation")["accuracy"]
    assert evaluate(config, config, run) == scores(run, name, "test")
    assert len(seqtrain.load(str(run.path)).predict(["a good film", "a bad film"])) == 2


def test_the_run_directory_is_complete(finished: Finished) -> None:
    config, run = finished
    assert to_config(from_yaml(run.config_path)) == config
    status = read_json(run.status_path)
    assert status["state"] == "finished" and status["best"]["val/accuracy"] > 0.9
    environment = read_json(run.path / "environment.json")
    assert environment["packages"]["torch"] and environment["command"]
    data = read_json(run.data_path)
    assert data["spec"]["class_names"] == ["neg", "pos"] and data["fingerprint"] and data["sizes"]["test"] == 80
    assert {p.name for p in run.path.iterdir()} >= {"tokenizer.json", "metrics.jsonl", "checkpoints", "predictions"}


def test_stored_predictions_give_the_reported_score(finished: Finished) -> None:
    _, run = finished
    assert stored_outputs(run.predictions_path)["rows"].tolist() == list(range(80))
    for split in ("validation", "test"):
        stored = stored_outputs(run.predictions_of(split))
        right = stored["probabilities"].argmax(1) == stored["targets"]
        assert right.mean() == scores(run, "gru_attn", split)["accuracy"]
    rows = stored_outputs(run.predictions_of("validation"))["rows"]
    assert len(set(rows)) == 30 and rows.max() < 300  # numbers in the source, train.csv


def test_metrics_file_and_tensorboard_agree(finished: Finished) -> None:
    _, run = finished
    lines = [json.loads(line) for line in run.metrics_path.read_text().splitlines()]
    written = {(ordered(tag), line["step"]): value for line in lines for tag, value in line.items() if tag != "step"}
    events = EventAccumulator(str(run.path), size_guidance={"images": 0, "tensors": 0})
    events.Reload()
    shown = {(tag, e.step): e.value for tag in events.Tags()["scalars"] for e in events.Scalars(tag)}
    only_shown = {tag for tag, _ in shown.keys() - written.keys()}
    assert written.keys() <= shown.keys()
    assert {tag for tag in only_shown if not tag.startswith(("4_best/", "6_baseline/"))} == {
        *("2_train/max_grad_norm", "5_test/monitored")
    }
    last = max(line["step"] for line in lines)
    assert shown["4_best/monitored", last] == shown["4_best/accuracy", last]
    assert shown["5_test/monitored", last] == shown["5_test/accuracy", last]
    assert shown["4_best/accuracy", last] == max(value for (tag, _), value in shown.items() if tag == "1_val/accuracy")
    for key, value in written.items():
        assert math.isclose(shown[key], value, rel_tol=1e-6), key
    tags = {tag for tag, _ in written}
    assert tags >= {
        *(f"2_train/{name}" for name in ("loss", "learning_rate", "grad_norm", "padding_waste")),
        *("2_train/tokens_per_second", "2_train/mfu"),
        *(f"{split}/{metric}" for split in ("1_val", "5_test")
          for metric in ("loss", "accuracy", "macro_f1", "auroc", "calibration_error")),
    }  # fmt: skip
    images, texts = set(events.Tags()["images"]), set(events.Tags()["tensors"])
    assert {"1_val/confusion", "1_val/reliability"} <= images
    assert {f"attention/pooling/{i}" for i in range(4)} <= images
    assert {f"{group}/{tag}" for group in ("4_best", "5_test") for tag in ("confusion", "reliability")} <= images
    assert {f"0_run/{name}/text_summary" for name in ("card", "model", "config")} <= texts
    assert {"attention/pooling/0/text_summary", "5_test/scores_by_class/text_summary"} <= texts
    assert {"4_best/precision_recall/pos", "5_test/precision_recall/pos"} <= texts
    assert not any(tag.startswith(("weights/", "gradients/")) for tag in texts | set(events.Tags()["histograms"]))

    def text(tag: str) -> str:
        return events.Tensors(f"{tag}/text_summary")[0].tensor_proto.string_val[0].decode()

    assert "hidden_size: 12" in text("0_run/config")
    assert "gru&#95;attn on text&#95;files" in text("0_run/card") and "stratified by class" in text("0_run/card")
    assert "`model.embedding`" in text("0_run/model")
    recall = [line.split("|")[3].strip() for line in text("5_test/scores_by_class").splitlines()[2:]]
    assert sum(map(float, recall)) / 2 == pytest.approx(scores(run, "gru_attn", "test")["accuracy"], abs=1e-4)


def test_the_embedding_is_written_for_the_projector(finished: Finished) -> None:
    _, run = finished
    rows = [row.split("\t") for row in (run.path / "projector/tokens.tsv").read_text().splitlines()]
    counts = [int(count) for _, count in rows[1:]]
    assert rows[0] == ["token", "count"] and counts == sorted(counts, reverse=True) and counts[-1] > 0
    vectors = np.fromfile(run.path / "projector/vectors.bytes", "<f4").reshape(len(counts), -1)
    weights = load_checkpoint(run.checkpoint_path("best"), run.id)["model"]["embedding.weight"].numpy()
    tokenizer = Tokenizer.from_file(str(run.path / "tokenizer.json"))
    for place in (0, len(counts) - 1):
        assert vectors[place].tolist() == weights[tokenizer.token_to_id(rows[place + 1][0])].tolist()


def test_hparams_session_has_a_start_and_an_end_and_no_experiment(finished: Finished) -> None:
    from tensorboard.plugins.hparams import plugin_data_pb2

    _, run = finished
    events = EventAccumulator(str(run.path))
    events.Reload()
    content = events.summary_metadata
    parts = {
        tag: plugin_data_pb2.HParamsPluginData.FromString(metadata.plugin_data.content)
        for tag, metadata in content.items()
        if metadata.plugin_data.plugin_name == "hparams"
    }
    assert {p.WhichOneof("data") for p in parts.values()} == {"session_start_info", "session_end_info"}
    start = parts["_hparams_/session_start_info"].session_start_info
    assert start.hparams["model.hidden_size"].number_value == 12
    assert start.hparams["data.name"].string_value == "text_files"


def test_baselines_stand_beside_the_model(
    finished: Finished, small: Compose, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, run = finished
    assert scores(run, "majority class", "test")["accuracy"] == 0.5
    assert scores(run, "naive Bayes", "test")["accuracy"] > 0.8
    train(small("trainer.max_steps=1", "trainer.baselines=true"), RunDirectory.claim(tmp_path / "r", exact=True))
    table = " ".join(capsys.readouterr().out.split())
    assert "majority class" in table and "accuracy" in table
    assert "gru_attn on test accuracy: " in table and "(paired 95 % intervals)" in table


def test_evaluation_of_other_splits_checkpoints_and_data(finished: Finished, reviews: Path, tmp_path: Path) -> None:
    config, run = finished
    assert evaluate(config, config, run, split="validation") == scores(run, "gru_attn", "validation")
    assert evaluate(config, config, run, checkpoint="last")["accuracy"] > 0.8
    other = to_config(from_yaml(run.config_path))
    other.data.path = str(tmp_path / "new.csv")  # type: ignore[attr-defined]
    header, *lines = (reviews / "test.csv").read_text().splitlines()
    Path(tmp_path / "new.csv").write_text("\n".join([header, *lines[:20]]))
    stored = stored_outputs(run.predictions_path)
    expected = (stored["probabilities"].argmax(1) == stored["targets"])[:20].mean()
    assert evaluate(config, other, run, other_data=True)["accuracy"] == expected
    (tmp_path / "new.csv").write_text("text,label\nwhat,maybe\n")
    with pytest.raises(DataError, match="'maybe'"):
        evaluate(config, other, run, other_data=True)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/test.csv").write_text((reviews / "test.csv").read_text())
    other.data.path = str(tmp_path / "folder")  # type: ignore[attr-defined]
    assert evaluate(config, other, run, other_data=True) == scores(run, "gru_attn", "test")


def test_classes_of_the_run_hold_for_other_data(small: Compose, finished: Finished, tmp_path: Path) -> None:
    """Also where another run has prepared the same texts with other labels."""
    config, run = finished
    rows = [f"text {i},{'pos' if i % 2 else 'neg'},{'a' if i % 2 else 'b'}" for i in range(40)]
    (tmp_path / "two.csv").write_text("\n".join(["text,label,other", *rows]))
    first = RunDirectory.claim(tmp_path / "first", exact=True)
    saved = small(f"data.path={tmp_path}/two.csv", "trainer.max_steps=1")
    train(saved, first)
    second = RunDirectory.claim(tmp_path / "second", exact=True)
    train(small(f"data.path={tmp_path}/two.csv", "data.label_column=other", "trainer.max_steps=1"), second)
    changed = to_config(from_yaml(first.config_path))
    changed.data.label_column = "other"  # type: ignore[attr-defined]
    with pytest.raises(DataError, match="not one of the classes of train"):
        evaluate(saved, changed, first, split="validation")


def test_evaluation_does_not_depend_on_the_batch_size(finished: Finished) -> None:
    config, run = finished
    other = to_config(from_yaml(run.config_path))
    other.data.eval_batch_tokens = 400  # type: ignore[attr-defined]
    metrics = evaluate(config, other, run)
    for name, value in scores(run, "gru_attn", "test").items():
        assert metrics[name] == pytest.approx(value, abs=1e-6), name


def test_changes_that_make_another_model_are_refused(finished: Finished) -> None:
    config, run = finished
    other = to_config(from_yaml(run.config_path))
    other.model.hidden_size = 11  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="model.hidden_size: is fixed by the trained run"):
        evaluate(config, other, run)
    with pytest.raises(ConfigError, match="model.hidden_size: cannot change when a run is resumed"):
        resume(config, other, run)
    longer = to_config(from_yaml(run.config_path))
    longer.trainer.epochs = 9
    with pytest.raises(ConfigError, match=r"trainer.epochs: cannot change.*trainer.schedule=linear"):
        resume(config, longer, run)
    with pytest.raises(ConfigError, match="split=dev: must be one of train, validation, test"):
        evaluate(config, config, run, split="dev")
    with pytest.raises(ConfigError, match="checkpoint=worst"):
        evaluate(config, config, run, checkpoint="worst")


def test_resume_lengthens_a_run_and_keeps_its_curves(small: Compose, tmp_path: Path) -> None:
    constant = ["trainer.schedule=constant", "trainer.log_every=5"]
    whole = RunDirectory.claim(tmp_path / "whole", exact=True)
    train(small(*constant, "trainer.epochs=3"), whole)
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    short = small(*constant, "trainer.epochs=2")
    train(short, run)
    with run.metrics_path.open("a") as file:
        file.write('{"step": 99, "train/loss": 1.0}\n{"step": 10')  # beyond the checkpoint, and cut short
    resume(short, small(*constant, "trainer.epochs=3"), run)

    def curve(run: RunDirectory) -> list[tuple[int, float]]:
        lines = [json.loads(line) for line in run.metrics_path.read_text().splitlines()]
        return [(line["step"], line["train/loss"]) for line in lines if "train/loss" in line]

    extra = {34}  # the last step of the short run, which the long one does not log
    assert [pair for pair in curve(run) if pair[0] not in extra | {35}] == [p for p in curve(whole) if p[0] != 35]
    assert scores(run, "gru_attn", "test") == scores(whole, "gru_attn", "test")
    assert to_config(from_yaml(run.config_path)).trainer.epochs == 3

    written = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    long = to_config(from_yaml(run.config_path))
    shorter = {
        "trainer.max_steps=10": r"trainer.max_steps=10: ends at step 10, but \S+run has made 51 steps",
        "trainer.epochs=2": r"trainer.epochs=2: ends at step 34, but \S+run has made 51 steps",
    }
    for option, message in shorter.items():
        with pytest.raises(ConfigError, match=message):
            resume(long, small(*constant, "trainer.epochs=3", option), run)
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == written


def test_a_loss_that_ends_above_where_it_began_is_said(
    small: Compose, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for rate, said in (("1e6", True), ("0.01", False)):
        run = RunDirectory.claim(tmp_path / rate, exact=True)
        train(small("model=gru", f"trainer.lr={rate}", "trainer.max_steps=12"), run)
        assert ("training: the loss ended at " in capsys.readouterr().out) is said
        assert ("training" in read_json(run.results_path)["remarks"]) is said


def test_a_run_may_end_where_it_was_stopped(small: Compose, tmp_path: Path) -> None:
    """As one that was planned to end there: it is evaluated there too. The warmup fits into both lengths."""
    options = ["trainer.schedule=constant", "trainer.warmup_steps=1", "trainer.eval_every=3", "trainer.log_every=1"]
    whole, run = (RunDirectory.claim(tmp_path / name, exact=True) for name in ("whole", "run"))
    planned = small(*options, "trainer.max_steps=7")
    train(planned, whole)
    saved = small(*options, "trainer.max_steps=20")
    session = start(saved, run, SOLO)
    lines = JsonLines(run.metrics_path)
    session.trainer.observers = [StopAt(7, session.trainer), lines]
    with pytest.raises(Interrupted):
        session.trainer.fit()
    lines.close()
    content = run.metrics_path.read_text()
    run.metrics_path.write_text(content + '{"step": 7, "val/accuracy": 0}\n' * 2)
    with pytest.raises(ConfigError, match="patience=1: .* has made up to 3 evaluations in a row without a better"):
        resume(saved, small(*options, "trainer.max_steps=20", "trainer.patience=1"), run)
    run.metrics_path.write_text(content)
    resume(saved, planned, run)
    curves = [[json.loads(line) for line in each.metrics_path.read_text().splitlines()] for each in (whole, run)]
    assert first_difference(curves[0], curves[1], "metrics") is None
    assert read_json(run.results_path) == read_json(whole.results_path)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_predict_keeps_columns_and_agrees_with_evaluation(finished: Finished, tmp_path: Path, suffix: str) -> None:
    from seqtrain.data.tables.reading import read_table

    config, run = finished
    source = tmp_path / "new.csv"
    source.write_text("id,text\n7,a good film\n8,\n9,a bad plot\n")
    predict(config, config, run, str(source), str(tmp_path / f"out.{suffix}"))
    rows = read_table(tmp_path / f"out.{suffix}").columns.to_pylist()
    assert [list(row) for row in rows] == [["id", "text", "prediction", "p_neg", "p_pos"]] * 3
    assert [str(row["id"]) for row in rows] == ["7", "8", "9"]
    assert rows[1]["prediction"] is None and rows[1]["p_neg"] is None
    assert (rows[0]["prediction"], rows[2]["prediction"]) == ("pos", "neg")
    expected = seqtrain.load(run.path).predict(["a good film"])[0]
    assert float(rows[0]["p_pos"]) == pytest.approx(expected.probabilities["pos"], abs=1e-6)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new.csv", f"out.{suffix}"]


def test_predict_carries_columns_of_any_type(finished: Finished, tmp_path: Path) -> None:
    config, run = finished
    rows: list[dict[str, Any]] = [
        {"id": 1, "text": "a good film", "more": ["a", 1]},
        {"id": "x2", "text": 'caf\u00e9 "bad"', "more": None},
        {"id": 3.0, "text": 404, "more": {"k": True}},
    ]
    (tmp_path / "new.jsonl").write_text("\n".join(map(json.dumps, rows)))
    predict(config, config, run, str(tmp_path / "new.jsonl"), str(tmp_path / "out.jsonl"))
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert repr([{key: row[key] for key in rows[0]} for row in written]) == repr(rows)
    (tmp_path / "ids.jsonl").write_text("\n".join(json.dumps({k: row[k] for k in ("id", "text")}) for row in rows))
    predict(config, config, run, str(tmp_path / "ids.jsonl"), str(tmp_path / "out.csv"))
    with (tmp_path / "out.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [row["id"] for row in read] == ["1", "x2", "3.0"] and read[1]["text"] == rows[1]["text"]
    with pytest.raises(DataError, match="column 'more' contains lists or objects; write .jsonl"):
        predict(config, config, run, str(tmp_path / "new.jsonl"), str(tmp_path / "out.csv"))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", "text\na good film\n\n\na bad plot\n", ["pos", None, None, "neg"]),
        ("a.tsv", 'id\ttext\n1\t"good film\n2\tbad\n3\tgood"\n', ["pos", "neg", "pos"]),
        ("a.TXT", "good film\n\nbad", ["pos", None, "neg"]),
    ],
)
def test_predictions_line_up_with_the_rows(
    finished: Finished, tmp_path: Path, name: str, content: str, expected: list[str | None]
) -> None:
    config, run = finished
    (tmp_path / name).write_text(content)
    predict(config, config, run, str(tmp_path / name), str(tmp_path / "out.jsonl"))
    written = [json.loads(line)["prediction"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert written == expected


def test_a_prediction_does_not_depend_on_its_neighbours(finished: Finished) -> None:
    _, run = finished
    model = seqtrain.load(str(run.path))
    assert isinstance(model, ClassPredictor)
    texts = ["good", "a bad " * 30, "film", "great music " * 10]
    alone = np.concatenate([model.predict_probabilities([text]) for text in texts])
    np.testing.assert_allclose(model.predict_probabilities(texts), alone, atol=1e-5)
    assert model.predict_probabilities([]).shape == (0, 2)
    assert model.predict([]) == []


@pytest.mark.parametrize(
    ("source", "output", "error", "message"),
    [
        ("none.csv", "out.csv", DataError, "no such file"),
        ("in.csv", "none/out.csv", ConfigError, "output=.*cannot be written"),
        ("in.csv", "out.xlsx", ConfigError, "must end in"),
        ("in.csv", ".", ConfigError, "output="),
        ("other.csv", "out.csv", DataError, "no column 'text' .data.text_column.; its columns: sentence"),
        ("taken.csv", "out.csv", DataError, "already has a column 'prediction'"),
    ],
)
def test_predict_on_bad_input_writes_nothing(
    finished: Finished, tmp_path: Path, source: str, output: str, error: type[Exception], message: str
) -> None:
    config, run = finished
    (tmp_path / "in.csv").write_text("text\na\n")
    (tmp_path / "other.csv").write_text("sentence\na\n")
    (tmp_path / "taken.csv").write_text("text,prediction\na,b\n")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(error, match=message):
        predict(config, config, run, str(tmp_path / source), str(tmp_path / output))
    assert sorted(tmp_path.iterdir()) == before


def test_labels_of_symbols_are_predicted(composed: Compose, tmp_path: Path) -> None:
    config = composed("data=reverse", "data.num_eval=8", "trainer.max_steps=1", "model.hidden_size=4", "device=cpu")
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    train(config, run)
    other = composed("data=reverse", "data.num_eval=8", "trainer.max_steps=1", "model.hidden_size=4", "device=cpu")
    other.data.num_symbols = 20  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"data\.num_symbols: is fixed by the trained run"):
        evaluate(config, other, run)
    stored = stored_outputs(run.predictions_path)
    assert stored["predictions"].shape == stored["targets"].shape == (8 * 20,) and stored["lengths"].sum() == 160
    batch = next(iter(build_data(config).eval_batches("test")))
    rows = [*batch.inputs.tolist(), []]
    (tmp_path / "rows.jsonl").write_text(
        "".join(json.dumps({"inputs": row, "id": i}) + "\n" for i, row in enumerate(rows))
    )
    predict(config, config, run, str(tmp_path / "rows.jsonl"), str(tmp_path / "out.jsonl"))
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    expected = np.split(stored["predictions"].astype(str), 8)
    assert [row["prediction"] for row in written] == [*(part.tolist() for part in expected), None]
    assert [row["id"] for row in written] == list(range(9))
    results = seqtrain.load(run.path).predict(rows[:2])
    assert [result.labels for result in results] == [part.tolist() for part in expected[:2]]
    assert all(1 / 8 <= share <= 1 for result in results for share in result.probabilities)
    for wrong in ([[8]], [["a"]], [[0.5]], [[1, 2], [[1, 2]]]):
        with pytest.raises(
            DataError, match=rf"row {len(wrong) - 1} of the inputs: must be a list of whole numbers from 0 to 7"
        ):
            seqtrain.load(run.path).predict(wrong)


def test_numbers_of_sequences_are_predicted(composed: Compose, tmp_path: Path) -> None:
    config = composed("data=adding", "data.num_eval=6", "data.length=9", "trainer.max_steps=2", "model.hidden_size=4",
                      "device=cpu")  # fmt: skip
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    train(config, run)
    batch = next(iter(build_data(config).eval_batches("test")))
    rows = [row[:length].tolist() for row, length in zip(batch.inputs, batch.lengths, strict=True)]
    model = seqtrain.load(run.path)
    stored = stored_outputs(run.predictions_path)["predictions"]
    np.testing.assert_allclose([result.value for result in model.predict(rows)], stored, rtol=1e-5)
    assert model.predict([]) == []
    parquet.write_table(pa.table({"inputs": [*rows, None], "name": list("abcdefg")}), tmp_path / "rows.parquet")
    predict(config, config, run, str(tmp_path / "rows.parquet"), str(tmp_path / "out.csv").replace("csv", "parquet"))
    table = parquet.read_table(tmp_path / "out.parquet")
    assert table.column("name").to_pylist() == list("abcdefg") and table.column("prediction").null_count == 1
    np.testing.assert_allclose(table.column("prediction").to_pylist()[:6], stored, rtol=1e-5)
    with pytest.raises(DataError, match="row 0 of the inputs: must be a list of pairs of numbers"):
        model.predict([[1, 2, 3]])


def test_runs_without_a_usable_checkpoint(finished: Finished, tmp_path: Path) -> None:
    config, run = finished
    copy = RunDirectory(shutil.copytree(run.path, tmp_path / "copy"))
    best = copy.checkpoint_path("best")
    content = best.read_bytes()
    best.unlink()
    with pytest.raises(RunError, match="no such checkpoint"):
        evaluate(config, config, copy)
    best.write_bytes(content[: len(content) // 2])
    with pytest.raises(RunError, match="truncated"):
        evaluate(config, config, copy)
    assert evaluate(config, config, copy, checkpoint="last")  # what was written before stays usable


def test_the_run_is_enough_where_the_cache_is_gone(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, run = finished
    monkeypatch.setenv("SEQTRAIN_CACHE_DIR", str(tmp_path / "empty"))
    assert evaluate(config, config, run) == scores(run, "gru_attn", "test")


def test_a_refused_resume_leaves_the_run_as_it_was(finished: Finished, tmp_path: Path) -> None:
    config, run = finished
    copy = RunDirectory(shutil.copytree(run.path, tmp_path / "copy"))
    before = {path: path.read_bytes() for path in copy.path.rglob("*") if path.is_file()}
    other = to_config(from_yaml(copy.config_path))
    other.model.hidden_size = 11  # type: ignore[attr-defined]
    with pytest.raises(ConfigError):
        resume(config, other, copy)
    for which in ("last", "previous"):
        copy.checkpoint_path(which).write_bytes(b"no checkpoint")
        before.pop(copy.checkpoint_path(which), None)
    with pytest.raises(RunError, match=r"last\.pt: .* truncated or damaged"):
        resume(config, config, copy)
    assert all(path.read_bytes() == content for path, content in before.items())


def test_a_config_that_no_longer_fits_the_weights(finished: Finished, tmp_path: Path) -> None:
    config, run = finished
    copy = RunDirectory(shutil.copytree(run.path, tmp_path / "copy"))
    copy.config_path.write_text(copy.config_path.read_text().replace("hidden_size: 12", "hidden_size: 11"))
    edited = to_config(from_yaml(copy.config_path))
    with pytest.raises(RunError, match=r"does not fit the model that config\.yaml"):
        evaluate(edited, edited, copy)


def test_other_options_train(small: Compose, tmp_path: Path) -> None:
    """Each changes the loss of the first step, or the batches, and still learns."""
    losses = {}
    data = ["data.batch_tokens=500", "data.tokenizer=char", "data.tokenizer=bpe"]
    task = ["task.class_weights=[1,5]", "task.label_smoothing=0.3"]
    bf16 = ["trainer.precision=bf16"] if has_bf16(torch.device("cpu")) else []  # fp32 elsewhere
    for name in ("seed=0", *data, *task, "trainer.optimizer=sgd", *bf16):
        run = RunDirectory.claim(tmp_path / name, exact=True)
        extra = ["data.vocab_size=400"] if "bpe" in name else []
        train(small("trainer.max_steps=20", "trainer.log_every=20", name, *extra), run)
        (line,) = [json.loads(t) for t in run.metrics_path.read_text().splitlines() if "train/loss" in t]
        losses[name] = line["train/loss"]
    assert len(set(losses.values())) == len(losses) and all(0 < loss < 1.5 for loss in losses.values())
