"""Studies by the real command line: finished, pruned, failed and killed trials."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
import yaml
from optuna.trial import FrozenTrial, TrialState

from seqtrain.runs.json_files import read_json
from tests.command_line import Command

Run = Callable[..., subprocess.CompletedProcess[str]]
Fails = Callable[..., None]

STUDY = ["-m", "hydra/sweeper=optuna", "hydra/sweeper/sampler=random", "hydra.sweep.dir=sweep"]
TINY = [
    "data=adding", "data.length=4", "data.num_train=64", "data.num_eval=20", "data.batch_size=16", "model=gru",
    "model.hidden_size=4", "model.embedding.embed_dim=4", "trainer.max_steps=4", "trainer.eval_every=2",
    "trainer.figures=false", "trainer.probe=false", "trainer.baselines=false", "device=cpu",
]  # fmt: skip
RATE = "trainer.lr=tag(log, interval(1e-3, 1e-1))"


@pytest.fixture
def seqtrain(tmp_path: Path, run_in: Callable[[Path], Run]) -> Run:
    """Run the command in an empty folder."""
    return run_in(tmp_path)


def trials_of(database: Path) -> list[FrozenTrial]:
    storage = f"sqlite:///{database}"
    (name,) = optuna.get_all_study_names(storage)
    return optuna.load_study(study_name=name, storage=storage).trials


def states(trials: list[FrozenTrial]) -> dict[str, int]:
    names = [trial.state.name for trial in trials]
    return {name: names.count(name) for name in sorted(set(names))}


def run_of(folder: Path, number: int) -> Path:
    """The run directory of a trial."""
    (path,) = (folder / "sweep").glob(f"{number}-*")
    return path


def test_trials_are_run_counted_and_pruned(seqtrain: Run, tmp_path: Path) -> None:
    (tmp_path / "own_space.py").write_text(
        "def extend(config, trial):\n"
        "    if trial.params['model.cell'] == 'gru':\n"
        "        trial.suggest_int('model.num_layers', 2, 2)\n"
    )
    options = [*STUDY, *TINY, RATE, "model.cell=rnn,gru", "hydra.sweeper.custom_search_space=own_space.extend"]
    result = seqtrain(*options, "hydra.sweeper.n_trials=3", "hydra.sweeper.sampler.seed=0")
    assert result.returncode == 0, result.stderr
    trials = trials_of(tmp_path / "sweep/study.db")
    assert states(trials) == {"COMPLETE": 3}
    for trial in trials:
        run = run_of(tmp_path, trial.number)
        assert trial.user_attrs["run"] == str(run)
        assert (
            trial.value == read_json(run / "status.json")["best"]["val/mse"] == min(trial.intermediate_values.values())
        )
        config = yaml.safe_load((run / "config.yaml").read_text())
        assert config["trainer"]["lr"] == trial.params["trainer.lr"]
        assert config["model"]["cell"] == trial.params["model.cell"]
        assert config["model"]["num_layers"] == {"rnn": 1, "gru": 2}[trial.params["model.cell"]]
    assert {trial.params["model.cell"] for trial in trials} == {"rnn", "gru"}
    best = min(trials, key=lambda trial: trial.value or 0.0)
    saved = yaml.safe_load((tmp_path / "sweep/optimization_results.yaml").read_text())
    assert saved == {"name": "optuna", "best_params": best.params, "best_value": best.value, "best_trial": best.number}
    assert "study sweep: 3 finished, 0 pruned, 0 failed" in result.stdout
    assert f"best: trial {best.number}, {best.value:.6g}" in result.stdout

    more = ["-m", "sweep.resume=sweep", "hydra.sweeper.n_trials=5", "hydra/sweeper/pruner=threshold"]
    refused = seqtrain(*more)
    assert refused.returncode == 1 and "custom_search_space" in refused.stderr and "may run code" in refused.stderr
    result = seqtrain(*more, "hydra.sweeper.pruner.upper=0.0", "hydra.sweeper.custom_search_space=own_space.extend")
    assert result.returncode == 0, result.stderr
    trials = trials_of(tmp_path / "sweep/study.db")
    assert states(trials) == {"COMPLETE": 3, "PRUNED": 2} and len({t.params["trainer.lr"] for t in trials}) == 5
    for number in (3, 4):
        status = read_json(run_of(tmp_path, number) / "status.json")
        assert (
            status["state"] == "pruned" and "val/mse" in status["error"] and "evaluation 0, step 2" in status["error"]
        )
        assert not (run_of(tmp_path, number) / "results.json").exists()
    assert "Traceback" not in result.stderr and "trial 4 pruned: val/mse" in result.stderr


def test_a_killed_study_goes_on(seqtrain: Run, tmp_path: Path) -> None:
    """On a grid, whose points are known: each is finished once, but for the one that fails."""
    rates = [0.01, 0.02, 0.03, 0.04, -1.0]
    options = [*STUDY, *TINY, "hydra/sweeper/sampler=grid", f"trainer.lr={','.join(map(str, rates))}"]
    options += ["hydra.sweeper.sampler.seed=4", "trainer.max_steps=150", "trainer.eval_every=50"]
    process = Command(tmp_path, *options)
    while not any((tmp_path / "sweep").glob("2-*/metrics.jsonl")) and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = trials_of(tmp_path / "sweep/study.db")
    assert states(before) == {"COMPLETE": 2, "RUNNING": 1}

    result = seqtrain(*options)
    assert result.returncode == 0, result.stderr
    after = trials_of(tmp_path / "sweep/study.db")
    assert states(after) == {"COMPLETE": 4, "FAIL": 2}
    assert [trial.value for trial in after[:2]] == [trial.value for trial in before[:2]]
    assert after[2].state is TrialState.FAIL and after[3].params == before[2].params
    assert sorted(t.params["trainer.lr"] for t in after if t.state is TrialState.COMPLETE) == rates[:4]
    (failed,) = [t for t in after if "error" in t.user_attrs]
    assert failed.params["trainer.lr"] == -1 and "trainer.lr=-1.0: must be above 0" in failed.user_attrs["error"]
    names = sorted(path.parent.name.split("-")[0] for path in (tmp_path / "sweep").glob("*/config.yaml"))
    assert names == [str(t.number) for t in after if t is not failed]


def test_too_many_failures_end_the_sweep(seqtrain: Run, tmp_path: Path) -> None:
    result = seqtrain(*STUDY, *TINY, "trainer.lr=choice(-1.0)", "hydra.sweeper.n_trials=4")
    assert result.returncode == 1 and states(trials_of(tmp_path / "sweep/study.db")) == {"FAIL": 2}
    last = result.stderr.splitlines()[-1]
    assert last.startswith(
        "seqtrain: error: study sweep: 2 of 4 trials failed, the last one by: trainer.lr=-1.0: must be"
    )
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_a_pruned_run_goes_on_outside_the_study(seqtrain: Run, tmp_path: Path) -> None:
    pruner = ["hydra/sweeper/pruner=threshold", "hydra.sweeper.pruner.upper=0.0"]
    for number, warmup in enumerate((0, 1)):  # without a checkpoint, and with one
        options = [*STUDY, *TINY, "trainer.max_steps=6", f"hydra.sweeper.n_trials={number + 1}", *pruner]
        result = seqtrain(*options, f"hydra.sweeper.pruner.n_warmup_steps={warmup}")
        assert result.returncode == 0, result.stderr
        run = run_of(tmp_path, number)
        assert (run / "checkpoints/last.pt").exists() == (warmup > 0)
        result = seqtrain(f"resume={run}")
        assert result.returncode == 0, result.stderr
        assert read_json(run / "status.json")["state"] == "finished"
    assert states(trials_of(tmp_path / "sweep/study.db")) == {"PRUNED": 2}


@pytest.mark.slow
def test_two_processes_share_a_study(tmp_path: Path) -> None:
    shared = [f"hydra.sweeper.storage=sqlite:///{tmp_path}/all.db", "hydra.sweeper.study_name=all"]
    options = [*STUDY[:-1], *TINY, RATE, *shared, "hydra.sweeper.n_trials=6"]
    for process in [Command(tmp_path, *options, f"hydra.sweep.dir=sweep{i}") for i in range(2)]:
        ended = process.finish()
        assert ended.returncode == 0, ended.stderr
    trials = trials_of(tmp_path / "all.db")
    assert states(trials) in ({"COMPLETE": 6}, {"COMPLETE": 7})
    names = sorted(path.parent.name.split("-")[0] for path in tmp_path.glob("sweep?/*/config.yaml"))
    assert names == [str(trial.number) for trial in trials]


@pytest.mark.slow
def test_trials_at_once_in_processes_of_their_own(seqtrain: Run, tmp_path: Path) -> None:
    """Whose numbers do not follow each other: one waited in the queue."""
    (tmp_path / "sweep").mkdir()
    study = optuna.create_study(study_name="sweep", storage=f"sqlite:///{tmp_path}/sweep/study.db")
    study.enqueue_trial({"trainer.lr": 0.01})
    study.add_trial(optuna.create_trial(value=1.0))
    result = seqtrain(
        *STUDY, *TINY, RATE, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweeper.n_jobs=2",
        "hydra.sweeper.n_trials=3",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    trials = trials_of(tmp_path / "sweep/study.db")
    assert states(trials) == {"COMPLETE": 3} and trials[0].params == {"trainer.lr": 0.01}
    pids = {read_json(run_of(tmp_path, number) / "status.json")["pid"] for number in (0, 2)}
    assert len(pids) == 2 and all(f"[{number}] trial {number} (" in result.stderr for number in (0, 2))


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (
            ["hydra.sweeper.direction=maximize"],
            ["hydra.sweeper.direction=maximize", "sequence_regression", "minimized"],
        ),
        (
            ["hydra.sweeper.storage=sqlite:////nowhere/x.db"],
            ["hydra.sweeper.storage=sqlite:////nowhere/x.db", "unable"],
        ),
        (["hydra.sweeper.n_trials=0"], ["hydra.sweeper.n_trials=0: must be at least 1"]),
        (["hydra.sweeper.n_trails=3"], ["hydra.sweeper.n_trails", "did you mean n_trials"]),
        (
            ["trainer.lrr=interval(0.1,0.2)"],
            ["trainer.lrr=interval(0.1,0.2): no such key; did you mean trainer.lr=interval(0.1,0.2)?"],
        ),
        (["trainer.lr=interval(0.2,0.1)"], ["trainer.lr=interval(0.2,0.1): low <= high"]),
        (["hydra.sweeper.custom_search_space=none.f"], ["hydra.sweeper.custom_search_space=none.f: No module named"]),
    ],
)
def test_what_is_wrong_is_one_line(seqtrain: Run, fails: Fails, arguments: list[str], parts: list[str]) -> None:
    fails(seqtrain(*STUDY, *TINY, *arguments), *parts)


def test_the_missing_package_is_named(seqtrain: Run, fails: Fails, tmp_path: Path) -> None:
    (tmp_path / "optuna.py").write_text("raise ModuleNotFoundError('No module named optuna', name='optuna')\n")
    fails(
        seqtrain(*STUDY, *TINY, RATE),
        "hydra/sweeper=optuna: needs the package optuna",
        "pip install 'seqtrain[optuna]'",
    )


def test_nothing_is_loaded_for_it_at_the_start() -> None:
    code = (
        "import sys; from seqtrain.cli.hydra_setup import store_schemas; store_schemas(); "
        "print([m for m in ('optuna', 'sqlalchemy', 'torch') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert result.stdout.strip() == "[]"
