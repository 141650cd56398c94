"""Sweeps: by the real command line in this process where that will do, else in processes of their own."""

import gc
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hydra.errors import MissingConfigException

from seqtrain.cli.main import main
from seqtrain.cli.one_line import one_line
from seqtrain.cli.sweep_arguments import sweep_arguments
from seqtrain.commands.check_resume import TIMINGS
from seqtrain.errors import Interrupted, RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import read_json
from seqtrain.sweeps.sharing import num_cores
from seqtrain.training.trainer import Trainer
from tests import command_line

TINY = [
    *("data=adding", "data.length=6", "data.num_eval=32", "data.num_train=320", "data.batch_size=8", "device=cpu"),
    *("model=gru", "model.hidden_size=4", "model.embedding.embed_dim=4", "trainer.max_steps=6", "trainer.eval_every=2"),
    *("trainer.figures=false", "trainer.probe=false", "trainer.baselines=false", "trainer.log_every=1"),
]

TWO_AT_ONCE = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweep.dir=s"]


@dataclass
class Outcome:
    code: int
    out: str
    err: str

    @property
    def begun(self) -> list[int]:
        """Numbers of the jobs that this command began or went on with."""
        numbers = re.findall(r"^(?:\[\d+\] )?job (\d+) of \d+: ", self.err, flags=re.MULTILINE)
        return sorted(map(int, numbers))


Command = Callable[..., Outcome]


@pytest.fixture
def seqtrain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """The command line in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}

    def run(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["seqtrain", *arguments])
        os.environ["HYDRA_FULL_ERROR"] = "0"
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as error:
            code = int(error.code or 0)
        return Outcome(code, *capfd.readouterr())

    yield run
    root.handlers[:], root.level = handlers, level
    for number, handler in before.items():
        signal.signal(number, handler)


def run_apart(folder: Path, *arguments: str, **variables: str) -> Outcome:
    """The command in a process of its own."""
    result = command_line.seqtrain(folder, *arguments, **variables)
    return Outcome(result.returncode, result.stdout, result.stderr)


def test_a_table_that_cannot_be_printed_fails_no_sweep(tmp_path: Path) -> None:
    command = ["-m", *TINY, "seed=1", "hydra.sweep.dir=s"]
    ended = command_line.Command(tmp_path, *command, streams={1: command_line.BROKEN}).finish()
    assert ended.returncode == 0 and states(tmp_path / "s") == {"finished": 1}, ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert last == "stdout: cannot be written (Broken pipe); see the jobs with: seqtrain sweep s"


def states(sweep: Path) -> Counter[str]:
    return Counter(read_json(path)["state"] for path in sweep.glob("*/status.json"))


def fingerprints(sweep: Path) -> dict[str, tuple[int, str, str]]:
    """Of each finished job: when its status was written, its run's id, its curve."""
    return {
        path.parent.name: (
            path.stat().st_mtime_ns,
            read_json(path)["id"],
            (path.parent / "metrics.jsonl").read_text(),
        )
        for path in sweep.glob("*/status.json")
        if read_json(path)["state"] == "finished"
    }


def steps(run: Path) -> list[int]:
    """The steps of a run's curve of the training loss."""
    entries = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [entry["step"] for entry in entries if "train/loss" in entry]


def curve(run: Path) -> list[dict[str, Any]]:
    """Everything that a run logged, but for times and speed."""
    entries = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [{k: v for k, v in entry.items() if k not in TIMINGS} for entry in entries]


def test_the_same_command_runs_nothing_twice(seqtrain: Command, tmp_path: Path) -> None:
    first = seqtrain("-m", *TINY, "model=gru,rnn", "seed=1")
    assert first.code == 0, first.err
    (sweep,) = tmp_path.glob("outputs/sweep-*")
    assert first.begun == [0, 1] and states(sweep) == {"finished": 2}
    assert "2 jobs: 2 finished" in first.out and re.search(r"best: job \d, val/mse \d\.", first.out)
    done = fingerprints(sweep)
    again = seqtrain("-m", "seed=1", *TINY, "model=gru,rnn", "sweep.on_error=stop")
    assert again.code == 0 and again.begun == [] and fingerprints(sweep) == done
    assert "every job is finished; to run them again, delete outputs/sweep-" in again.err
    assert "2 jobs: 2 finished" in again.out


