import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from seqtrain.config.loading import to_yaml
from seqtrain.errors import RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.environment import now
from seqtrain.runs.records import Status
from seqtrain.sweeps.identity import job_hash
from seqtrain.sweeps.ledger import Job, Sweep, elapsed, read_job_state, read_progress
from seqtrain.sweeps.table import duration, format_jobs


def run_with(path: Path, **status: Any) -> RunDirectory:
    run = RunDirectory.claim(path, exact=True)
    run.update_status(**status)
    return run


def lines(run: RunDirectory, *entries: dict[str, Any]) -> None:
    run.metrics_path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def test_states(tmp_path: Path) -> None:
    assert read_job_state(tmp_path / "nowhere").state == "waiting"
    (tmp_path / "empty").mkdir()
    assert read_job_state(tmp_path / "empty").state == "waiting"
    for state, seen in {
        **{"starting": "killed", "running": "killed", "interrupted": "interrupted", "failed": "failed"},
        **{"finished": "finished", "pruned": "pruned"},
    }.items():
        run = run_with(tmp_path / state, state=state)
        assert read_job_state(run.path).state == seen
        with run.locked():  # by a running process
            assert read_job_state(run.path).state == (state if state in ("finished", "pruned") else "running")
        assert read_job_state(run.path).state == seen
    (tmp_path / "failed/status.json").write_text('{"state": "fail')  # damaged
    assert read_job_state(tmp_path / "failed").state == "damaged"


def test_a_job_under_way_shows_its_best_score_and_last_step(tmp_path: Path) -> None:
    run = run_with(tmp_path / "a", state="running", monitor="val/mse", maximize=False, total_steps=90)
    lines(run, {"step": 10, "val/mse": 0.5}, {"step": 20, "val/mse": 0.3}, {"step": 30, "val/mse": 0.4})
    with run.metrics_path.open("a") as file:
        file.write('{"step": 40, "train/loss": 1.0}\n{"step": 50, "val/m')  # the last line is truncated
    job_state = read_job_state(run.path)
    assert (job_state.metric, job_state.value, job_state.total_steps) == ("val/mse", 0.3, 90)
    assert read_progress(run.metrics_path, "val/mse", maximize=True)[0] == 0.5
    lines(run, {"step": 10, "val/mse": None}, {"step": 20, "val/mse": None})
    assert read_progress(run.metrics_path, "val/mse", maximize=False) == (None, 20)
    assert read_progress(tmp_path / "none", "val/mse", maximize=False) == (None, None)


def test_a_finished_job_shows_what_it_recorded(tmp_path: Path) -> None:
    best = {"val/accuracy": 0.75, "step": 60}
    status = {"best": best, "seconds": 12.5, "total_steps": 90, "maximize": True}
    job_state = read_job_state(run_with(tmp_path / "a", state="finished", **status).path)
    assert (job_state.metric, job_state.value, job_state.seconds) == ("val/accuracy", 0.75, 12.5)


