"""Comparing real runs through the real command line, and in TensorBoard's HParams table."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from seqtrain.runs.json_files import read_json
from tests.command_line import seqtrain as command
from tests.html_page import Page, stands_alone

Run = Callable[..., subprocess.CompletedProcess[str]]

SMALL = [
    "data=text_files", "data.batch_size=16", "data.min_count=1", "data.vocab_size=100", "device=cpu",
    "model.embedding.embed_dim=12", "model.hidden_size=10", "trainer.max_steps=4", "trainer.eval_every=2",
    "trainer.lr=0.01", "trainer.warmup_steps=5", "trainer.figures=false", "trainer.probe=false",
]  # fmt: skip


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory, reviews: Path) -> Path:
    """A folder in which two models have been trained with two seeds each, below ``outputs/sweep``."""
    folder = tmp_path_factory.mktemp("comparison")
    result = command(
        folder, "-m", *SMALL, f"data.path={reviews}", "model=gru,rnn", "seed=0,1", "hydra.sweep.dir=outputs/sweep"
    )
    assert result.returncode == 0, result.stderr
    return folder


def test_compare_a_sweep(sweep: Path) -> None:
    result = command(sweep, "compare", "outputs")
    assert result.returncode == 0 and not result.stderr, result.stderr
    assert "majority class" in result.stdout and "test of 80 rows" in result.stdout
    assert "Intervals: paired bootstrap" in result.stdout
    result = command(sweep, "compare", "outputs/sweep", "format=csv", "metric=loss,accuracy")
    groups, pairs = (list(csv.DictReader(io.StringIO(part))) for part in result.stdout.split("\n\n"))
    for row in groups[:2]:
        results = [read_json(path) for path in (sweep / "outputs/sweep").glob("*/results.json")]
        losses = [each["scores"][row["group"]]["test"]["loss"] for each in results if each["model"] == row["group"]]
        assert len(losses) == int(row["runs"]) == 2
        assert float(row["loss"]) == pytest.approx(np.mean(losses))
        assert float(row["loss_sd"]) == pytest.approx(np.std(losses, ddof=1))
    assert {row["metric"] for row in pairs} == {"loss", "accuracy"}


def test_compare_writes_files(sweep: Path) -> None:
    for name in ("table.md", "table.html", "table.csv"):
        result = command(sweep, "compare", "outputs", f"output={name}")
        assert result.returncode == 0 and f"{name}: written" in result.stderr and not result.stdout
    assert (sweep / "table.md").read_text().startswith("## text\\_files")
    text = (sweep / "table.html").read_text()
    assert text.count("<svg") == 1  # two configurations and two evaluations: no chart of two points
    page = Page.of(text)
    assert stands_alone(text) and len(page.links) == 8  # each run in a table, and above its command
    assert all((sweep / unquote(each) / "status.json").is_file() for each in page.links)
    assert "data=text_files data.batch_size=16" in page.text
    assert (sweep / "table-pairs.csv").exists()


def test_compare_forecasters(tmp_path: Path) -> None:
    """One has the name of a baseline; the two are kept apart, and errors of windows are compared."""
    sizes = ["data=sine", "data.length=800", "data.lookback=48", "data.horizon=12", "trainer.max_steps=20"]
    quick = ["device=cpu", "trainer.figures=false"]
    result = command(tmp_path, "-m", *sizes, *quick, "model=linear,nlinear", "hydra.sweep.dir=sweep")
    assert result.returncode == 0, result.stderr
    result = command(tmp_path, "compare", "sweep", "format=csv", "metric=mse,mae")
    assert result.returncode == 0 and not result.stderr, result.stderr
    groups, pairs = (list(csv.DictReader(io.StringIO(part))) for part in result.stdout.split("\n\n"))
    scores = {(row["group"], row["is_baseline"]): float(row["mse"]) for row in groups}
    assert scores["linear", "true"] < scores["linear", "false"]
    assert len(scores) == len(groups) and ("linear (baseline)", "true") not in scores
    for row in pairs:
        of = {group["group"]: float(group[row["metric"]]) for group in groups if group["is_baseline"] == "false"}
        assert float(row["difference"]) == pytest.approx(of[row["worse"]] - of[row["better"]], rel=1e-4)
        assert int(row["block"]) >= 12


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "name at least one folder"),
        (["none"], "none: no such directory"),
        (["."], "contains no run (no status.json in it, nor one or two levels below)"),
        (["outputs", "format=pdf"], "format=pdf: no such format"),
        (["outputs", "split=train"], "split='train': must be test or validation"),
        (["outputs", "metric=acc"], "metric=acc: no run has it"),
        (["outputs", "metrics=accuracy"], "metrics=accuracy: expected a folder"),
        (["outputs", "output=none/out.md"], "output=none/out.md: its folder does not exist"),
    ],
)
def test_bad_input_is_one_line(sweep: Path, arguments: list[str], part: str) -> None:
    result = command(sweep, "compare", *arguments)
    assert result.returncode == 1
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("seqtrain: error: ") and part in line


def test_comparing_needs_no_torch(sweep: Path) -> None:
    code = (
        "import sys; from seqtrain.cli import dispatch; dispatch.dispatch(['compare', 'outputs', 'output=a.html']); "
        "print([m for m in ('torch', 'datasets', 'pandas', 'tensorboard') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=sweep, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_tensorboard_has_the_same_runs_with_sortable_metrics(sweep: Path) -> None:
    """What TensorBoard's own HParams backend makes of the event files."""
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.hparams import api_pb2, backend_context, get_experiment, list_session_groups

    folder = str(sweep / "outputs")
    multiplexer = EventMultiplexer().AddRunsFromDirectory(folder)
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, folder)
    backend = backend_context.Context(TBContext(logdir=folder, multiplexer=multiplexer, data_provider=provider))
    experiment = get_experiment.Handler(RequestContext(), backend, "", api_pb2.GetExperimentRequest()).run()
    options = {info.name for info in experiment.hparam_infos}
    assert {"model.name", "seed", "trainer.lr", "num_parameters"} <= options
    metrics = {info.name.tag: info.name for info in experiment.metric_infos}
    assert {"1_val/accuracy", "1_val/loss", "5_test/accuracy", "5_test/loss", "2_train/loss"} <= set(metrics)

    for tag in ("5_test/loss", "1_val/accuracy"):
        column = api_pb2.ColParams(metric=metrics[tag], order=api_pb2.ORDER_DESC)
        request = api_pb2.ListSessionGroupsRequest(
            allowed_statuses=[api_pb2.STATUS_SUCCESS], start_index=0, slice_size=10, col_params=[column]
        )
        response = list_session_groups.Handler(RequestContext(), backend, "", request).run()
        found = {}
        for group in response.session_groups:
            (session,) = group.sessions
            values = {value.name.tag: value.value for value in session.metric_values}
            path = sweep / "outputs" / session.name
            results = read_json(path / "results.json")
            assert group.hparams["model.name"].string_value == results["model"]
            own = results["scores"][results["model"]]
            assert values["5_test/loss"] == pytest.approx(own["test"]["loss"])
            last = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
            accuracies = [line["val/accuracy"] for line in last if "val/accuracy" in line]
            assert values["1_val/accuracy"] == pytest.approx(accuracies[-1])
            found[session.name] = values[tag]
        assert len(found) == 4
        assert list(found.values()) == sorted(found.values(), reverse=True), "TensorBoard sorts by this column"