def test_a_grid_that_grows_keeps_its_finished_jobs(seqtrain: Command, tmp_path: Path) -> None:
    assert seqtrain("-m", *TINY, "seed=1,2", "hydra.sweep.dir=s").code == 0
    done = fingerprints(tmp_path / "s")
    grown = seqtrain("-m", *TINY, "seed=3,2,1,2", "hydra.sweep.dir=s")
    assert grown.code == 0 and grown.begun == [0] and "job 3: ignored, since it is the same as job 1" in grown.err
    after = fingerprints(tmp_path / "s")
    assert len(after) == 3 and {name: after[name] for name in done} == done
    rows = [line.split()[:4] for line in grown.out.splitlines() if re.match(r" *\d ", line)]
    assert [row[:3] for row in rows] == [["0", "seed=3", "finished"], ["1", "seed=2", "finished"],
                                         ["2", "seed=1", "finished"]]  # fmt: skip
    resumed = seqtrain("sweep.resume=s", "seed=4")
    assert resumed.code == 0 and resumed.begun == [0] and states(tmp_path / "s") == {"finished": 4}


def test_a_job_that_fails_leaves_the_others_alone(seqtrain: Command, reviews: Path, tmp_path: Path) -> None:
    options = [
        *("data=text_files", "data.batch_size=16", "data.vocab_size=50", "model=rnn", "device=cpu"),
        *("model.hidden_size=4", "model.embedding.embed_dim=4", "trainer.max_steps=2", "trainer.baselines=false"),
        *("trainer.figures=false", "hydra.sweep.dir=s", f"data.path={tmp_path}/none.csv,{reviews}"),
        "trainer.lr=0.01,-1",
    ]
    result = seqtrain("-m", *options)
    assert result.code == 1 and result.begun == [0, 2], result.err
    assert result.err.count("Traceback") == 0
    assert "seqtrain: error: s: 4 jobs: 1 finished, 3 failed; the same command continues" in result.err
    assert result.out.count("trainer.lr=-1: must be above 0") + result.out.count("trainer.lr=-1.0: must be") == 2
    (failed,) = (path.parent for path in tmp_path.glob("s/*/error.txt"))
    assert "Traceback" in (failed / "error.txt").read_text()
    assert read_json(failed / "status.json")["state"] == "failed"
    assert f"job 0: s/{failed.name}/error.txt" in result.out
    shutil.copy(reviews / "train.csv", tmp_path / "none.csv")
    done = fingerprints(tmp_path / "s")
    mended = seqtrain("-m", *options)
    assert mended.code == 1 and mended.begun == [0]
    assert "4 jobs: 2 finished, 2 failed" in mended.out and not (failed / "error.txt").exists()
    assert fingerprints(tmp_path / "s").items() > done.items()


def test_stop_begins_no_further_job(seqtrain: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Trainer) -> float:
        raise ZeroDivisionError("on purpose")

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "fit", broken)
        result = seqtrain("-m", *TINY, "seed=1,2", "hydra.sweep.dir=s", "sweep.on_error=stop")
    assert result.code == 1 and result.begun == [0] and "2 jobs: 1 waiting, 1 failed" in result.out
    assert "job 0 failed: ZeroDivisionError: on purpose" in result.err
    (error,) = tmp_path.glob("s/*/error.txt")
    assert 'raise ZeroDivisionError("on purpose")' in error.read_text()
    result = seqtrain("sweep.resume=s", "sweep.on_error=continue")
    assert result.code == 0 and result.begun == [0, 1]
    refused = seqtrain("-m", *TINY, "trainer.lr=0.1,-1", "sweep.on_error=stop", "hydra.sweep.dir=t")
    assert refused.code == 1 and refused.begun == [] and not (tmp_path / "t").exists()
    assert refused.err.splitlines()[-1].startswith("seqtrain: error: trainer.lr=-1")


