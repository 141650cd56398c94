"""Trials that report, are pruned or are lost, against Optuna's own loop."""

import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from filelock import FileLock
from optuna.trial import TrialState
from sqlalchemy import text

from hydra_plugins.seqtrain_optuna import _study
from hydra_plugins.seqtrain_optuna._space import SearchSpace
from hydra_plugins.seqtrain_optuna.config import Direction, OptunaSweeperConfig
from seqtrain.config.loading import to_yaml
from seqtrain.config.sweep import SweepConfig
from seqtrain.errors import ConfigError, Pruned
from seqtrain.runs.directory import RunDirectory
from seqtrain.training.pruning import StudyReporter

SPACE = SearchSpace({"x": optuna.distributions.FloatDistribution(0, 1)}, [])
MEDIAN = {"_target_": "optuna.pruners.MedianPruner", "n_startup_trials": 2, "n_warmup_steps": 1}


def open_study(folder: Path, **options: Any) -> tuple[optuna.Study, optuna.storages.RDBStorage]:
    given: dict[str, Any] = {"sampler": {"_target_": "optuna.samplers.RandomSampler"}, "pruner": MEDIAN} | options
    return _study.open_study(OptunaSweeperConfig(**given), SPACE, Direction.minimize, folder)


def ask(study: optuna.Study, folder: Path) -> optuna.Trial:
    trial = study.ask(SPACE.distributions)
    _study.set_trial_attributes(trial, folder, MEDIAN)
    return trial


def reporter(study: optuna.Study, storage: Any, trial: int, folder: Path, total_steps: int = 1000) -> StudyReporter:
    options = SweepConfig(storage=storage.url, study=study.study_name, trial=trial)
    return StudyReporter(options, "val/mse", total_steps, folder)


CURVES = [[5.0, 3.0, 2.0], [4.0, 3.5, 1.0], [4.5, 3.6, 3.0], [6.0, 2.9, 2.5], [9.0, 9.0, 1.0], [4.0, float("nan"), 1.0]]


def test_trials_are_pruned_where_optunas_own_loop_prunes_them(tmp_path: Path) -> None:
    """A step of the pruner is an evaluation; values with other tags do not count."""
    expected = []
    own = optuna.create_study(pruner=optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=1))
    for curve in CURVES:
        trial = own.ask()
        for step, value in enumerate(curve):
            trial.report(value, step)
            if trial.should_prune():
                expected.append((trial.number, step))
                own.tell(trial, state=TrialState.PRUNED)
                break
        else:
            own.tell(trial, curve[-1])
    assert expected == [(2, 1), (3, 2), (4, 1), (5, 1)]

    study, storage = open_study(tmp_path)
    pruned = []
    for curve in CURVES:
        trial = ask(study, tmp_path)
        observer = reporter(study, storage, trial.number, tmp_path / "run")
        try:
            for evaluation, value in enumerate(curve):
                observer.scalars(40 * evaluation, {"train/loss": 0.0})
                observer.scalars(40 * evaluation, {"val/mse": value, "val/mae": 0.0})
        except Pruned as error:
            assert str(error) == f"val/mse {value:.4g} at evaluation {evaluation}, step {40 * evaluation}"
            pruned.append((trial.number, evaluation))
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, curve[-1])
    assert pruned == expected
    for ours, theirs in zip(study.trials, own.trials, strict=True):
        assert str(ours.intermediate_values) == str(theirs.intermediate_values)  # as text: NaN equals NaN
        assert ours.user_attrs["run"] == str(tmp_path / "run")


def test_the_last_evaluation_ends_a_run_anyway(tmp_path: Path) -> None:
    study, storage = open_study(tmp_path)
    for value in (1.0, 1.0, 1.0):
        trial = ask(study, tmp_path)
        observer = reporter(study, storage, trial.number, tmp_path, total_steps=20)
        observer.scalars(10, {"val/mse": value})
        observer.scalars(20, {"val/mse": 9.0 if trial.number == 2 else value})
        study.tell(trial, value)
    assert [t.state for t in study.trials] == [TrialState.COMPLETE] * 3


