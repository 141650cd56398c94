"""TensorBoard on a folder of runs: its log directory, the columns of its HParams page, and the command."""

import json
import os
import signal
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorboard.plugins.hparams.metadata import EXPERIMENT_TAG, parse_experiment_plugin_data

from seqtrain.commands.board import LogDirectory
from seqtrain.commands.board_columns import Option, Row, columns, metrics, read_row, varying
from seqtrain.errors import ConfigError, RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.training.events import TensorBoard
from seqtrain.training.layout import layout
from seqtrain.training.tags import description, ordered
from tests.command_line import Command

Fails = Callable[..., None]


def write_run(path: Path, monitor: str = "accuracy", **options: Option) -> None:
    """A run as far as TensorBoard shows it."""
    run = RunDirectory.claim(path, exact=True)
    run.update_status(monitor=f"val/{monitor}")
    board = TensorBoard(path)
    board.media(0, {}, {"config": "seed: 1"})
    board.start_session({key.replace("__", "."): value for key, value in options.items()}, layout(monitor, "loss"))
    board.scalars(1, {f"val/{monitor}": 0.5})
    board.close()


def row(monitor: str | None = "accuracy", named: Callable[[str], str] = ordered, **options: Option) -> Row:
    return Row({key.replace("__", "."): value for key, value in options.items()}, monitor, named)


def experiment(summary: Any) -> Any:
    """What a summary tells TensorBoard of the columns."""
    (value,) = summary.value
    assert value.tag == EXPERIMENT_TAG
    return parse_experiment_plugin_data(value.metadata.plugin_data.content)


def test_columns_are_the_options_that_a_sweep_varies() -> None:
    sweep = [
        row(model__name="gru", trainer__lr=lr, trainer__epochs=3.0, num_parameters=9.0, model__pooling="last")
        for lr in (0.1, 0.01)
    ]
    assert varying(sweep) == {"trainer.lr": [0.01, 0.1]}
    sweep.append(row(model__name="lstm", trainer__lr=0.1, trainer__epochs=4.0, num_parameters=12.0, model__gates=4.0))
    assert varying(sweep) == {"model.name": ["gru", "lstm"], "trainer.lr": [0.01, 0.1]}
    assert varying(sweep[:1]) == {"model.name": ["gru"]}
    assert varying([]) == {}


def test_an_option_of_several_types_has_all_its_values() -> None:
    found = experiment(columns([row(trainer__patience="None"), row(trainer__patience=3.0), row(trainer__patience=2.0)]))
    (info,) = found.hparam_infos
    assert list(info.domain_discrete) == [2.0, 3.0, "None"] and info.differs
    (info,) = experiment(columns([row(trainer__lr=0.1), row(trainer__lr=0.01)])).hparam_infos
    assert (info.domain_interval.min_value, info.domain_interval.max_value) == (0.01, 0.1)


def test_options_that_all_runs_have_come_first() -> None:
    found = experiment(columns([row(seed=1.0), row(seed=2.0, model__heads=1.0), row(seed=2.0, model__heads=2.0)]))
    assert {info.name: info.differs for info in found.hparam_infos} == {"seed": True, "model.heads": False}


def test_the_best_score_of_every_run_is_among_the_first_metrics() -> None:
    rows = [row("loss"), row("accuracy"), row("accuracy"), row(None)]
    assert list(metrics(rows)) == [
        *("4_best/monitored", "5_test/monitored", "2_train/loss", "2_train/tokens_per_second", "2_train/grad_norm"),
        *("4_best/accuracy", "4_best/loss", "5_test/accuracy", "5_test/loss", "1_val/accuracy", "1_val/loss"),
    ]
    assert list(metrics(rows[1:])) == ["4_best/accuracy", "5_test/accuracy", "1_val/accuracy"]
    assert metrics(rows)["5_test/loss"] == description("test/loss")
    assert list(metrics([row("mse", named=str)])) == ["val/mse", "test/mse"]


