"""Run one job of a sweep."""

import copy
import gc
import logging
import math
import os
import traceback
from contextlib import ExitStack, suppress
from typing import Any

from seqtrain.config import loading
from seqtrain.config.options import Affects, keys
from seqtrain.config.root import Config
from seqtrain.config.sweep import OnError
from seqtrain.errors import Interrupted, RunError
from seqtrain.run_directory import RunDirectory, now, why
from seqtrain.sweeps.ledger import DONE, Job, Sweep, read_status, shared_overrides
from seqtrain.sweeps.sharing import gpu_for, labelled_output
from seqtrain.sweeps.stopping import listen_as_child

log = logging.getLogger(__name__)


def run_job(config: Config, sweep: Sweep, job: Job, position: int) -> float:
    """Bring a job to its end: begin it, or go on with it. A job that is finished, or runs elsewhere, is left as it is.

    An error goes no further than the job's own directory, so that the next one can begin.

    Args:
        config: of the job.
        sweep: the sweep.
        job: the job, of the sweep's plan.
        position: among the jobs launched, by which GPUs are shared.

    Returns:
        The best value of the monitored metric on validation; NaN where there is none.
    """
    sitting = sweep.plan()["sitting"]
    in_child = sitting["pid"] != os.getpid()
    try:
        with ExitStack() as stack:
            if in_child:
                listen_as_child()
                stack.enter_context(labelled_output(f"[{job.number}] "))
            return run_alone(config, sweep, job, sitting["id"], position if in_child else None)
    except (Interrupted, KeyboardInterrupt):
        if in_child:  # the process of the sweep knows; a launcher would take this for a crash
            return math.nan
        raise
    finally:
        gc.collect()  # modules are in cycles, and the next job wants their memory


def run_trial(config: Config, run: RunDirectory, sweep: Sweep, position: int) -> float:
    """Train a trial of a study; in a process of its own its lines have its number, and it takes a GPU in turn.

    Args:
        config: of the trial.
        run: its directory.
        sweep: that of the study.
        position: among the trials launched, by which GPUs are shared.

    Returns:
        The best value of the monitored metric on validation.
    """
    from seqtrain.commands.train import train

    if sweep.plan()["sitting"]["pid"] == os.getpid():
        return train(config, run)
    with labelled_output(f"[{config.sweep.trial}] "):
        log.info("trial %d%s", config.sweep.trial, share_machine(config.device, position))
        return train(config, run)


def run_alone(config: Config, sweep: Sweep, job: Job, sitting: str, position: int | None) -> float:
    """Take the job's directory, unless another process has it, and train there.

    Args:
        config: of the job.
        sweep: the sweep.
        job: the job.
        sitting: of the sweep's process, noted in the status.
        position: by which GPUs are shared with other processes; None if there are none.
    """
    run = RunDirectory(sweep.path / job.name)
    with ExitStack() as stack:
        try:
            stack.enter_context(run.locked())
        except RunError as error:
            log.warning("job %s is left alone: %s", job.number, error)
            return math.nan
        if sweep.halted or read_status(run.path).get("state") in DONE:
            return math.nan
        planned = sweep.planned()
        own = " ".join(override for override in job.overrides if override not in shared_overrides(planned))
        share = share_machine(config.device, position)
        log.info("job %s of %d: %s%s", job.number, len(planned), own, share)
        try:
            value = train_or_resume(config, run, sitting)
        except Exception as error:
            record_failure(run, error)
            log.error("job %s failed: %s", job.number, why(error))
            if config.sweep.on_error is OnError.stop:
                sweep.halt(f"job {job.number} failed")
            return math.nan
        (run.path / "error.txt").unlink(missing_ok=True)
        return value


def share_machine(device: str, position: int | None) -> str:
    """Take a GPU in turn where jobs run at once; says what this one has."""
    if position is None:
        return ""
    import torch

    index = gpu_for(device, position, torch.cuda.device_count())
    if index is not None:
        torch.cuda.set_device(index)  # device=auto is the current GPU, and stays auto in the saved configuration
    threads = torch.get_num_threads()
    return f" ({threads} thread{'' if threads == 1 else 's'}{'' if index is None else f', GPU {index}'})"


def train_or_resume(config: Config, run: RunDirectory, sitting: str) -> float:
    """Train in the run's directory, from its last checkpoint if it has one."""
    from seqtrain.commands.train import resume, train

    begun = run.config_path.exists()
    if begun:
        run.begin()
    else:
        RunDirectory.claim(run.path, exact=True, config=loading.to_yaml(config))
    run.update_status(state="running", error=None, finished=None, pid=os.getpid(), sitting=sitting, since=now())
    if not begun:
        return train(config, run)
    saved = loading.to_config(loading.from_yaml(run.config_path))
    return resume(saved, resumed_config(saved, config), run)


def resumed_config(saved: Config, config: Config) -> Config:
    """The saved configuration of a job, with the device and whatever else may differ as it is now."""
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
    """Leave the traceback and the state in the job's directory, as far as the disk allows."""
    with suppress(OSError, RunError):
        (run.path / "error.txt").write_text("".join(traceback.format_exception(error)))
        run.update_status(state="failed", error=why(error), finished=now())