def test_time_ends_with_the_last_sign_of_life(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert elapsed(Status("x", "failed"), path, running=False) is None
    began, ended = "2024-01-01T10:00:00+0000", "2024-01-01T10:00:07+0000"
    assert elapsed(Status("x", "failed", started=began, finished=ended), path, running=False) == 7
    assert elapsed(Status("x", "failed", started=ended, since=began, finished=ended), path, running=False) == 7
    passed = elapsed(Status("x", "running", started=now()), path, running=True)
    assert passed is not None and passed < 60


def test_one_process_runs_a_sweep(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path / "sweep")
    with sweep.locked():
        code = (
            "from pathlib import Path; from seqtrain.sweeps.ledger import Sweep; "
            f"Sweep(Path({str(sweep.path)!r})).locked().__enter__()"
        )
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert "another process runs this sweep; follow it with: seqtrain sweep" in result.stderr
    with sweep.locked():
        pass


def test_the_plan_is_read_back_and_a_new_sitting_may_begin_jobs_again(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path / "sweep")
    jobs = [Job(0, ["seed=1"], "0-a-0123456789"), Job(1, ["seed=-1"], error="seed=-1: must be")]
    sweep.write_plan(["-m", "seed=1,-1"], jobs)
    assert sweep.planned() == jobs and sweep.find("0-a-0123456789") == jobs[0] and sweep.find("x") is None
    began, sitting = sweep.plan().began, sweep.plan().sitting.id
    sweep.halt("job 0 failed")
    assert sweep.halted
    sweep.write_plan(["-m", "seed=1,-1"], jobs)
    assert not sweep.halted and sweep.plan().began == began and sweep.plan().sitting.id != sitting
    (sweep.path / "x").mkdir()
    (sweep.path / "x/config.yaml").touch()
    assert [job.name for job in sweep.jobs()] == ["0-a-0123456789", "", "x"] and sweep.jobs()[-1].number is None
    assert sweep.job_state(jobs[1]).state == "failed" and sweep.job_state(jobs[1]).error == "seed=-1: must be"
    with pytest.raises(RunError):
        Sweep(tmp_path / "none").plan()


def test_jobs_are_known_by_name_or_by_their_saved_configuration(composed: Any, tmp_path: Path) -> None:
    configs = [composed("data=adding", "model=gru", f"seed={seed}") for seed in range(4)]
    hashes = [job_hash(config) for config in configs]
    (tmp_path / f"7-adding-{hashes[0]}").mkdir()  # started and killed at once
    (tmp_path / f".0-{hashes[2]}").mkdir()
    for name, config in {"0-adding-gru-seed1": configs[1], f"1-a-{'0' * 10}": configs[3]}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(to_yaml(config))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/config.yaml").write_text("model: [")
    expected = {hashes[0]: f"7-adding-{hashes[0]}", hashes[1]: "0-adding-gru-seed1", hashes[3]: f"1-a-{'0' * 10}"}
    assert Sweep(tmp_path).started_jobs(hashes) == expected
    assert Sweep(tmp_path / "none").started_jobs(hashes) == {}


def test_table(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    scores = {"a": 0.5, "b": 0.25}
    for name, score in scores.items():
        best = {"val/mse": score, "step": 90}
        run_with(tmp_path / name, state="finished", best=best, seconds=3.0, maximize=False, total_steps=90)
    run_with(tmp_path / "c", state="failed", error="ZeroDivisionError: by zero")
    (tmp_path / "c/error.txt").write_text("Traceback ...\n")
    points = [["model=gru", "seed=1", "x=1"], ["model=gru", "seed=2", "x=1"], ["model=rnn", "seed=1", "x=1"]]
    jobs = [*(Job(i, point, "abc"[i]) for i, point in enumerate(points)), Job(3, ["model=rnn", "seed=2", "x=1"], "d")]
    text = format_jobs(sweep, [(job, sweep.job_state(job)) for job in jobs])
    rows = [line.split() for line in text.splitlines()]
    assert rows[0] == ["job", "overrides", "state", "val/mse", "time", "step", "error"]
    assert rows[1] == ["0", "model=gru", "seed=1", "finished", "0.5000", "3.0", "s", "90/90"]
    assert rows[3][:4] == ["2", "model=rnn", "seed=1", "failed"] and rows[3][-3:] == [
        "ZeroDivisionError:",
        "by",
        "zero",
    ]
    assert rows[4] == ["3", "model=rnn", "seed=2", "waiting"] and "x=1" not in text
    assert "best: job 1, val/mse 0.2500, b" in text
    assert f"\njob 2: {tmp_path}/c/error.txt\n" in text
    outside = Job(None, [], "c")
    assert f"\n{tmp_path}/c/error.txt\n" in format_jobs(sweep, [(outside, sweep.job_state(outside))])
    assert text.endswith(f"{tmp_path}: 4 jobs: 2 finished, 1 waiting, 1 failed")


def test_durations() -> None:
    assert [duration(s) for s in (0.04, 59.94, 60, 245.4, 3723)] == ["0.0 s", "59.9 s", "1:00", "4:05", "1:02:03"]
