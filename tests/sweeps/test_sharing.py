import io
import logging
import os
import sys

import pytest

from seqtrain.sweeps.sharing import gpu_for, labelled_output, num_cores, threads_of_children, threads_per_job


@pytest.mark.parametrize(("cores", "jobs", "threads"), [(2, 1, 2), (2, 2, 1), (2, 5, 1), (16, 3, 5), (1, 1, 1)])
def test_jobs_at_once_never_have_more_threads_than_cores(cores: int, jobs: int, threads: int) -> None:
    assert threads_per_job(cores, jobs) == threads


def test_num_cores() -> None:
    assert 1 <= num_cores() <= (os.cpu_count() or 1)


def test_gpus_go_round() -> None:
    assert [gpu_for("auto", position, 3) for position in range(7)] == [0, 1, 2, 0, 1, 2, 0]
    assert gpu_for("auto", 5, 1) is gpu_for("auto", 5, 0) is None
    assert gpu_for("cpu", 5, 4) is gpu_for("cuda:1", 5, 4) is None


def test_threads_stand_in_the_environment_of_children_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with threads_of_children(3):
        assert os.environ["OMP_NUM_THREADS"] == "3"
    assert "OMP_NUM_THREADS" not in os.environ
    with threads_of_children(None):
        assert "OMP_NUM_THREADS" not in os.environ
    monkeypatch.setenv("OMP_NUM_THREADS", "7")  # given by the user
    with threads_of_children(3):
        assert os.environ["OMP_NUM_THREADS"] == "7"
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_output_of_a_job_has_its_label(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    handler = logging.StreamHandler(err)
    logging.getLogger().addHandler(handler)
    try:
        with labelled_output("[3] "):
            assert not sys.stderr.isatty()
            print("a", "b\nc")
            print("no end", end="", file=sys.stderr)
            print(" yet", file=sys.stderr)
            logging.getLogger().warning("heard")
            print("rest", end="")
        assert sys.stdout is out and sys.stderr is err and handler.stream is err
    finally:
        logging.getLogger().removeHandler(handler)
    assert out.getvalue() == "[3] a b\n[3] c\n[3] rest\n" and err.getvalue() == "[3] no end yet\n[3] heard\n"
