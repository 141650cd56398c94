"""Run one job of a sweep."""

import copy
import gc
import logging
import math
import os
import traceback
from contextlib import ExitStack, suppress
from typing import Any

from seqtrain.atomic import replacing
from seqtrain.config import loading
from seqtrain.config.options import Affects, keys
from seqtrain.config.root import Config
from seqtrain.config.sweep import OnError
from seqtrain.errors import Interrupted, RunError
from seqtrain.runs.directory import RunDirectory, error_line
from seqtrain.runs.environment import now
from seqtrain.sweeps.ledger import DONE, Job, Sweep, read_status, shared_overrides
from seqtrain.sweeps.sharing import gpu_for, labelled_output
from seqtrain.sweeps.stopping import set_child_signal_handlers

log = logging.getLogger(__name__)


def run_job(config: Config, sweep: Sweep, job: Job, position: int) -> float:
    """Start a job of a sweep, or resume it. A job that is finished, or that another process runs, is skipped.

    Errors are recorded in the job's own directory and not raised, so that the next job can start.

    Args:
        config: configuration of the job.
        sweep: the sweep.
        job: the job, from the sweep's plan.
        position: index among the launched jobs, by which they share the GPUs.

    Returns:
        The best value of the monitored metric on validation; NaN if there is none.
    """
    sitting = sweep.plan().sitting
    in_child = sitting.pid != os.getpid()
    try:
        with ExitStack() as stack:
            if in_child:
                set_child_signal_handlers()
                stack.enter_context(labelled_output(f"[{job.number}] "))
            return run_alone(config, sweep, job, sitting.id, position if in_child else None)
    except (Interrupted, KeyboardInterrupt):
        if in_child:  # the sweep's process handles it; a launcher would take it for a crash
            return math.nan
        raise
    finally:
        gc.collect()  # modules contain reference cycles, and the next job needs their memory


def run_trial(config: Config, run: RunDirectory, sweep: Sweep, position: int) -> float:
    """Train a trial of a study.

    In a process of its own, the trial prefixes its output with its number, and uses one of the GPUs in turn.

    Args:
        config: configuration of the trial.
        run: directory of the trial.
        sweep: the sweep of the study.
        position: index among the launched trials, by which they share the GPUs.

    Returns:
        The best value of the monitored metric on validation.
    """
    from seqtrain.commands.train import train

    if sweep.plan().sitting.pid == os.getpid():
        return train(config, run)
    with labelled_output(f"[{config.sweep.trial}] "):
        log.info("trial %d%s", config.sweep.trial, share_machine(config.device, position))
        return train(config, run)


def run_alone(config: Config, sweep: Sweep, job: Job, sitting: str, position: int | None) -> float:
    """Lock the job's directory, and train there; the job is skipped if another process holds the lock.

    Args:
        config: configuration of the job.
        sweep: the sweep.
        job: the job.
        sitting: identifier of this invocation of the sweep, stored in the status.
        position: index by which processes share the GPUs; None if jobs run one after another.
    """
    run = RunDirectory(sweep.path / job.name)
    with ExitStack() as stack:
        try:
            stack.enter_context(run.locked())
        except RunError as error:
            log.warning("job %s is skipped: %s", job.number, error)
            return math.nan
        status = read_status(run.path)
        if sweep.halted or (status is not None and status.state in DONE):
            return math.nan
        planned = sweep.planned()
        own = " ".join(override for override in job.overrides if override not in shared_overrides(planned))
        share = share_machine(config.device, position)
        log.info("job %s of %d: %s%s", job.number, len(planned), own, share)
        try:
            value = train_or_resume(config, run, sitting)
        except Exception as error:
            record_failure(run, error)
            log.error("job %s failed: %s", job.number, error_line(error))
            if config.sweep.on_error is OnError.stop:
                sweep.halt(f"job {job.number} failed")
            return math.nan
        (run.path / "error.txt").unlink(missing_ok=True)
        return value


def share_machine(device: str, position: int | None) -> str:
    """Select one of the GPUs in turn, if jobs run at once; returns a text that says what this job uses."""
    if position is None:
        return ""
    import torch

    index = gpu_for(device, position, torch.cuda.device_count())
    if index is not None:
        torch.cuda.set_device(index)  # device=auto is the current GPU, and stays auto in the saved configuration
    threads = torch.get_num_threads()
    return f" ({threads} thread{'' if threads == 1 else 's'}{'' if index is None else f', GPU {index}'})"


def train_or_resume(config: Config, run: RunDirectory, sitting: str) -> float:
    """Train in a run's directory; resume from its last checkpoint if there is one."""
    from seqtrain.commands.train import resume, train

    started = run.config_path.exists()
    if started:
        run.initialise()
    else:
        RunDirectory.claim(run.path, exact=True, config=loading.to_yaml(config))
    run.update_status(state="running", error=None, finished=None, pid=os.getpid(), sitting=sitting, since=now())
    if not started:
        return train(config, run)
    saved = loading.to_config(loading.from_yaml(run.config_path))
    return resume(saved, resumed_config(saved, config), run)


def resumed_config(saved: Config, config: Config) -> Config:
    """The saved configuration of a job, with the current device and other options that do not affect its results."""
    result = copy.deepcopy(saved)
    for key in keys(saved, Affects.speed, Affects.shown):
        if key.startswith("sweep."):
            continue
        owner, _, name = key.rpartition(".")
        new: Any = getattr(config, owner) if owner else config
        if hasattr(new, name):
            setattr(getattr(result, owner) if owner else result, name, getattr(new, name))
    return result


def record_failure(run: RunDirectory, error: Exception) -> None:
    """Write the traceback and the state to the job's directory, if that is possible."""
    with suppress(OSError, RunError):
        with replacing(run.path / "error.txt") as temporary:
            text = "".join(traceback.format_exception(error))
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")  # file names may be no UTF-8
        run.update_status(state="failed", error=error_line(error), finished=now())
