"""Make an ensemble of finished runs: average their outputs, and score the average beside each of them."""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from seqtrain.commands.build import build_task
from seqtrain.commands.candidates import Candidate, labels, read_candidates
from seqtrain.commands.ensemble_table import Scored, ensemble_table
from seqtrain.commands.final_scores import as_results, write_outputs
from seqtrain.commands.members import STEP, averaged_parts, config_of_ensemble, rows_of
from seqtrain.comparison.baselines import against_baselines
from seqtrain.comparison.bootstrap import RESAMPLES
from seqtrain.comparison.grouping import differing
from seqtrain.comparison.metrics import metric_of
from seqtrain.config import loading
from seqtrain.config.root import Config
from seqtrain.data.base import Dataset
from seqtrain.errors import RunError
from seqtrain.paths import expanded
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.ensemble import Ensemble, members_of
from seqtrain.runs.json_files import write_json
from seqtrain.tasks.base import Evaluation, Task

log = logging.getLogger(__name__)

SPLITS = ("validation", "test")


def ensemble(directories: Sequence[str], *, output: str | None = None) -> RunDirectory:
    """Average the outputs of runs, print the scores beside those of each run, and write the ensemble as a run.

    Args:
        directories: runs, or folders of runs.
        output: directory of the ensemble; None: a new one in ``outputs``.

    Returns:
        The directory of the ensemble.

    Raises:
        ConfigError: if a directory does not exist.
        RunError: if there are fewer than two finished runs, they do not fit together, or the output holds a run.
    """
    candidates = read_candidates(directories, least=2)
    first = candidates[0]
    config = config_of_ensemble(first.member.config, len(candidates), first.run.fold is not None)
    task = build_task(config, first.run.data.spec)
    if not task.averages:
        raise RunError(f"{first.run.path}: task={config.task.name} has no ensembles")
    new = f"{config.data.name}-{config.model.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    path = expanded(output) if output else Path("outputs") / new
    run = RunDirectory.claim(path, exact=output is not None, config=loading.to_yaml(config))
    with run.locked(), run.recording_outcome():
        write(run, config, task, candidates)
    log.info("ensemble: %s", run.path)
    return run


def write(run: RunDirectory, config: Config, task: Task, candidates: Sequence[Candidate]) -> None:
    """Score an ensemble, and write all files of its directory but the status.

    Args:
        run: its directory.
        config: its configuration.
        task: its task.
        candidates: its members.
    """
    first = candidates[0].run
    directories = [each.member.run for each in candidates]
    steps = [each.results.best_step or 0 for each in candidates]
    runs = [each.run for each in candidates]
    options = [dict(each.run.options) for each in candidates]
    keys = [key for key in differing(options) if key != "model.name"]
    Ensemble(members_of(run, directories, steps, labels(runs, repeated=False)), keys).write(run)
    run.write_environment()
    write_json(run.data_path, asdict(replace(first.data, tokenizer_crc32=None, seen_crc32=None)))
    splits = [split for split in SPLITS if all(split in each.run.scores for each in candidates)]
    scored = {split: score(run, config, task, candidates, split) for split in splits}
    print("\n\n".join(table for _, table in scored.values()))
    write_results(run, config, task, candidates, {split: result for split, (result, _) in scored.items()})


def score(
    run: RunDirectory, config: Config, task: Task, candidates: Sequence[Candidate], split: str
) -> tuple[Evaluation, str]:
    """Score an ensemble on a split, and write its outputs; arguments are as of ``write``.

    Returns:
        The scores, without outputs; and the table of them beside those of the members.
    """
    outputs = {id(each.member): each.outputs(split, list(task.averages)) for each in candidates}
    parts = averaged_parts(task, [each.member for each in candidates], split, lambda member: outputs[id(member)])
    result = task.scored(parts, split)
    if split == "validation":
        result = calibrated(task, result, parts[0][1], run)
    own = {"rows": rows_of(parts)} | result.outputs
    write_outputs(run, split, own)
    better: dict[str, list[float]] = {}
    if len(parts) == 1:
        by_label = {each.label: outputs[id(each.member)] for each in candidates}
        spec = asdict(candidates[0].run.data.spec)
        better = against_baselines(config.task.kind, task.monitor, task.maximize, own, by_label, spec, RESAMPLES)
    rows = [Scored(each.label, each.run.scores[split], better.get(each.label)) for each in candidates]
    table = ensemble_table(config, task, split, len(own["rows"]), result.metrics, rows, len(parts))
    return replace(result, outputs={}), table


def calibrated(task: Task, result: Evaluation, data: Dataset | None, run: RunDirectory) -> Evaluation:
    """Let the task calibrate itself on the average outputs on validation, and save the calibration."""
    found = task.calibrate(result, cast(Dataset, data))
    if found is None:
        return result
    task.set_calibration(found)
    task.save_artifacts(run, STEP)
    return task.rescored(cast(Any, None), result, cast(Dataset, data))


def write_results(
    run: RunDirectory, config: Config, task: Task, candidates: Sequence[Candidate], scores: dict[str, Evaluation]
) -> None:
    """Write results.json of an ensemble, and its best score into the status."""
    name, monitor = config.model.name, task.monitor
    remarks = {"ensemble": f"the mean of the outputs of {len(candidates)} runs"} | task.remarks()
    results: dict[str, Any] = {
        "model": name,
        "parameters": sum(each.run.parameters for each in candidates),
        "best_step": STEP,
        "monitor": monitor,
        "maximize": task.maximize,
        "shown": list(task.shown),
        "directions": {metric: metric_of(metric, config.task.kind).maximize for metric in task.shown},
    }
    scoring = candidates[0].run.data.scoring
    results |= {"scoring": scoring} if scoring else {}
    results |= remarks | {"remarks": list(remarks)} | as_results({name: scores})
    write_json(run.results_path, results)
    seconds = [each.run.seconds for each in candidates]
    best: dict[str, float | None] = {"step": STEP}
    if "validation" in scores:
        best[f"val/{monitor}"] = scores["validation"].metrics[monitor]
    known = [value for value in seconds if value is not None]
    total = round(float(np.sum(known)), 1) if len(known) == len(seconds) else None
    run.update_status(monitor=f"val/{monitor}", maximize=task.maximize, best=best, seconds=total)