def test_the_log_directory_follows_the_folder_and_leaves_it_alone(tmp_path: Path) -> None:
    folder, path = tmp_path / "runs", tmp_path / "board"
    path.mkdir()
    with pytest.raises(ConfigError, match="no such directory"):
        LogDirectory(folder, path).update()
    folder.mkdir()
    with pytest.raises(RunError, match="contains no run"):
        LogDirectory(folder, path).update()
    write_run(folder / "sweep/a", seed=1, model__name="gru")
    write_run(folder / "single", "loss", seed=1, model__name="gru", trainer__lr=0.1)
    (folder / "sweep/a/inner").mkdir()
    (folder / "sweep/a/inner/status.json").touch()  # deeper than runs are looked for
    before = sorted(folder.rglob("*"))
    directory = LogDirectory(folder, path)
    assert directory.update() == 2
    assert (path / "sweep/a").readlink() == folder / "sweep/a" and (path / "single").readlink() == folder / "single"
    assert [info.name for info in experiment(directory.written).hparam_infos] == ["model.name", "seed"]
    written = directory.place / "events.out.tfevents.columns"
    assert directory.update() == 2 and written.stat().st_size > 0
    write_run(folder / "sweep/b", seed=2, model__name="gru")
    assert directory.update() == 3
    assert [path.name for path in path.glob("columns-*")] == ["columns-2"]
    assert [info.name for info in experiment(directory.written).hparam_infos] == ["seed"]
    assert [path for path in sorted(folder.rglob("*")) if "sweep/b" not in str(path)] == before


def test_a_run_is_a_folder_of_one(tmp_path: Path) -> None:
    write_run(tmp_path / "run", seed=1)
    (tmp_path / "board").mkdir()
    assert LogDirectory(tmp_path / "run", tmp_path / "board").update() == 1
    assert (tmp_path / "board/run").is_symlink()


def test_damaged_event_files_have_no_row(tmp_path: Path) -> None:
    write_run(tmp_path / "run", seed=1)
    (path,) = (tmp_path / "run").glob("events.out.*")
    whole = read_row(tmp_path / "run")
    assert whole is not None and whole.options == {"seed": 1.0} and whole.monitor == "accuracy"
    content = path.read_bytes()
    for damaged in (b"", content[:100], b"x" * 200, content[:60] + b"x" * 60 + content[120:]):
        path.write_bytes(damaged)
        assert read_row(tmp_path / "run") is None
    path.unlink()
    os.mkfifo(path)
    assert read_row(tmp_path / "run") is None


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["board"], "board: name at least one folder of runs"),
        (["board", "nowhere"], "nowhere: no such directory"),
        (["board", "a", "b"], "board a b: expected one folder"),
        (["board", ".", "port=x"], "port=x: must be a whole number"),
        (["board", ".", "port=70000"], "port=70000: must be from 0 to 65535"),
        (["board", ".", "prot=1"], "prot=1: expected a folder of runs, port= or host="),
    ],
    ids=" ".join,
)
def test_wrong_arguments(tmp_path: Path, fails: Fails, arguments: list[str], part: str) -> None:
    fails(Command(tmp_path, *arguments).finish(), part)


def test_tensorboard_shows_the_columns_until_ctrl_c(tmp_path: Path, fails: Fails) -> None:
    write_run(tmp_path / "runs/a", seed=1)
    write_run(tmp_path / "runs/b", seed=2)
    (tmp_path / "temporary").mkdir()
    command = Command(tmp_path, "board", "runs", "port=0", variables={"TMPDIR": str(tmp_path / "temporary")})
    stdout = Path(command.files[1].name)
    deadline = time.monotonic() + 60
    while not stdout.read_text().endswith("\n") and time.monotonic() < deadline:
        time.sleep(0.05)
    address = stdout.read_text().strip()
    found: dict[str, Any] = {}
    while not found.get("metricInfos") and time.monotonic() < deadline:
        time.sleep(0.05)
        with urllib.request.urlopen(f"{address}data/plugin/hparams/experiment?request=%7B%7D") as answer:
            found = json.load(answer)
    assert [info["name"] for info in found["hparamInfos"]] == ["seed"]
    assert found["metricInfos"][0]["name"]["tag"] == "4_best/accuracy"
    port = address.rstrip("/").rpartition(":")[2]
    fails(Command(tmp_path, "board", "runs", f"port={port}").finish(), f"port={port}: TensorBoard cannot listen there")
    command.send_signal(signal.SIGINT)
    ended = command.finish()
    assert ended.returncode == 0 and ended.stderr.splitlines() == [
        f"runs: 2 runs in TensorBoard at {address}; Ctrl-C ends it"
    ]
    assert list((tmp_path / "temporary").iterdir()) == []