def test_a_trial_that_is_over_ends_its_run(tmp_path: Path) -> None:
    study, storage = open_study(tmp_path)
    trial = ask(study, tmp_path)
    observer = reporter(study, storage, trial.number, tmp_path)
    study.tell(trial, state=TrialState.FAIL)
    with pytest.raises(Pruned, match="trial 0 of the study .* is closed"):
        observer.scalars(1, {"val/mse": 1.0})
    with pytest.raises(ConfigError, match="sweep.trial=0: is not a running trial"):
        reporter(study, storage, 0, tmp_path)
    with pytest.raises(ConfigError, match="sweep.study=none sweep.trial=0: there is no such study"):
        StudyReporter(SweepConfig(storage=storage.url, study="none", trial=0), "val/mse", 1, tmp_path)
    with pytest.raises(ConfigError, match="must be set together"):
        StudyReporter(SweepConfig(trial=0), "val/mse", 1, tmp_path)


def test_trials_of_a_sweep_that_has_ended_are_done_again_once(tmp_path: Path) -> None:
    study, _ = open_study(tmp_path)
    folders = {name: tmp_path / name for name in ("here", "ended", "alive", "elsewhere")}
    for folder in folders.values():
        folder.mkdir()
    trials = {name: ask(study, folder) for name, folder in folders.items()}
    trials["elsewhere"].set_user_attr("sweeper", {"host": "other", "directory": str(folders["elsewhere"])})
    study.tell(ask(study, folders["here"]), 1.0)
    with FileLock(folders["alive"] / ".lock"):
        _study.close_lost_trials(study, folders["here"])
    states = {name: study.trials[trial.number].state for name, trial in trials.items()}
    over, on = TrialState.FAIL, TrialState.RUNNING
    assert states == {"here": over, "ended": over, "alive": on, "elsewhere": on}
    assert _study.count_trials(study) == 3  # one is finished, two are running
    again = [study.ask(SPACE.distributions) for _ in range(3)]
    assert [t.params for t in again[:2]] == [trials["here"].params, trials["ended"].params]
    assert [t.number for t in again] == [5, 6, 7] and again[2].params != trials["here"].params
    for trial in again:
        _study.set_trial_attributes(trial, folders["here"], MEDIAN)
    _study.close_lost_trials(
        study, folders["here"]
    )  # 5 and 6 for the second time, 7 and the one that was alive for the first
    waiting = [t for t in study.trials if t.state is TrialState.WAITING]
    assert [t.params for t in waiting] == [trials["alive"].params, again[2].params]


def test_a_lost_trial_ends_as_its_run_did(tmp_path: Path, composed: Any) -> None:
    """The runs of a batch end one by one, and its process may die before it reports any of them."""
    study, storage = open_study(tmp_path)
    trials = [ask(study, tmp_path) for _ in range(3)]
    endings: list[dict[str, Any]] = [
        {"state": "finished", "best": {"val/mse": 0.25, "step": 40}},
        {"state": "pruned"},
        {"state": "running"},
    ]

    def write_run(trial: optuna.Trial, **status: Any) -> None:
        config = composed("data=adding", f"sweep.trial={trial.number}")
        run = RunDirectory.claim(tmp_path / str(trial.number), exact=True, config=to_yaml(config))
        run.update_status(**status)
        trial.set_user_attr("run", str(run.path))

    for trial, status in zip(trials, endings, strict=True):
        write_run(trial, **status)
    with _study.sending_heartbeats(storage, trials), storage.engine.begin() as connection:
        connection.execute(text("UPDATE trial_heartbeats SET heartbeat = datetime('now', '-1 hour')"))
    _study.close_lost_trials(study, tmp_path)
    found, over = study.trials, TrialState
    assert [t.state for t in found] == [over.COMPLETE, over.PRUNED, over.FAIL, over.WAITING] and found[0].value == 0.25
    RunDirectory(tmp_path / "2").update_status(**endings[0])  # continues outside the study
    again = ask(study, tmp_path)  # was lost before its own run started
    assert (again.number, again.user_attrs["run"]) == (3, str(tmp_path / "2"))
    _study.close_lost_trials(study, tmp_path)
    assert [t.state for t in study.trials[2:]] == [over.FAIL, over.FAIL]


