"""The scores of a run's best checkpoint and of its baselines, and what is written of them."""

import logging
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from seqtrain.atomic import replacing
from seqtrain.commands.final_media import final_media
from seqtrain.commands.session import Session
from seqtrain.commands.taken import describe
from seqtrain.comparison.baselines import against_baselines
from seqtrain.comparison.metrics import metric_of
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import read_record, write_json
from seqtrain.runs.records import Initial
from seqtrain.tasks.base import Evaluation
from seqtrain.training.checkpoint import load_checkpoint, load_weights
from seqtrain.training.evaluation import evaluate
from seqtrain.training.events import write_final_events
from seqtrain.training.media import Media
from seqtrain.training.tags import MONITORED

log = logging.getLogger(__name__)


def scalars_on_test(scores: dict[str, Evaluation]) -> dict[str, float]:
    """The scores on test by their tags; none if there is no test split."""
    return {f"test/{metric}": value for metric, value in scores["test"].metrics.items()} if "test" in scores else {}


def score(session: Session) -> dict[str, Evaluation]:
    """Scores of the best checkpoint on validation and, if there is one, test; the outputs on both are saved."""
    run, data, built, ranks = session.run, session.data, session.built, session.trainer.ranks
    checkpoint = ranks.broadcast(lambda: load_checkpoint(run.checkpoint_path("best"), run.id, built.device))
    load_weights(built.model, built.head, checkpoint)
    scores: dict[str, Evaluation] = {}
    for split in ("validation", "test"):
        if split in data.sizes:
            batches = data.eval_batches(split)
            precision = session.config.trainer.precision
            result = evaluate(built.model, built.head, built.task, batches, built.device, precision, ranks)
            if split == "validation":
                result = calibrated(session, result, checkpoint["step"])
            scores[split] = replace(result, outputs={})
            if ranks.first:
                write_outputs(run, split, {"rows": data.source_rows(split)} | result.outputs)
    return scores


def write_outputs(run: RunDirectory, split: str, outputs: dict[str, Any]) -> None:
    """Write the outputs of a model on a split, and the numbers of its rows, into the directory of a run."""
    path = run.predictions_of(split)
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **outputs)


def calibrated(session: Session, evaluation: Evaluation, step: int) -> Evaluation:
    """Let the task calibrate itself on validation, and save the calibration to the run's directory.

    Args:
        session: the run.
        evaluation: evaluation of the best checkpoint on validation; only in the first process it has outputs.
        step: step of the checkpoint.

    Returns:
        The evaluation, with the scores that the calibration adds.
    """
    task, data, ranks = session.built.task, session.data, session.trainer.ranks
    found = ranks.broadcast(lambda: task.calibrate(evaluation, data))
    if found is None:
        return evaluation
    task.set_calibration(found)
    if not ranks.first:
        return evaluation
    task.save_artifacts(session.run, step)
    return task.rescored(session.built.head, evaluation, data)


def report(session: Session, scores: dict[str, Evaluation], health: dict[str, str]) -> None:
    """Write results.json: the scores of the model and the baselines.

    Args:
        session: the run.
        scores: scores of the best checkpoint, by split.
        health: what the health panel says, by key of results.json.
    """
    config, run, data, built = session.config, session.run, session.data, session.built
    name, progress = config.model.name, session.trainer.progress
    step = progress.best_step
    results: dict[str, Any] = {"model": name, "parameters": built.num_parameters, "best_step": step}
    results |= {"monitor": built.task.monitor, "maximize": built.task.maximize, "shown": list(built.task.shown)}
    results["directions"] = {metric: metric_of(metric, config.task.kind).maximize for metric in built.task.shown}
    results |= {"scoring": data.scoring} if data.scoring else {}
    risen = progress.losses.risen(progress.step)
    before = {} if config.init is None else {"init": describe(read_record(Initial, run.init_path))}
    remarks = before | built.task.remarks() | ({"training": risen} if risen else {}) | health
    results |= remarks | {"remarks": list(remarks)}
    results |= as_results({name: scores})
    write_json(run.results_path, results)  # before the baselines, which may take a while
    baselines: dict[str, dict[str, Evaluation]] = {}
    if config.trainer.baselines:
        log.info("baselines, fitted on train ...")
        scored = built.task.scored_baselines(data).items()  # a model and a baseline may share a name, such as linear
        baselines = {f"{who} (baseline)" if who == name else who: splits for who, splits in scored}
        results |= as_results({name: scores} | baselines)
        results |= {"against_baselines": compared(session, baselines)}
        write_json(run.results_path, results)
    media = final_media(session, scores, baselines) if config.trainer.figures else Media()
    monitor = built.task.monitor
    final = {f"best/{metric}": value for metric, value in scores["validation"].metrics.items()}
    final |= scalars_on_test(scores)
    for group in ("best", "test"):
        if f"{group}/{monitor}" in final:
            final[f"{group}/{MONITORED}"] = final[f"{group}/{monitor}"]
    levels = {
        # TensorBoard's Custom Scalars take a parenthesis in a tag for the beginning of the run's name.
        f"baseline/{monitor}/{who.replace(' (', ', ').replace(')', '')}": splits["validation"].metrics[monitor]
        for who, splits in baselines.items()
        if monitor in splits.get("validation", Evaluation({})).metrics
    }
    write_final_events(run.path, final, levels, progress.step, media, step)


def compared(session: Session, baselines: dict[str, dict[str, Evaluation]]) -> dict[str, list[float]]:
    """Intervals of how much better the model is on test than the baselines, by name."""
    if not session.run.predictions_path.exists():
        return {}
    task = session.built.task
    others = {who: splits["test"].outputs for who, splits in baselines.items() if "test" in splits}
    spec = asdict(session.data.spec)
    with np.load(session.run.predictions_path, allow_pickle=False) as outputs:
        return against_baselines(session.config.task.kind, task.monitor, task.maximize, outputs, others, spec)


def as_results(evaluations: dict[str, dict[str, Evaluation]]) -> dict[str, Any]:
    """Scores and, if there are any, details, in the form of results.json: name -> split -> value."""
    table = {who: {split: part.metrics for split, part in splits.items()} for who, splits in evaluations.items()}
    details = {who: {split: part.details for split, part in splits.items()} for who, splits in evaluations.items()}
    finer = {who: splits for who, splits in details.items() if any(splits.values())}
    return {"scores": table} | ({"details": finer} if finer else {})