def test_an_error_of_all_jobs_ends_the_sweep_before_it_begins(seqtrain: Command, tmp_path: Path) -> None:
    for argument, message in {
        "trainer.epoch=1,2": "trainer.epoch=1,2: no such key; did you mean trainer.epochs=1,2?",
        "trainer.lr=-1,-2": "trainer.lr=-1",
        "model=gruu,lstmm": "model=gruu: no such option; did you mean gru",
    }.items():
        result = seqtrain("-m", *TINY, argument)
        assert result.code == 1 and len(result.err.splitlines()) == 1, result.err
        assert result.err.startswith(f"seqtrain: error: {message}")
    assert not list(tmp_path.iterdir())


def test_a_job_cut_off_goes_on(seqtrain: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ["-m", *TINY, "seed=1,2,3"]
    assert seqtrain("-m", *TINY, "seed=1,2", "hydra.sweep.dir=whole").code == 0
    step = Trainer.train_step

    def stopped(self: Trainer, group: Any) -> None:
        if self.progress.step == 3 and self.run.path.name.startswith("1-"):
            raise Interrupted(signal.SIGTERM)
        step(self, group)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_step", stopped)
        result = seqtrain(*options, "hydra.sweep.dir=cut")
    assert result.code == 143 and "the same command continues the sweep" in result.err
    assert states(tmp_path / "cut") == {"finished": 1, "interrupted": 1}
    table = seqtrain("sweep", "cut")
    assert table.code == 0 and "3 jobs: 1 finished, 1 waiting, 1 interrupted" in table.out
    result = seqtrain("sweep.resume=cut", "device=cpu", "trainer.checkpoint_seconds=9")
    assert result.code == 0 and result.begun == [1, 2] and result.err.count("resuming from step 2") == 1
    for run in sorted((tmp_path / "whole").glob("[0-9]*")):
        assert curve(run) == curve(tmp_path / "cut" / run.name)


def test_a_job_that_another_process_runs_is_left_alone(seqtrain: Command, tmp_path: Path) -> None:
    assert seqtrain("-m", *TINY, "seed=1,2", "hydra.sweep.dir=s").code == 0
    (run,) = tmp_path.glob("s/1-*")
    RunDirectory(run).update_status(state="running")
    with RunDirectory(run).locked():
        result = seqtrain("-m", *TINY, "seed=1,2", "hydra.sweep.dir=s")
        assert result.code == 0 and "job 1 is skipped: " in result.err and result.begun == []
        assert "is being written by another process" in result.err and "1 finished, 1 running" in result.out
    result = seqtrain("sweep", "s", "watch=true")
    assert result.code == 0 and "1 finished, 1 killed" in result.out
    result = seqtrain("-m", *TINY, "seed=1,2", "hydra.sweep.dir=s")
    assert result.code == 0 and result.begun == [1] and "2 jobs: 2 finished" in result.out


def test_what_is_no_sweep(seqtrain: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for arguments, part in {
        ("sweep",): "expected one directory",
        ("sweep", "a", "b"): "expected one directory",
        ("sweep", "none"): "none: no such directory",
        ("sweep", "empty"): "is not the directory of a sweep",
        ("sweep", "empty", "watch=often"): "watch=often: must be true or false",
        ("sweep.resume=empty",): "sweep.resume=empty: is not the directory of a sweep",
        ("-m", "++sweep.resume=empty"): "sweep.resume=empty: is not the directory of a sweep",
        ("sweep.resume=empty", "hydra.sweep.dir=s"): "hydra.sweep.dir: leave it out",
        ("-m", "hydra/launcher=none"): "hydra/launcher=none: no such option",
    }.items():
        result = seqtrain(*arguments)
        assert result.code == 1 and part in result.err and len(result.err.splitlines()) == 1, result.err


def test_an_empty_directory_resumes_nothing() -> None:
    for given in ("sweep.resume=", "sweep.resume=null"):
        assert sweep_arguments(["-m", given, "seed=1"]) == ["-m", given, "seed=1"]


def test_a_launcher_that_is_not_installed_is_named() -> None:
    text = "Could not find 'hydra/launcher/submitit_slurm'\n\nAvailable options in 'hydra/launcher':\n\tbasic"
    line = one_line(MissingConfigException(text, "hydra/launcher/submitit_slurm"))
    assert line == "hydra/launcher=submitit_slurm: is not installed; pip install 'seqtrain[submitit]'"


def test_jobs_leave_nothing_behind_in_their_process(seqtrain: Command, tmp_path: Path) -> None:
    def held() -> tuple[int, int, int]:
        gc.collect()
        handlers = sum(len(getattr(logger, "handlers", [])) for logger in logging.root.manager.loggerDict.values())
        files = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").is_dir() else 0
        return threading.active_count(), handlers + len(logging.root.handlers), files

    assert seqtrain("-m", *TINY, "seed=1", "hydra.sweep.dir=s").code == 0
    before = held()
    assert seqtrain("-m", *TINY, "seed=3,4", "hydra.sweep.dir=s").code == 0
    assert held() == before


JOBS = int(os.environ.get("SEQTRAIN_SWEEP_JOBS", "4"))


def test_a_sweep_killed_twice_does_each_job_once(tmp_path: Path) -> None:
    """SIGKILL at two moments; the same command then finishes, and makes no step of any job twice."""
    command = ["-m", *TINY, f"seed=range({JOBS // 2})", "model=gru,rnn", "hydra.sweep.dir=s"]
    sweep, begun, seen = tmp_path / "s", Counter[int](), dict[str, tuple[int, str, str]]()
    for sitting, least in enumerate((JOBS // 4, JOBS // 2 + 1, JOBS), 1):
        process = command_line.Command(tmp_path, *command)
        if least < JOBS:
            wait_until(partial(under_way, sweep, least), process)
            process.send_signal(signal.SIGKILL)
        ended = process.finish()
        numbers, finished = Outcome(0, ended.stdout, ended.stderr).begun, fingerprints(sweep)
        print(f"sitting {sitting}: began or went on with jobs {numbers}; then {dict(states(sweep))}")
        assert {name: finished[name] for name in seen} == seen, "a finished job was run again"
        begun.update(numbers)
        seen = finished
    assert ended.returncode == 0, ended.stderr
    assert f"{JOBS} jobs: {JOBS} finished" in ended.stdout and len(seen) == JOBS
    assert set(begun) == set(range(JOBS)) and JOBS <= begun.total() <= JOBS + 2, begun
    for run in sweep.glob("[0-9]*"):
        assert steps(run) == [1, 2, 3, 4, 5, 6], run
    print(f"{JOBS} jobs, {begun.total() - JOBS} of them cut off and gone on with, none repeated")


def under_way(sweep: Path, least: int) -> bool:
    """Whether so many jobs are finished, and another runs."""
    found = states(sweep)
    return found["finished"] >= least and found["running"] > 0


def wait_until(condition: Callable[[], bool], process: command_line.Command | subprocess.Popen[str]) -> None:
    while process.poll() is None:
        try:
            if condition():
                return
        except (OSError, ValueError, KeyError, RunError):  # files under way
            pass
        time.sleep(0.005)


def test_joblib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes share the cores; an error in one leaves the others alone."""
    monkeypatch.delenv("OMP_NUM_THREADS")
    result = run_apart(tmp_path, "-m", *TINY, "seed=1,2", "trainer.lr=0.01,1e30", *TWO_AT_ONCE)
    assert result.code == 1 and result.begun == [0, 1, 2, 3], result.err
    assert states(tmp_path / "s") == {"finished": 2, "failed": 2}
    threads = max(1, num_cores() // 2)
    assert result.err.count(f"({threads} thread{'s' if threads > 1 else ''})") == 4
    assert "4 jobs: 2 finished, 2 failed" in result.out and "Traceback" not in result.err
    for number in (1, 3):
        (run,) = tmp_path.glob(f"s/{number}-*")
        assert "seqtrain.errors.RunError" in (run / "error.txt").read_text()
        assert f"[{number}] job {number} failed: RunError: " in result.err


def test_joblib_takes_this_process_for_a_single_job(seqtrain: Command, tmp_path: Path) -> None:
    """Whatever ``n_jobs``: Ctrl-C would be the end of a second process, and so of the job."""
    assert seqtrain("-m", *TINY, "seed=1", *TWO_AT_ONCE).code == 0
    (path,) = tmp_path.glob("s/*/status.json")
    assert read_json(path)["pid"] == os.getpid()


@pytest.fixture
def two_long_jobs(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A sweep in two processes, whose first two jobs are long and under way; two short ones would come after them."""
    process = subprocess.Popen(
        [sys.executable, "-m", "seqtrain", "-m", *TINY, "trainer.max_steps=100000,6", "trainer.eval_every=50000",
         "seed=1,2", *TWO_AT_ONCE],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=command_line.environment(),
        start_new_session=True,
    )  # fmt: skip
    wait_until(lambda: sum(len(steps(p.parent)) > 20 for p in tmp_path.glob("s/*/metrics.jsonl")) == 2, process)
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "send"), [(signal.SIGTERM, os.kill), (signal.SIGINT, os.killpg)])
def test_a_sweep_in_several_processes_ends_orderly(
    two_long_jobs: subprocess.Popen[str], tmp_path: Path, number: int, send: Callable[[int, int], None]
) -> None:
    """SIGTERM to the sweep, or Ctrl-C, which all its processes get: running jobs save themselves, no other begins."""
    send(two_long_jobs.pid, number)
    _, err = two_long_jobs.communicate(timeout=120)
    assert two_long_jobs.returncode == 128 + number, err
    assert states(tmp_path / "s") == {"interrupted": 2} and len(list(tmp_path.glob("s/*/checkpoints/last.pt"))) == 2
    assert f"{signal.Signals(number).name}; the same command continues the sweep" in err and "Traceback" not in err


@pytest.mark.slow
def test_jobs_that_had_not_begun_survive_the_death_of_a_process(
    two_long_jobs: subprocess.Popen[str], tmp_path: Path
) -> None:
    (first,) = tmp_path.glob("s/0-*")
    os.kill(read_json(first / "status.json")["pid"], signal.SIGKILL)
    out, err = two_long_jobs.communicate(timeout=120)
    assert two_long_jobs.returncode == 1 and "the launcher failed: " in err
    assert "4 jobs: 2 finished, 2 killed" in out, out
    assert err.splitlines()[-1].endswith("the same command continues with the unfinished jobs")


@pytest.mark.slow
def test_submitit_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")
    parallel = ["hydra/launcher=submitit_local", "hydra.sweep.dir=s"]
    command = ["-m", *TINY, "seed=1,2", "trainer.lr=0.01,1e30", *parallel]
    result = run_apart(tmp_path, *command)
    assert result.code == 1 and "4 jobs: 2 finished, 2 failed" in result.out, result.err
    assert states(tmp_path / "s") == {"finished": 2, "failed": 2}
    begun = r"^\[(\d)\] job \d of 4: .* \(\d+ threads?\)$"
    logs = "".join(path.read_text() for path in tmp_path.glob("s/.submitit/*/*/*_log.*"))
    assert sorted(re.findall(begun, logs, flags=re.MULTILINE)) == list("0123")
    done = fingerprints(tmp_path / "s")
    again = run_apart(tmp_path, *command)
    assert again.code == 1 and fingerprints(tmp_path / "s") == done
    logs = "".join(path.read_text() for path in tmp_path.glob("s/.submitit/*/*/*_log.*"))
    assert len(re.findall(begun, logs, flags=re.MULTILINE)) == 6