def test_trials_without_a_heartbeat_are_done_again(tmp_path: Path) -> None:
    study, storage = open_study(tmp_path)
    trials = [ask(study, tmp_path) for _ in range(3)]
    with _study.sending_heartbeats(storage, trials[:2]):
        pass
    with storage.engine.begin() as connection:
        hour_ago = text("UPDATE trial_heartbeats SET heartbeat = datetime('now', '-1 hour') WHERE trial_id = :id")
        connection.execute(hour_ago, {"id": trials[0]._trial_id})
    _study.close_lost_trials(study)
    states = [t.state for t in study.trials]
    assert states == [TrialState.FAIL, TrialState.RUNNING, TrialState.RUNNING, TrialState.WAITING]
    assert study.trials[3].params == trials[0].params


def test_a_continued_study_does_not_draw_the_same_again(tmp_path: Path) -> None:
    def draw(folder: Path, counts: list[int]) -> list[float]:
        for count in counts:
            study, _ = open_study(folder, sampler={"_target_": "optuna.samplers.TPESampler", "seed": 3})
            for _ in range(count):
                trial = study.ask(SPACE.distributions)
                study.tell(trial, trial.params["x"])
        return [trial.params["x"] for trial in study.trials]

    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
    whole, again, continued = draw(folders[0], [6]), draw(folders[1], [6]), draw(folders[2], [3, 3])
    assert whole == again and continued[:3] == whole[:3]
    assert len(set(continued)) == 6


def test_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.chdir(tmp_path)
    full: Callable[..., str] = _study.absolute_url
    assert full(None, tmp_path / "a b") == f"sqlite:///{tmp_path}/a b/study.db"
    assert full("sqlite:///x.db", tmp_path) == f"sqlite:///{tmp_path}/x.db"
    assert full("postgresql://user@host/name", tmp_path) == "postgresql://user@host/name" and not caplog.records
    assert full("mysql+pymysql://user:pass@host/name", tmp_path) == "mysql+pymysql://user:pass@host/name"
    assert "user:***@host" in caplog.text and "pass@" not in caplog.text
    for wrong, message in {
        "study.db": "not a database URL",
        "sqlite://": "jobs cannot reach it",
        "sqlite:///:memory:": "jobs cannot reach it",
    }.items():
        with pytest.raises(ConfigError, match=message):
            full(wrong, tmp_path)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (f"sqlite:///{os.sep}nowhere/x.db", "unable to open database file"),
        ("nosql://host/name", "nosql"),
        ("oracle+none://host/name", "none"),
    ],
)
def test_databases_that_cannot_be_opened(tmp_path: Path, address: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"storage={re.escape(address)}: .*{message}.*give sqlite:///"):
        open_study(tmp_path, storage=address)


def test_a_study_of_the_other_direction(tmp_path: Path) -> None:
    optuna.create_study(study_name="s", storage=f"sqlite:///{tmp_path}/study.db", direction="maximize")
    with pytest.raises(ConfigError, match="study_name=s: this study must maximize its score"):
        open_study(tmp_path, study_name="s")


def test_a_directory_that_was_moved_keeps_its_study(tmp_path: Path) -> None:
    for folder in ("before", "named"):
        (tmp_path / folder).mkdir()
    ask(open_study(tmp_path / "before")[0], tmp_path)
    moved = (tmp_path / "before").rename(tmp_path / "after")
    study, _ = open_study(moved)
    assert study.study_name == "before" and len(study.trials) == 1
    assert open_study(moved, study_name="other")[0].study_name == "other"
    assert open_study(moved)[0].study_name == "after"  # there are two, so the choice is ambiguous
    shared = f"sqlite:///{tmp_path}/all.db"
    assert [open_study(tmp_path / name, storage=shared)[0].study_name for name in ("after", "named")] == [
        "after", "named",
    ]  # fmt: skip


def test_the_host_is_this_one(tmp_path: Path) -> None:
    study, _ = open_study(tmp_path)
    assert ask(study, tmp_path).user_attrs["sweeper"] == {"host": socket.gethostname(), "directory": str(tmp_path)}
