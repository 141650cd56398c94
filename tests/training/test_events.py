"""What a run writes for TensorBoard."""

import re
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import DataClass
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

from seqtrain.comparison.metrics import statistics_of
from seqtrain.probe.tags import DESCRIPTIONS
from seqtrain.training.event_files import FINAL
from seqtrain.training.events import TensorBoard, write_final_events
from seqtrain.training.layout import layout
from seqtrain.training.media import Media
from seqtrain.training.tags import description, ordered, picture_description

TASKS = (
    "classification",
    "multilabel",
    "sequence_labelling",
    "sequence_regression",
    "language_modelling",
    "forecasting",
)


def values(path: Path) -> list[tuple[int, Any]]:
    """Step and value of all summaries in an event file."""
    events = [Event.FromString(record) for record in RawEventFileLoader(str(path)).Load()]
    return [(event.step, value) for event in events for value in event.summary.value]


def test_groups_sort_by_what_is_looked_at_first() -> None:
    groups = ["val", "train", "probe", "best", "test", "baseline"]
    tags = [ordered(f"{group}/loss") for group in groups]
    assert tags == sorted(tags) and [tag.split("_", 1)[1] for tag in tags] == [f"{group}/loss" for group in groups]
    assert ordered("attention/pooling/0") == "attention/pooling/0" and ordered("config") == "config"


def test_the_health_panel_is_described_and_has_its_charts() -> None:
    assert description("probe/gates/saturated/encoder1") == DESCRIPTIONS["gates/saturated"]
    assert picture_description("probe/health") == DESCRIPTIONS["health"]
    tags = [f"3_probe/{name}" for name in DESCRIPTIONS if "/" in name]
    tags += [f"{tag}/encoder1_backward" for tag in tags]
    charts = [chart for category in Layout.FromString(layout("accuracy", "loss")).category for chart in category.chart]
    for tag in tags:  # time_constant_low is not on the chart of time_constant
        assert sum(re.match(rule, tag) is not None for chart in charts for rule in chart.multiline.tag) == 1, tag


@pytest.mark.parametrize("task", TASKS)
def test_every_metric_that_a_task_registers_is_described(task: str) -> None:
    metrics = statistics_of(task).metrics
    assert metrics
    for metric in metrics:
        assert description(f"test/{metric}").startswith(description(f"val/{metric}").split(".")[0]), metric
        assert len(description(f"val/{metric}")) > len("On validation, at each evaluation.") + 20, metric


def test_a_tag_is_described_once_and_kept_by_the_server(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path, max_grad_norm=0.5)
    board.start_session({"seed": 1}, layout("accuracy", "loss"))
    for step in (1, 2):
        board.scalars(step, {"train/loss": 0.5, "train/grad_norm": 2.0})
    figure = Figure(figsize=(1, 1))
    board.media(2, {"val/confusion": figure}, {"sample/0": "text"})
    board.close()
    (path,) = tmp_path.glob("events.out.tfevents.*")
    assert path.suffix == ".ordered"
    found = values(path)
    losses = [value for _, value in found if value.tag == "2_train/loss"]
    assert [value.metadata.summary_description for value in losses] == [description("train/loss"), ""]
    assert [value.simple_value for value in losses] == [0.5, 0.5]
    assert losses[0].metadata.data_class == DataClass.Value("DATA_CLASS_SCALAR")
    assert [(step, value.simple_value) for step, value in found if value.tag == "2_train/max_grad_norm"] == [
        (1, 0.5),
        (2, 0.5),
    ]
    by_tag = {value.tag: value for _, value in found}
    assert by_tag["1_val/confusion"].metadata.summary_description == picture_description("val/confusion") != ""
    assert by_tag["sample/0/text_summary"].metadata.summary_description == picture_description("sample/0") != ""
    read = Layout.FromString(by_tag["custom_scalars__config__"].tensor.string_val[0])
    assert [category.title for category in read.category] == [
        "progress",
        "optimisation",
        "memory",
        "gates",
        "attention",
    ]
    assert list(read.category[0].chart[1].multiline.tag) == [r"(\d_)?val/accuracy$", r"(\d_)?baseline/accuracy/.*"]


def test_a_run_of_an_earlier_version_keeps_its_names(tmp_path: Path) -> None:
    earlier = tmp_path / "events.out.tfevents.1.host.1.0"
    earlier.touch()
    board = TensorBoard(tmp_path)
    board.scalars(1, {"val/loss": 0.5})
    board.close()
    (path,) = set(tmp_path.iterdir()) - {earlier}
    assert [value.tag for _, value in values(path)] == ["val/loss"]
    write_final_events(tmp_path, {"test/loss": 0.5}, {}, 1, Media(), 1)
    assert [value.tag for _, value in values(tmp_path / FINAL)] == ["test/loss"]


def test_baselines_are_level_lines(tmp_path: Path) -> None:
    write_final_events(tmp_path, {"best/loss": 0.5}, {"baseline/loss/most frequent": 0.75}, 9, Media(), 4)
    found = [(step, value.tag, value.simple_value) for step, value in values(tmp_path / FINAL)]
    line = "6_baseline/loss/most frequent"
    assert found == [(0, line, 0.75), (9, line, 0.75), (9, "4_best/loss", 0.5)]
